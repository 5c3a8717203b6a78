//! The outbox survives `kill -9`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::{Receiver, SERVE, create_person, folder_with_webhook};
use crate::faults::clock::{set_clock, with_clock};
use crate::running::Running;

/// Seconds that the clock is put forward after a kill: longer than the lease of a message, which the
/// killed worker had.
const AFTER_KILL_S: u64 = 150;

/// The admin socket, one operation at a time, so that alarms are raised in a known order.
struct Admin {
    reader: BufReader<UnixStream>,
}

impl Admin {
    fn connect(site: &Running) -> Self {
        let socket = UnixStream::connect(site.path("site/admin.sock")).unwrap();
        let reader = BufReader::new(socket);
        Self { reader }
    }

    fn alarm(&mut self, command: &str, params: &Value) -> Value {
        let operation = json!({ "id": 1, "group": "alarm", "command": command, "params": params });
        let line = format!("{operation}\n");
        self.reader.get_mut().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.reader.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["code"], 0, "{answer}");
        answer["data"].clone()
    }
}

/// What the receiver must have got, and has got.
#[derive(Default)]
struct Ledger {
    /// The number of alarms of each person so far. Their texts are numbered.
    raised: BTreeMap<String, u64>,
    /// Alarms that were acknowledged before the last kill.
    acknowledged: BTreeSet<(String, u64)>,
    received: BTreeMap<String, Vec<u64>>,
}

impl Ledger {
    fn note(&mut self, texts: Vec<String>, acknowledged: &BTreeSet<(String, u64)>) {
        for text in texts {
            let (name, rest) = text.split_once('@').unwrap();
            assert!(rest.starts_with("local critical "), "{text}");
            let number: u64 = rest.rsplit_once(' ').unwrap().1.parse().unwrap();
            let name = name.to_owned();
            assert!(
                !acknowledged.contains(&(name.clone(), number)),
                "{name} got alarm {number} after it was acknowledged"
            );
            self.received.entry(name).or_default().push(number);
        }
    }

    /// Whether each alarm that was not acknowledged arrived.
    fn is_complete(&self, maybe: &BTreeSet<(String, u64)>) -> bool {
        self.raised.iter().all(|(name, count)| {
            let received = self.received.get(name);
            let received: BTreeSet<&u64> = received.into_iter().flatten().collect();
            (0..*count)
                .all(|number| received.contains(&number) || maybe.contains(&(name.clone(), number)))
        })
    }
}

/// Raises alarms for persons while the site is killed again and again. Returns how many texts arrived.
fn kill_while_delivering(persons: usize, per_round: u64, kills: u64) -> usize {
    let receiver = Receiver::start();
    let mut site = folder_with_webhook(&receiver);
    set_clock(site.folder.path(), "+0s");
    let names: Vec<String> = (0..persons).map(|number| format!("p{number}")).collect();
    let mut ledger = Ledger::default();
    let mut acknowledged = BTreeSet::new();
    for round in 0..=kills {
        let offset = format!("+{}s", round * AFTER_KILL_S);
        set_clock(site.folder.path(), &offset);
        let command = with_clock(site.command(&["serve"]), site.folder.path());
        site.start_as(command, &SERVE);
        if round == 0 {
            names.iter().for_each(|name| create_person(&site, name));
        }
        let mut admin = Admin::connect(&site);
        for _ in 0..per_round {
            for name in &names {
                let number = ledger.raised.entry(name.clone()).or_default();
                let raised = admin.alarm(
                    "raise",
                    &json!({ "to": name, "severity": "critical", "text": format!("{number}") }),
                );
                // Every fifth one is acknowledged at once, so some are on their way.
                if *number % 5 == 4 {
                    admin.alarm("acknowledge", &json!({ "id": raised["id"] }));
                    acknowledged.insert((name.clone(), *number));
                }
                *number += 1;
            }
        }
        if round < kills {
            site.kill();
            // What was sent before the kill, and what was acknowledged before the round.
            ledger.note(receiver.ready(), &ledger.acknowledged.clone());
            ledger.acknowledged = acknowledged.clone();
        }
    }
    while !ledger.is_complete(&acknowledged) {
        let texts = std::iter::once(receiver.next()).chain(receiver.ready());
        ledger.note(texts.collect(), &ledger.acknowledged.clone());
    }
    for (name, numbers) in &ledger.received {
        assert!(numbers.is_sorted(), "{name} got {numbers:?}");
    }
    assert_eq!(site.run(&["audit", "verify"]).code, 0);
    ledger.received.values().map(Vec::len).sum()
}

/// ALM-2, ALM-3, ALM-4.
#[test]
fn each_alarm_arrives_in_order_although_the_site_is_killed() {
    kill_while_delivering(3, 5, 3);
}

/// Operations may store 9,000 alarms.
#[test]
#[ignore = "takes minutes: cargo nextest run -p countersign --run-ignored only -E 'test(8820)'"]
fn each_of_8820_alarms_arrives_in_order_although_the_site_is_killed_20_times() {
    let texts = kill_while_delivering(21, 20, 20);
    assert!(texts > 7_000, "{texts} texts arrived");
}
