//! Audit entries of events that a client can repeat without end: refusals, failed logins, penalties,
//! tickets.
//!
//! The first event of a kind in a window is written at once. Later ones are counted and written as one
//! entry with their count when the window ends. A *kind* is who acted, through which door, which
//! operation, on what, and what came of it.
//!
//! ```text
//! event ──▶ first of its kind in this window? ──yes──▶ entry at once, if the window has some left
//!                        │no                                    │none left
//!                        ▼                                      ▼
//!                     counter ◀─────────────────────────────────┘
//!                        │window ends, or the site stops
//!                        ▼
//!                 one entry with a count
//! ```
//!
//! Everything is bounded: the counters of one actor, the counters in all, the entries written at once.
//! Events beyond that are counted under the operation `others`. Accounts and applications have their
//! own share, so that clients without a login cannot take their counters.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Actor, AuditDraft, AuditOutcome};
use crate::access::{Caller, Channel};
use crate::applications::ApplicationId;
use crate::throttle::Source;
use crate::timestamp::Timestamp;

/// The length of a window, in milliseconds.
pub const WINDOW: u64 = 60_000;
/// Counters of one actor in a window; further kinds of events share its counter `others`.
pub const OF_ONE: usize = 32;
/// Counters of all accounts and applications in a window. Sources have half as many.
pub const OF_ALL: usize = 256;
/// Entries that are written at once in a window for accounts and applications, and half as many for
/// sources.
pub const AT_ONCE: usize = 64;
/// Refusals or failures of one kind in a window that raise an alarm.
pub const ALARM: u64 = 100;
/// Entries that wait for a store that cannot write; further ones are counted as `others`.
const WAITING: usize = 2_048;
/// What counts for all that has no counter of its own.
const OTHERS: &str = "others";

/// Something that happened and is to be audited. Equal ones but for `details` are of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    kind: Kind,
    details: Map<String, Value>,
    times: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    share: Share,
    actor: Actor,
    channel: Channel,
    operation: String,
    target: Option<String>,
    outcome: AuditOutcome,
}

/// Whose counters an event takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Share {
    /// Accounts, applications, and the local admin: the site knows them.
    Known,
    /// Addresses that anyone may have.
    Source,
}

impl Share {
    const fn of(self, known: usize) -> usize {
        match self {
            Self::Known => known,
            Self::Source => known / 2,
        }
    }
}

impl Occurrence {
    /// An event of a caller that the site knows.
    #[must_use]
    pub fn of_caller(caller: &Caller, operation: impl Into<String>, outcome: AuditOutcome) -> Self {
        Self::new(
            Share::Known,
            Actor::from(caller),
            caller.channel,
            operation,
            outcome,
        )
    }

    /// An event of an application that was verified.
    #[must_use]
    pub fn of_application(
        id: &ApplicationId,
        channel: Channel,
        operation: impl Into<String>,
        outcome: AuditOutcome,
    ) -> Self {
        let actor = Actor {
            account: None,
            name: format!("application {id}"),
        };
        Self::new(Share::Known, actor, channel, operation, outcome)
    }

    /// An event of a source that proved nothing.
    #[must_use]
    pub fn of_source(
        source: Source,
        channel: Channel,
        operation: impl Into<String>,
        outcome: AuditOutcome,
    ) -> Self {
        let actor = Actor {
            account: None,
            name: source.to_string(),
        };
        Self::new(Share::Source, actor, channel, operation, outcome)
    }

    fn new(
        share: Share,
        actor: Actor,
        channel: Channel,
        operation: impl Into<String>,
        outcome: AuditOutcome,
    ) -> Self {
        Self {
            kind: Kind {
                share,
                actor,
                channel,
                operation: operation.into(),
                target: None,
                outcome,
            },
            details: Map::new(),
            times: 1,
        }
    }

    /// The same of a target: it is part of the kind. Not for what an unverified client may choose.
    #[must_use]
    pub fn to(mut self, target: impl Into<String>) -> Self {
        self.kind.target = Some(target.into());
        self
    }

    /// The same with more to tell. An entry that stands for several events has the details of the last.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The same, so many times.
    #[must_use]
    pub const fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }
}

/// One kind of event happened often: the operator should look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Who acts.
    pub actor: String,
    /// Which operation.
    pub operation: String,
    /// What comes of it.
    pub outcome: AuditOutcome,
    /// How often so far in this window.
    pub count: u64,
}

/// An entry to be written, and for how many events it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    kind: Kind,
    counter: Counter,
}

impl Counted {
    /// The entry.
    #[must_use]
    pub fn draft(&self) -> AuditDraft {
        let Counter {
            unwritten,
            since,
            last,
            ..
        } = self.counter;
        let mut details = self.counter.details.clone();
        if unwritten > 1 {
            details.insert("count".to_owned(), json!(unwritten));
            details.insert("since".to_owned(), json!(since));
        }
        AuditDraft {
            time: last,
            actor: self.kind.actor.clone(),
            channel: self.kind.channel,
            operation: self.kind.operation.clone(),
            target: self.kind.target.clone(),
            outcome: self.kind.outcome,
            details: Value::Object(details).to_string(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Counter {
    /// All events of this window.
    total: u64,
    /// Those that no entry stands for yet.
    unwritten: u64,
    since: Timestamp,
    last: Timestamp,
    details: Map<String, Value>,
}

/// The events of a window, and the entries that wait to be written.
#[derive(Debug)]
pub struct Coalesced {
    since: Timestamp,
    counters: HashMap<Kind, Counter>,
    /// How many counters, and entries at once, each share has used.
    used: HashMap<Share, Used>,
    /// How many counters an actor has.
    of_actor: HashMap<Actor, usize>,
    waiting: Vec<Counted>,
    alarms: Vec<Alarm>,
}

#[derive(Debug, Default)]
struct Used {
    counters: usize,
    at_once: usize,
}

impl Default for Coalesced {
    fn default() -> Self {
        Self {
            since: Timestamp::from_millis(0),
            counters: HashMap::new(),
            used: HashMap::new(),
            of_actor: HashMap::new(),
            waiting: Vec::new(),
            alarms: Vec::new(),
        }
    }
}

impl Coalesced {
    /// Counts an event. `true` when an entry waits to be written: [`Coalesced::take`] it.
    pub fn record(&mut self, occurrence: Occurrence, now: Timestamp) -> bool {
        self.turn(now);
        let Occurrence {
            kind,
            details,
            times,
        } = occurrence;
        let kind = self.place(kind);
        self.count(kind, details, times, now);
        !self.waiting.is_empty()
    }

    /// Whether there are entries to be written now.
    #[must_use]
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        self.turn(now);
        !self.waiting.is_empty()
    }

    /// The entries to be written now: the first ones of their kinds, and those of a window that is over.
    #[must_use]
    pub fn take(&mut self, now: Timestamp) -> Vec<Counted> {
        self.turn(now);
        std::mem::take(&mut self.waiting)
    }

    /// All entries, also of the window that is not over: the site stops.
    #[must_use]
    pub fn take_all(&mut self) -> Vec<Counted> {
        self.end();
        std::mem::take(&mut self.waiting)
    }

    /// Entries that could not be written: they wait for the next time.
    pub fn put_back(&mut self, entries: impl IntoIterator<Item = Counted>) {
        for entry in entries {
            self.wait(entry);
        }
    }

    /// What the operator should look at; each is given once.
    #[must_use]
    pub fn alarms(&mut self) -> Vec<Alarm> {
        std::mem::take(&mut self.alarms)
    }

    /// Begins a new window when this one is over, or the clock was set back.
    fn turn(&mut self, now: Timestamp) {
        let age = now.millis().saturating_sub(self.since.millis());
        if !(0..i64::try_from(WINDOW).unwrap_or(i64::MAX)).contains(&age) {
            self.end();
            self.since = now;
        }
    }

    fn end(&mut self) {
        self.used.clear();
        self.of_actor.clear();
        let counters = std::mem::take(&mut self.counters).into_iter();
        let mut ended: Vec<Counted> = counters
            .filter(|(_, counter)| counter.unwritten > 0)
            .map(|(kind, counter)| Counted { kind, counter })
            .collect();
        ended.sort_by_key(|entry| entry.counter.last);
        self.put_back(ended);
    }

    /// The kind under which an event is counted: its own, or `others`.
    fn place(&mut self, mut kind: Kind) -> Kind {
        if self.counters.contains_key(&kind) {
            return kind;
        }
        let of_actor = self.of_actor.get(&kind.actor).copied().unwrap_or_default();
        if of_actor >= OF_ONE {
            kind.operation = OTHERS.to_owned();
            kind.target = None;
            // An actor has these as well: one for each door and outcome.
            return kind;
        }
        let used = self.used.entry(kind.share).or_default();
        if used.counters >= kind.share.of(OF_ALL) {
            return others(&kind);
        }
        used.counters += 1;
        *self.of_actor.entry(kind.actor.clone()).or_default() += 1;
        kind
    }

    fn count(&mut self, kind: Kind, details: Map<String, Value>, times: u64, now: Timestamp) {
        let counter = self.counters.entry(kind.clone()).or_insert(Counter {
            total: 0,
            unwritten: 0,
            since: now,
            last: now,
            details: Map::new(),
        });
        let first = counter.total == 0;
        let before = counter.total;
        counter.total = counter.total.saturating_add(times);
        counter.unwritten = counter.unwritten.saturating_add(times);
        counter.last = now;
        counter.details = details;
        let reached = before < ALARM && counter.total >= ALARM;
        if reached && kind.outcome != AuditOutcome::Done && self.alarms.len() < OF_ALL {
            self.alarms.push(Alarm {
                actor: kind.actor.name.clone(),
                operation: kind.operation.clone(),
                outcome: kind.outcome,
                count: counter.total,
            });
        }
        let used = self.used.entry(kind.share).or_default();
        if first && used.at_once < kind.share.of(AT_ONCE) {
            used.at_once += 1;
            let entry = counter.clone();
            counter.unwritten = 0;
            self.wait(Counted {
                kind,
                counter: entry,
            });
        }
    }

    fn wait(&mut self, entry: Counted) {
        if self.waiting.len() < WAITING {
            return self.waiting.push(entry);
        }
        // The store has been unable to write for many windows: the count is kept, and no more.
        let kind = others(&entry.kind);
        let same = self.waiting.iter_mut().find(|other| other.kind == kind);
        match same {
            Some(other) => {
                let times = entry.counter.unwritten;
                other.counter.unwritten = other.counter.unwritten.saturating_add(times);
                other.counter.last = entry.counter.last;
            }
            None => self.waiting.push(Counted {
                kind,
                counter: entry.counter,
            }),
        }
    }
}

/// What counts for all that have no counter: one for each share, door and outcome.
fn others(kind: &Kind) -> Kind {
    Kind {
        actor: Actor {
            account: None,
            name: OTHERS.to_owned(),
        },
        operation: OTHERS.to_owned(),
        target: None,
        ..kind.clone()
    }
}

#[cfg(test)]
mod tests;
