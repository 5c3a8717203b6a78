//! Two and three sites on hosts of their own: links that are cut, clocks that are an hour apart, sites that are
//! killed under load, and keys that are replaced while a peer is down.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::RecoveryCode;
use rustix::process::Signal;
use serde_json::Value;

use crate::faults::clock::{set_clock, with_clock};
use crate::namespaces::Network;
use crate::running::Running;

/// One of the sites.
struct Host<'a> {
    network: &'a Network,
    site: Running,
    number: u8,
    /// The port of its peer server.
    port: u16,
    /// How far its clock is ahead, in seconds.
    ahead: i32,
}

impl<'a> Host<'a> {
    fn new(network: &'a Network, number: u8, ahead: i32) -> Self {
        let site = Running::folder();
        let code = RecoveryCode::generate(&mut SystemEntropy);
        site.write("recovery.code", code.to_text().expose());
        set_clock(site.folder.path(), &format!("{ahead:+}"));
        let mut host = Self {
            network,
            site,
            number,
            port: 4_750,
            ahead,
        };
        host.start();
        host.succeeds(&["person", "create", "ada"]);
        host.succeeds(&["peer", "start"]);
        host
    }

    /// A command of the program on this host.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self
            .network
            .at(self.number, env!("CARGO_BIN_EXE_countersign"));
        command.args(words);
        command.current_dir(self.site.folder.path());
        for (name, value) in self.site.command(&[]).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn start(&mut self) {
        let mut command = self.command(&["serve"]);
        if !self.site.path("site").exists() {
            command.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
        }
        if self.ahead != 0 {
            command = with_clock(command, self.site.folder.path());
        }
        let zone = self.zone();
        let peer = format!("{}:{}", Network::address(self.number), self.port);
        let words = ["--passphrase-file", "site.pass", "--zone", &zone];
        let listen = ["--peer-listen", &peer];
        self.site.start_as(command, &[&words[..], &listen].concat());
    }

    fn zone(&self) -> String {
        format!("site{}.example", self.number)
    }

    fn person(&self) -> String {
        format!("ada@{}", self.zone())
    }

    fn succeeds(&self, words: &[&str]) -> Value {
        self.site.succeeds(words)
    }

    /// A command that joins the other site with a new ticket.
    fn join(&self, other: &Self) -> Command {
        self.site.join(&other.site.peer_ticket("ada"), "ada")
    }

    fn joins(&self, other: &Self) {
        succeeded(&self.join(other).output().unwrap());
    }

    /// Sends messages with these numbers to the other person.
    fn send(&self, other: &Self, numbers: std::ops::Range<usize>) {
        let texts = numbers.map(|number| number.to_string());
        self.site.send_messages("ada", &other.person(), texts);
    }

    /// Waits until so many messages of the other person arrived; they are those that were sent.
    fn received(&self, other: &Self, count: usize) {
        let numbers = || -> Vec<String> {
            let from = other.person();
            let inbox = self.site.inbox("ada").into_iter();
            let of_other = inbox.filter(|entry| entry["from"] == from.as_str());
            let text = |entry: Value| entry["text"].as_str().unwrap().to_owned();
            of_other.map(text).collect()
        };
        // Each look runs a program, so that it does not spin.
        while numbers().len() < count {}
        let expected: Vec<_> = (0..count).map(|number| number.to_string()).collect();
        assert_eq!(numbers(), expected);
    }

    /// The other end of a TCP connection of this host that is like this: the number, both addresses, the state, of
    /// which 1 is ESTABLISHED, and the bytes that were not sent and not read.
    fn connection(&self, is_like: impl Fn(&[&str]) -> bool) -> Option<String> {
        let mut look = self.network.at(self.number, "cat");
        let table = look.arg("/proc/net/tcp").output().unwrap().stdout;
        let table = String::from_utf8(table).unwrap();
        table.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            (fields[3] == "01" && is_like(&fields)).then(|| fields[2].to_owned())
        })
    }

    /// Waits until this site has a connection to the peer port of the other one.
    fn is_connected_to(&self, other: &Self) {
        let port = format!(":{:04X}", other.port);
        // Each look runs a program, so that it does not spin.
        while self
            .connection(|fields| fields[2].ends_with(&port))
            .is_none()
        {}
    }

    /// The other end of a connection at the peer port, except this one, of which this site, which is held, has not
    /// read all bytes.
    fn unread(&self, except: Option<&str>) -> Option<String> {
        let port = format!(":{:04X}", self.port);
        self.connection(|fields| {
            let is_unread = !fields[4].ends_with(":00000000");
            fields[1].ends_with(&port) && is_unread && except != Some(fields[2])
        })
    }

    /// Waits until bytes arrived at the peer port that this site, which is held, has not read.
    fn has_unread(&self) -> String {
        loop {
            if let Some(end) = self.unread(None) {
                return end;
            }
        }
    }

    /// Cuts the link of the other site within the dialog that this command begins: while the other site has the
    /// request and has not answered. Returns the output.
    fn cut_within(&self, other: &Self, words: &[&str]) -> Value {
        other.site.signal(Signal::STOP);
        let mut command = self.command(&[words, &["--json"]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = command.spawn().unwrap();
        other.has_unread();
        self.network.link(other.number, false);
        other.site.signal(Signal::CONT);
        let output = running.wait_with_output().unwrap();
        self.network.link(other.number, true);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn rotate(&self) {
        let new = [
            "site",
            "key",
            "new",
            "--yes",
            "--passphrase-file",
            "site.pass",
        ];
        let mut command = self.site.command(&new);
        command.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
        succeeded(&command.output().unwrap());
    }

    /// The audit entries of an operation.
    fn audited(&self, operation: &str) -> Vec<Value> {
        let listed = self.succeeds(&["audit", "list", "--operation", operation]);
        listed["entries"].as_array().unwrap().clone()
    }

    fn event_of(&self, peer: &Self) -> Value {
        self.succeeds(&["peer", "show", &peer.zone()])["key_event"].clone()
    }
}

fn succeeded(output: &Output) {
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
}

/// The clocks of the two sites are an hour apart. A join while the link is down fails and its ticket stays good;
/// messages that are sent while the link is down, or while either site is killed, arrive once and in order.
// PEER-9, PEER-20
#[test]
fn two_sites_lose_no_message_over_a_link_that_is_cut_with_clocks_an_hour_apart_and_kill_9() {
    let Some(network) = Network::new(2) else {
        return;
    };
    let mut one = Host::new(&network, 1, 0);
    let mut two = Host::new(&network, 2, 3_600);
    // The link is cut within the join. The first site is held meanwhile, so that the dialog cannot end
    // before the cut.
    let mut joining = two.join(&one);
    one.site.signal(Signal::STOP);
    let mut joining = joining.stdout(Stdio::null()).spawn().unwrap();
    two.is_connected_to(&one);
    network.link(1, false);
    one.site.signal(Signal::CONT);
    assert!(!joining.wait().unwrap().success());
    network.link(1, true);
    let again = ["peer", "join", "--ticket-file", "ticket", "--for", "ada"];
    two.succeeds(&again);
    let mut sent = 0;
    for round in 0..4 {
        let exchange = |count: usize, sent: &mut usize| {
            std::thread::scope(|scope| {
                scope.spawn(|| one.send(&two, *sent..*sent + count));
                scope.spawn(|| two.send(&one, *sent..*sent + count));
            });
            *sent += count;
        };
        exchange(20, &mut sent);
        network.link(1 + round % 2, false);
        exchange(20, &mut sent);
        let killed = if round < 2 { &mut one } else { &mut two };
        killed.site.kill();
        network.link(1 + round % 2, true);
        killed.start();
    }
    one.received(&two, sent);
    two.received(&one, sent);
    for host in [&one, &two] {
        assert_eq!(host.site.run(&["audit", "verify"]).code, 0);
    }
}

/// Each site is a peer of each other one. One replaces its key three times while the second is down, which then
/// walks along the key events when it has a message; the third one talked with it all the time.
// PEER-14, PEER-15, PEER-20
#[test]
fn three_sites_talk_while_one_replaces_its_key_and_one_sleeps_through_three_rotations() {
    let Some(network) = Network::new(3) else {
        return;
    };
    let one = Host::new(&network, 1, 0);
    let mut two = Host::new(&network, 2, 0);
    let three = Host::new(&network, 3, -3_600);
    one.joins(&two);
    two.joins(&three);
    three.joins(&one);
    let all = |hosts: [&Host<'_>; 3], numbers: std::ops::Range<usize>| {
        for from in hosts {
            for to in hosts {
                if from.number != to.number {
                    from.send(to, numbers.clone());
                }
            }
        }
        for to in hosts {
            for from in hosts {
                if from.number != to.number {
                    to.received(from, numbers.end);
                }
            }
        }
    };
    all([&one, &two, &three], 0..5);
    two.site.kill();
    for rotation in 0..3 {
        one.rotate();
        let numbers = 5 + rotation * 5..10 + rotation * 5;
        one.send(&three, numbers.clone());
        three.send(&one, numbers.clone());
        one.received(&three, numbers.end);
        three.received(&one, numbers.end);
    }
    assert_eq!(three.event_of(&one), 3);
    // The others do not know this port, so that the second site connects and walks.
    two.port = 4_751;
    two.start();
    two.send(&one, 5..6);
    one.received(&two, 6);
    assert_eq!(two.event_of(&one), 3);
    network.link(2, false);
    one.send(&two, 5..10);
    two.send(&one, 6..10);
    network.link(2, true);
    two.received(&one, 10);
    one.received(&two, 10);
}

/// The link is cut after a request for a ticket, a head of the audit log and a notice of void tickets reached the
/// peer, and before the answer. The consumer is refused, the verification names the peer, and each succeeds when the
/// link is back. The late answers are no breach.
// PEER-27, PEER-42, PEER-43
#[test]
fn a_link_that_is_cut_within_a_ticket_a_head_or_a_notice_of_void_tickets_costs_that_answer_alone() {
    let Some(network) = Network::new(2) else {
        return;
    };
    let one = Host::new(&network, 1, 0);
    let two = Host::new(&network, 2, 0);
    two.joins(&one);
    two.site.create_application("ledger");
    two.site.create_robot();
    two.succeeds(&["app", "update", "ledger", "--service", "robot"]);
    let admits = ["--allow-caller", "billing@site1.example"];
    two.succeeds(&[&["app", "update", "ledger"], &admits[..]].concat());
    one.site.create_application("billing");
    one.site.create_robot();
    one.succeeds(&["app", "update", "billing", "--service", "robot"]);
    let callee = ["--allow", "ledger@site2.example"];
    one.succeeds(&[&["app", "update", "billing"], &callee[..]].concat());
    let login = ["call", "--site", &one.site.uri, "--key", "robot.key"];
    let providers = r#"providers:=["ledger@site2.example"]"#;
    let ask = [&login[..], &["broker", "ticket", "app=billing", providers]].concat();
    let granted = || {
        let output = one.command(&[&ask[..], &["--json"]].concat()).output();
        let answer: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        answer["tickets"][0]["granted"].is_object()
    };
    // The requests below go over the connection that this one opened.
    while !granted() {}
    let refused = one.cut_within(&two, &ask);
    assert_eq!(refused["tickets"][0]["refused"], "peer-unreachable");
    while !granted() {}

    let verify = ["audit", "verify", "--peers"];
    let cut = one.cut_within(&two, &verify);
    assert_eq!(cut["peers"][0]["answered"], false, "{cut}");
    let confirmed = |verified: &Value| verified["peers"][0]["confirmed"].as_u64();
    // Each look runs a program, so that it does not spin.
    loop {
        let verified = one.succeeds(&verify);
        if verified["peers"][0]["answered"] == true {
            assert!(confirmed(&verified) > confirmed(&cut));
            break;
        }
    }
    // The peer has the notice of void tickets, and its answer is lost: it is told again.
    while !granted() {}
    two.site.signal(Signal::STOP);
    one.succeeds(&["app", "lock", "billing", "--yes"]);
    two.has_unread();
    network.link(2, false);
    two.site.signal(Signal::CONT);
    network.link(2, true);
    // Each look runs a program, so that it does not spin.
    while one.audited("peer.void_told").is_empty() {}
    for told in two.audited("broker.foreign_void") {
        let consumers = &told["details"]["consumers"];
        assert_eq!(*consumers, serde_json::json!(["billing@site1.example"]));
    }

    for (host, peer) in [(&one, &two), (&two, &one)] {
        assert_eq!(
            host.succeeds(&["peer", "show", &peer.zone()])["state"],
            "active"
        );
        assert_eq!(host.site.run(&["audit", "verify"]).code, 0);
    }
}

/// A site that slept through a new key of its peer asks for the key events on a connection of its
/// own. The link is cut in silence while that connection waits for the peer: the attempt ends
/// without a reply, and a later one succeeds.
// PEER-14, PEER-15
#[test]
fn a_link_that_is_cut_within_the_walk_along_key_events_costs_that_attempt_alone() {
    let Some(network) = Network::new(2) else {
        return;
    };
    let one = Host::new(&network, 1, 0);
    let mut two = Host::new(&network, 2, 0);
    two.joins(&one);
    // Again, if the walk was faster than the cut. A site follows eight new keys at once.
    for rotation in 1..=8 {
        two.site.kill();
        one.rotate();
        // The other site does not know this port, so that this one connects and walks.
        two.port += 1;
        two.start();
        one.site.signal(Signal::STOP);
        two.send(&one, rotation - 1..rotation);
        let first = one.has_unread();
        // The peer goes on in small steps, to refuse the first connection, which pins the replaced key.
        let mut step = Duration::from_micros(50);
        let second = loop {
            one.site.signal(Signal::CONT);
            std::thread::sleep(step);
            one.site.signal(Signal::STOP);
            step = (step * 2).min(Duration::from_millis(2));
            let second = one.unread(Some(&first));
            if two.event_of(&one) == rotation {
                break None;
            }
            if second.is_some() {
                break second;
            }
        };
        if second.is_some() {
            network.link(1, false);
        }
        one.site.signal(Signal::CONT);
        let state = || {
            let output = two.site.run(&["peer", "doctor", "--json"]);
            output.json()["findings"][1]["state"].clone()
        };
        while second.is_some() && state() != "unreachable" {}
        network.link(1, true);
        one.received(&two, rotation);
        assert_eq!(two.event_of(&one), rotation);
        if second.is_some() {
            return;
        }
    }
    panic!("no walk was cut");
}
