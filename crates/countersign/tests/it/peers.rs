//! Two sites as processes: what they send each other survives `kill -9` of either.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::faults::disk::disk_is_full;
use crate::running::Running;

/// One of two sites.
pub(crate) struct Side {
    pub(crate) site: Running,
    zone: &'static str,
    person: &'static str,
    /// The address of the peer port, which stays the same through restarts.
    peer: String,
    /// The texts that the person has sent.
    sent: Vec<String>,
}

impl Side {
    pub(crate) fn new(zone: &'static str, person: &'static str, port: u16) -> Self {
        // An address of this machine that no other test uses.
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let mut side = Self {
            site: Running::folder(),
            zone,
            person,
            peer: format!("127.{}.{b}.{c}:{port}", 200 | a & 0x3f),
            sent: Vec::new(),
        };
        side.start();
        side.succeeds(&["person", "create", person]);
        side.succeeds(&["peer", "start"]);
        side
    }

    pub(crate) fn start(&mut self) {
        let words = ["--passphrase-file", "site.pass", "--zone", self.zone];
        let peer = ["--peer-listen", &self.peer];
        self.site.start(&[&words[..], &peer[..]].concat());
    }

    pub(crate) fn succeeds(&self, words: &[&str]) -> Value {
        let output = self.site.run(&[words, &["--json"]].concat());
        assert_eq!(output.code, 0, "{words:?}: {}", output.err);
        output.json()
    }

    pub(crate) fn join(&self, other: &Self) {
        let ticket = other.succeeds(&["peer", "ticket", other.person]);
        self.site.write("ticket", ticket["uri"].as_str().unwrap());
        self.succeeds(&[
            "peer",
            "join",
            "--ticket-file",
            "ticket",
            "--for",
            self.person,
        ]);
    }

    /// Sends messages to the other person, one after the other.
    pub(crate) fn send(&mut self, to: &str, count: usize) {
        let socket = UnixStream::connect(self.site.path("site/admin.sock")).unwrap();
        let mut reader = BufReader::new(socket);
        for _ in 0..count {
            let text = format!("{} {}", self.person, self.sent.len());
            let params = json!({ "from": self.person, "to": to, "text": text });
            let operation =
                json!({ "id": 1, "group": "peer", "command": "send", "params": params });
            let line = format!("{operation}\n");
            reader.get_mut().write_all(line.as_bytes()).unwrap();
            let mut answer = String::new();
            reader.read_line(&mut answer).unwrap();
            let answer: Value = serde_json::from_str(&answer).unwrap();
            // Only tests at the admin socket send as fast as this.
            assert_eq!(answer["code"], 0, "{answer}");
            self.sent.push(text);
        }
    }

    /// Registers an application with a new key.
    fn application(&self, id: &str) {
        let (key, party) = (format!("{id}.key"), format!("{id}.party"));
        for words in [
            &["key", "new", "--out", &key][..],
            &["key", "party", &key, "--out", &party],
            &["app", "create", id, "--public-key", &party],
        ] {
            let output = self.site.run(words);
            assert_eq!(output.code, 0, "{words:?}: {}", output.err);
        }
    }

    fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.site.process()).unwrap();
        kill_process(process, signal).unwrap();
    }

    /// The audit entries of an operation.
    fn audited(&self, operation: &str) -> Vec<Value> {
        let listed = self.succeeds(&["audit", "list", "--operation", operation]);
        listed["entries"].as_array().unwrap().clone()
    }

    /// The zone of the site.
    pub(crate) fn zone(&self) -> &'static str {
        self.zone
    }

    fn received(&self) -> Vec<String> {
        let inbox = self.succeeds(&["peer", "inbox", self.person]);
        let messages = inbox["entries"].as_array().unwrap();
        let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
        messages.iter().map(text).collect()
    }
}

// PEER-20
#[test]
fn messages_arrive_once_and_in_order_although_either_site_is_killed() {
    let mut ada = Side::new("a.example", "ada", 4751);
    let mut bob = Side::new("b.example", "bob", 4752);
    bob.join(&ada);
    for round in 0..4 {
        ada.send("bob@b.example", 40);
        bob.send("ada@a.example", 40);
        let killed = if round % 2 == 0 { &mut ada } else { &mut bob };
        killed.site.kill();
        killed.start();
    }
    for (from, to) in [(&ada, &bob), (&bob, &ada)] {
        // Each look runs a program, so that it does not spin.
        while to.received().len() < from.sent.len() {}
        assert_eq!(to.received(), from.sent);
        let peer = from.succeeds(&["peer", "show", to.zone]);
        assert_eq!(peer["state"], "active");
    }
    for side in [&ada, &bob] {
        assert_eq!(side.site.run(&["audit", "verify"]).code, 0);
    }
}

/// Each change was committed, and the site was killed before its peer could learn of it: the peer is
/// told after the restart.
// BRK-80, PEER-42
#[test]
fn a_peer_learns_of_void_tickets_although_the_site_is_killed_before_it_tells() {
    let mut ada = Side::new("a.example", "ada", 4755);
    let bob = Side::new("b.example", "bob", 4756);
    bob.join(&ada);
    bob.application("ledger");
    assert_eq!(bob.site.run(&["key", "new", "--out", "robot.key"]).code, 0);
    bob.succeeds(&[
        "service",
        "create",
        "robot",
        "--public-key",
        "robot.key.pub",
    ]);
    bob.succeeds(&["app", "update", "ledger", "--service", "robot"]);
    let caller = ["--allow-caller", "billing@a.example"];
    bob.succeeds(&[&["app", "update", "ledger"], &caller[..]].concat());
    ada.application("billing");
    let callee = ["--allow", "ledger@b.example"];
    ada.succeeds(&[&["app", "update", "billing"], &callee[..]].concat());
    for (count, change) in [
        &["lockdown", "app", "billing", "--yes"][..],
        &["app", "lock", "billing", "--yes"],
        &["app", "delete", "billing", "--yes"],
    ]
    .into_iter()
    .enumerate()
    {
        bob.signal(Signal::STOP);
        ada.succeeds(change);
        ada.site.kill();
        ada.start();
        bob.signal(Signal::CONT);
        // Each look runs a program, so that it does not spin.
        while bob.audited("broker.foreign_void").len() <= count {}
        while ada.audited("peer.void_told").len() <= count {}
        let told = bob.audited("broker.foreign_void");
        let names = &told[count]["details"]["consumers"];
        assert_eq!(*names, json!(["billing@a.example"]));
    }
    for side in [&ada, &bob] {
        assert_eq!(side.site.run(&["audit", "verify"]).code, 0);
    }
}

/// The disk of the recipient's site is full while messages arrive. It acknowledges none of them, so that they
/// stay at the sender's site, which sends them again; each arrives once when there is room.
// PEER-20
#[test]
fn messages_to_a_site_with_a_full_disk_wait_and_arrive_once_and_in_order() {
    let mut ada = Side::new("a.example", "ada", 4753);
    let bob = Side::new("b.example", "bob", 4754);
    bob.join(&ada);
    let wait = |count: usize| while bob.received().len() < count {};
    ada.send("bob@b.example", 1);
    wait(1);
    disk_is_full(&bob.site, true);
    ada.send("bob@b.example", 20);
    // The peer has answered that it could not take them.
    let state = || {
        let output = ada.site.run(&["peer", "doctor", "--json"]);
        output.json()["findings"][1]["state"].clone()
    };
    while state() != "messages_not_taken" {}
    assert_eq!(bob.received().len(), 1);
    let waiting = ada.succeeds(&["peer", "outbox", "ada"]);
    assert_eq!(waiting["entries"].as_array().unwrap().len(), 20);
    disk_is_full(&bob.site, false);
    wait(21);
    assert_eq!(bob.received(), ada.sent);
    assert_eq!(bob.site.run(&["audit", "verify"]).code, 0);
    let checked = bob.succeeds(&["peer", "list"]);
    assert_eq!(checked["entries"][0]["state"], "active");
}
