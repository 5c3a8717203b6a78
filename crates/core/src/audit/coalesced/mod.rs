//! Audit entries of events that a client can repeat without limit: refusals, failed logins,
//! penalties, tickets.
//!
//! The first event of a kind in a window is written at once. Later ones are counted and written as
//! one entry with their count when the window ends. The *kind* of an event is its actor, how it
//! arrived, its operation, target and outcome.
//!
//! ```text
//! event ──▶ first of its kind in this window? ──yes──▶ entry at once, if the limit permits
//!                        │no                                    │limit reached
//!                        ▼                                      ▼
//!                     counter ◀─────────────────────────────────┘
//!                        │window ends, or the site stops
//!                        ▼
//!                 one entry with a count
//! ```
//!
//! Everything is bounded: the counters per actor, all counters, and the entries that are written at
//! once. Events beyond a limit are counted under the operation `others`. Accounts and applications
//! have limits of their own, so that unauthenticated clients cannot use up their counters.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Actor, AuditDraft, AuditOutcome};
use crate::access::{Arrival, Caller, Channel};
use crate::applications::ApplicationId;
use crate::throttle::Source;
use crate::timestamp::Timestamp;

/// The length of a window, in milliseconds.
pub const WINDOW: u64 = 60_000;
/// The maximum number of counters per actor in a window. Further kinds share the actor's counter
/// `others`.
pub const MAX_COUNTERS_PER_ACTOR: usize = 32;
/// The maximum number of counters of all accounts and applications in a window. Sources have half
/// as many.
pub const MAX_COUNTERS: usize = 256;
/// The maximum number of entries that are written at once in a window for accounts and
/// applications. Sources have half as many.
pub const MAX_IMMEDIATE: usize = 64;
/// The number of refusals or failures of one kind in a window at which [`Repeated`] is reported.
pub const REPEATED_THRESHOLD: u64 = 100;
/// The maximum number of entries that wait while the store cannot write. Further ones are counted
/// as `others`.
const MAX_WAITING: usize = 2_048;
/// The name under which events without a counter of their own are counted.
pub(crate) const OTHERS: &str = "others";

/// An event to audit. Events that differ only in `details` are of the same kind.
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
    arrival: Arrival,
    operation: String,
    target: Option<String>,
    outcome: AuditOutcome,
    /// Whether many of them are [`Repeated`].
    is_reported: bool,
}

/// The group of actors whose limits apply to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Share {
    /// Accounts, applications and the local admin, which the site knows.
    Known,
    /// Source addresses, which any client may have.
    Source,
}

impl Share {
    const fn limit(self, known: usize) -> usize {
        match self {
            Self::Known => known,
            Self::Source => known / 2,
        }
    }
}

impl Occurrence {
    /// Makes an event of a caller that the site knows.
    #[must_use]
    pub fn of_caller(caller: &Caller, operation: impl Into<String>, outcome: AuditOutcome) -> Self {
        Self::new(
            Share::Known,
            Actor::from(caller),
            caller.arrival(),
            operation,
            outcome,
        )
    }

    /// Makes an event of an authenticated application.
    #[must_use]
    pub fn of_application(
        id: &ApplicationId,
        arrival: Arrival,
        operation: impl Into<String>,
        outcome: AuditOutcome,
    ) -> Self {
        let actor = Actor {
            account: None,
            name: format!("application {id}"),
        };
        Self::new(Share::Known, actor, arrival, operation, outcome)
    }

    /// Makes an event of a source that did not authenticate.
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
        let arrival = Arrival {
            channel,
            credential: None,
        };
        Self::new(Share::Source, actor, arrival, operation, outcome)
    }

    fn new(
        share: Share,
        actor: Actor,
        arrival: Arrival,
        operation: impl Into<String>,
        outcome: AuditOutcome,
    ) -> Self {
        Self {
            kind: Kind {
                share,
                actor,
                arrival,
                operation: operation.into(),
                target: None,
                outcome,
                is_reported: true,
            },
            details: Map::new(),
            times: 1,
        }
    }

    /// Returns the operation.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.kind.operation
    }

    /// Returns the event with a target, which is part of its kind. Do not use a value that an
    /// unauthenticated client can choose.
    #[must_use]
    pub fn to(mut self, target: impl Into<String>) -> Self {
        self.kind.target = Some(target.into());
        self
    }

    /// Returns the event as one that may be another's doing than the actor's. It is audited, and no number of
    /// them is [`Repeated`]: that asks the operator to act against the actor.
    #[must_use]
    pub const fn unreported(mut self) -> Self {
        self.kind.is_reported = false;
        self
    }

    /// Returns the event with one more detail. An entry for several events has the details of the
    /// last.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Returns the event with this count.
    #[must_use]
    pub const fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }
}

/// Many events of one kind, which need the operator's attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// The name of the actor.
    pub actor: String,
    /// The operation.
    pub operation: String,
    /// The outcome.
    pub outcome: AuditOutcome,
    /// How many events of this kind there were so far in the window.
    pub count: u64,
}

/// An entry to write, with the number of events that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    kind: Kind,
    counter: Counter,
}

impl Counted {
    /// Returns the audit entry.
    #[must_use]
    pub fn draft(&self) -> AuditDraft {
        let Counter {
            unwritten,
            since,
            last,
            ..
        } = self.counter;
        let mut details = self.counter.details.clone();
        if let Some(credential) = &self.kind.arrival.credential {
            let (name, credential) = credential.as_detail();
            details.insert(name.to_owned(), credential.into());
        }
        if unwritten > 1 {
            details.insert("count".to_owned(), json!(unwritten));
            details.insert("since".to_owned(), json!(since));
        }
        AuditDraft {
            time: last,
            actor: self.kind.actor.clone(),
            channel: self.kind.arrival.channel,
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
    /// The events that are in no entry yet.
    unwritten: u64,
    since: Timestamp,
    last: Timestamp,
    details: Map<String, Value>,
}

/// The counters of the current window, and the entries that wait to be written.
#[derive(Debug)]
pub struct Coalesced {
    since: Timestamp,
    counters: HashMap<Kind, Counter>,
    /// How many counters and immediate entries each group of actors has used.
    used: HashMap<Share, Used>,
    /// How many counters each actor has.
    of_actor: HashMap<Actor, usize>,
    waiting: Vec<Counted>,
    repeated: Vec<Repeated>,
}

#[derive(Debug, Default)]
struct Used {
    counters: usize,
    immediate: usize,
}

impl Default for Coalesced {
    fn default() -> Self {
        Self {
            since: Timestamp::from_millis(0),
            counters: HashMap::new(),
            used: HashMap::new(),
            of_actor: HashMap::new(),
            waiting: Vec::new(),
            repeated: Vec::new(),
        }
    }
}

impl Coalesced {
    /// Counts an event. Returns `true` if entries wait to be written: then call
    /// [`Coalesced::take`].
    pub fn record(&mut self, occurrence: Occurrence, now: Timestamp) -> bool {
        self.advance(now);
        let Occurrence {
            kind,
            details,
            times,
        } = occurrence;
        let kind = self.counted_as(kind);
        self.count(kind, details, times, now);
        !self.waiting.is_empty()
    }

    /// Returns whether there are entries to write now.
    #[must_use]
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        self.advance(now);
        !self.waiting.is_empty()
    }

    /// Takes the entries to write now: the first of their kind, and those of windows that have
    /// ended.
    #[must_use]
    pub fn take(&mut self, now: Timestamp) -> Vec<Counted> {
        self.advance(now);
        std::mem::take(&mut self.waiting)
    }

    /// Takes all entries, including those of the current window. Call it when the site stops.
    #[must_use]
    pub fn take_all(&mut self) -> Vec<Counted> {
        self.end_window();
        std::mem::take(&mut self.waiting)
    }

    /// Puts back entries that could not be written. They are written later.
    pub fn put_back(&mut self, entries: impl IntoIterator<Item = Counted>) {
        for entry in entries {
            self.enqueue(entry);
        }
    }

    /// Takes the kinds of events that reached [`REPEATED_THRESHOLD`]. Each is returned once.
    #[must_use]
    pub fn take_repeated(&mut self) -> Vec<Repeated> {
        std::mem::take(&mut self.repeated)
    }

    /// Starts a new window if the current one has ended, or the clock was set back.
    fn advance(&mut self, now: Timestamp) {
        let age = now.millis().saturating_sub(self.since.millis());
        if !(0..i64::try_from(WINDOW).unwrap_or(i64::MAX)).contains(&age) {
            self.end_window();
            self.since = now;
        }
    }

    fn end_window(&mut self) {
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

    /// Returns the kind under which an event is counted: its own, or `others`.
    fn counted_as(&mut self, mut kind: Kind) -> Kind {
        if self.counters.contains_key(&kind) {
            return kind;
        }
        let of_actor = self.of_actor.get(&kind.actor).copied().unwrap_or_default();
        if of_actor >= MAX_COUNTERS_PER_ACTOR {
            kind.operation = OTHERS.to_owned();
            kind.target = None;
            kind.arrival.credential = None;
            // An actor has at most one such counter per channel and outcome in addition.
            return kind;
        }
        let used = self.used.entry(kind.share).or_default();
        if used.counters >= kind.share.limit(MAX_COUNTERS) {
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
        let reached = before < REPEATED_THRESHOLD && counter.total >= REPEATED_THRESHOLD;
        let is_reported = kind.is_reported && kind.outcome != AuditOutcome::Done;
        if reached && is_reported && self.repeated.len() < MAX_COUNTERS {
            self.repeated.push(Repeated {
                actor: kind.actor.name.clone(),
                operation: kind.operation.clone(),
                outcome: kind.outcome,
                count: counter.total,
            });
        }
        let used = self.used.entry(kind.share).or_default();
        if first && used.immediate < kind.share.limit(MAX_IMMEDIATE) {
            used.immediate += 1;
            let entry = counter.clone();
            counter.unwritten = 0;
            self.enqueue(Counted {
                kind,
                counter: entry,
            });
        }
    }

    fn enqueue(&mut self, entry: Counted) {
        if self.waiting.len() < MAX_WAITING {
            return self.waiting.push(entry);
        }
        // The store has been unable to write for many windows, so only the count is kept.
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

/// Returns the kind that counts events without a counter: one per group of actors, channel and
/// outcome.
fn others(kind: &Kind) -> Kind {
    Kind {
        actor: Actor {
            account: None,
            name: OTHERS.to_owned(),
        },
        arrival: Arrival {
            credential: None,
            ..kind.arrival
        },
        operation: OTHERS.to_owned(),
        target: None,
        ..kind.clone()
    }
}

#[cfg(test)]
mod tests;
