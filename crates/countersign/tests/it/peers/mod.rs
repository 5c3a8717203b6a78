//! Two sites as processes: what they send each other survives `kill -9` of either.

mod advice;
mod heads;
mod network;
mod planted;
mod site;

use rustix::process::Signal;
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
        let mut side = Self {
            site: Running::folder(),
            zone,
            person,
            peer: Running::peer_address(port),
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
        self.site.succeeds(words)
    }

    pub(crate) fn join(&self, other: &Self) {
        let ticket = other.site.peer_ticket(other.person);
        let output = self.site.join(&ticket, self.person).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Sends messages to the other person, one after the other.
    pub(crate) fn send(&mut self, to: &str, count: usize) {
        let first = self.sent.len();
        let numbers = first..first + count;
        let texts = numbers.map(|number| format!("{} {number}", self.person));
        self.sent.extend(texts);
        let texts = self.sent.iter().skip(first).cloned();
        self.site.send_messages(self.person, to, texts);
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

    /// The messages in the outbox of the person.
    fn waiting(&self) -> usize {
        let outbox = self.succeeds(&["peer", "outbox", self.person]);
        outbox["entries"].as_array().unwrap().len()
    }

    fn received(&self) -> Vec<String> {
        let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
        self.site.inbox(self.person).iter().map(text).collect()
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

/// The messages of a round.
const FLOWING: usize = 120;

/// A site was killed only while nothing moved: the link was down, or all messages had arrived. Here some messages of
/// many have arrived when the site is killed.
// PEER-20
#[test]
fn messages_arrive_once_and_in_order_although_either_site_is_killed_while_they_flow() {
    let mut ada = Side::new("a.example", "ada", 4757);
    let mut bob = Side::new("b.example", "bob", 4758);
    bob.join(&ada);
    for kills_sender in [false, true] {
        // Again, if all messages were faster than the kill.
        loop {
            while ada.waiting() > 0 {}
            let before = ada.sent.len();
            bob.site.signal(Signal::STOP);
            ada.send("bob@b.example", FLOWING);
            bob.site.signal(Signal::CONT);
            // Each look runs a program, so that it does not spin.
            while bob.received().len() == before {}
            let killed = if kills_sender { &mut ada } else { &mut bob };
            killed.site.kill();
            // What the other site knows does not change any more.
            let moved = match kills_sender {
                true => bob.received().len() - before,
                false => FLOWING - ada.waiting(),
            };
            let killed = if kills_sender { &mut ada } else { &mut bob };
            killed.start();
            while bob.received().len() < ada.sent.len() {}
            assert_eq!(bob.received(), ada.sent);
            if (1..FLOWING).contains(&moved) {
                break;
            }
        }
    }
    while ada.waiting() > 0 {}
    assert_eq!(bob.received(), ada.sent);
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
    bob.site.create_application("ledger");
    bob.site.create_robot();
    bob.succeeds(&["app", "update", "ledger", "--service", "robot"]);
    let caller = ["--allow-caller", "billing@a.example"];
    bob.succeeds(&[&["app", "update", "ledger"], &caller[..]].concat());
    ada.site.create_application("billing");
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
        bob.site.signal(Signal::STOP);
        ada.succeeds(change);
        ada.site.kill();
        ada.start();
        bob.site.signal(Signal::CONT);
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
