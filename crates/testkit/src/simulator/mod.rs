//! Simulates a whole session. Client and server perform actions in a random order, bytes arrive in
//! pieces of any length, the connection is lost at any byte, the server's clock is set, and an
//! attacker on the network mutates packets. The simulator compares what each end receives with what
//! the other sent, and panics when a requirement of the session protocol is violated.
//!
//! ```
//! use countersign_proto::session::{EncryptionOption, OptionList};
//! use countersign_testkit::simulator::{Action, Choices, Simulator};
//! use countersign_testkit::site::Site;
//!
//! let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
//! let mut simulator = Simulator::new(&site, Choices::seeded(1));
//! simulator.perform(Action::SendOperation);
//! simulator.run(20);
//! simulator.settle();
//! ```

mod action;
mod choices;
mod content;
mod expectation;
mod mutation;
mod opening;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use countersign_proto::operation::{Event, Operation};
use countersign_proto::session::client::LoggedIn;
use countersign_proto::session::{EncryptionOption, Inbox, SessionRefusal, server};
use serde_json::value::to_raw_value;

use crate::entropy::SeededEntropy;
use crate::site::Site;
use crate::wire::Direction;
use content::Stream;
use opening::open;

pub use action::Action;
pub use choices::Choices;

/// A day of virtual time, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1_000;
/// The server's time when a session begins, in milliseconds.
const START: u64 = 1_000 * DAY;
/// The time at which a session expires. A few settings of the clock reach it.
const EXPIRES: u64 = START + 2 * DAY + DAY / 2;
/// If the ends still send after this many rounds of delivery, they are stuck.
const MAX_ROUNDS: usize = 10_000;
/// The number of bytes in flight in one direction at which its sender waits.
const MAX_IN_FLIGHT: usize = 200_000;

/// How often each kind of event occurred. Tests assert that their seeds caused enough of each.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Results that the client received.
    pub results: u64,
    /// Contents that arrived completely.
    pub contents: u64,
    /// Renewals of the session's keys.
    pub rekeyings: u64,
    /// Connections that were lost, after which the client resumed the session.
    pub resumptions: u64,
    /// Mutations by the attacker, each of which was detected.
    pub mutations: u64,
    /// Sessions that expired.
    pub expirations: u64,
}

impl Counts {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: Self) {
        self.results += other.results;
        self.contents += other.contents;
        self.rekeyings += other.rekeyings;
        self.resumptions += other.resumptions;
        self.mutations += other.mutations;
        self.expirations += other.expirations;
    }

    /// Whether each count is at least that of `least`.
    #[must_use]
    pub fn is_at_least(&self, least: &Self) -> bool {
        self.results >= least.results
            && self.contents >= least.contents
            && self.rekeyings >= least.rekeyings
            && self.resumptions >= least.resumptions
            && self.mutations >= least.mutations
            && self.expirations >= least.expirations
    }
}

/// Both ends, the bytes in flight between them, and what each end is expected to receive.
pub struct Simulator<'a> {
    site: &'a Site,
    choices: Choices,
    entropy: SeededEntropy,
    client: LoggedIn,
    server: server::ServerSession,
    /// Bytes in flight, by [`Direction`].
    wires: [Vec<u8>; 2],
    inboxes: [Inbox; 2],
    /// Recent packets, by [`Direction`], for the attacker to replay.
    recent: [VecDeque<Vec<u8>>; 2],
    next_id: u64,
    sent_operations: BTreeMap<u64, Operation>,
    received_operations: BTreeSet<u64>,
    received_results: BTreeSet<u64>,
    /// Events that the client has not received yet.
    pending_events: VecDeque<Event>,
    /// The content of operations (`up`) and of results (`down`), by message id.
    up: BTreeMap<u64, Stream>,
    down: BTreeMap<u64, Stream>,
    /// The server's time, in milliseconds. The client needs no clock.
    now: u64,
    counts: Counts,
}

/// An operation whose parameters are a string of `length` characters.
#[must_use]
pub fn operation(id: u64, length: u64) -> Operation {
    let text = "x".repeat(usize::try_from(length).unwrap());
    Operation::new(id, "test", "echo", to_raw_value(&text).unwrap())
}

impl<'a> Simulator<'a> {
    /// A new session of the site's service with a random option.
    #[must_use]
    pub fn new(site: &'a Site, mut choices: Choices) -> Self {
        let mut entropy = SeededEntropy::new(0).fork("simulator");
        let option = some_option(site, &mut choices);
        let (client, server) = open(site, option, None, &mut entropy);
        Self {
            site,
            choices,
            entropy,
            client,
            server,
            wires: Default::default(),
            inboxes: Default::default(),
            recent: Default::default(),
            next_id: 1,
            sent_operations: BTreeMap::new(),
            received_operations: BTreeSet::new(),
            received_results: BTreeSet::new(),
            pending_events: VecDeque::new(),
            up: BTreeMap::new(),
            down: BTreeMap::new(),
            now: START,
            counts: Counts::default(),
        }
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Performs random actions, and delivers random parts of the bytes in flight after each. Stops
    /// early when the choices are used up.
    pub fn run(&mut self, actions: usize) {
        for _ in 0..actions {
            if self.choices.is_spent() {
                break;
            }
            let action = Action::some(&mut self.choices);
            self.perform(action);
            for _ in 0..self.choices.below(4) {
                let direction = some_direction(&mut self.choices);
                let max = 1 + self.choices.below(4_000);
                self.deliver(direction, max).unwrap();
            }
        }
    }

    /// Delivers everything, and asserts that both ends received all that the other sent.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < MAX_ROUNDS, "the two ends are stuck");
            self.end_and_consume_all_content();
            self.flush();
            if self.wires.iter().all(Vec::is_empty) {
                break;
            }
            for direction in [Direction::ToServer, Direction::ToClient] {
                self.deliver(direction, usize::MAX).unwrap();
            }
        }
        for id in self.sent_operations.keys() {
            let done = self.received_operations.contains(id) && self.received_results.contains(id);
            assert!(done, "operation {id}");
        }
        assert!(self.pending_events.is_empty(), "events were not received");
        for stream in self.up.values().chain(self.down.values()) {
            assert!(stream.is_over(), "content was not received");
        }
        let queued = self.client.session.queued_bytes() + self.server.queued_bytes();
        assert_eq!(queued, 0);
    }

    /// Delivers at most `max` bytes in one direction, and returns how many were delivered. If the
    /// session has expired, the service logs in again.
    ///
    /// # Errors
    /// The [`SessionRefusal`] of the receiver. Without a mutation this is a fault of the protocol.
    pub fn deliver(&mut self, direction: Direction, max: usize) -> Result<usize, SessionRefusal> {
        self.flush();
        let wire = &mut self.wires[direction as usize];
        let arriving = wire.len().min(max);
        let inbox = &mut self.inboxes[direction as usize];
        inbox.tail(arriving).extend(wire.drain(..arriving));
        match direction {
            Direction::ToClient => self.client_receives()?,
            Direction::ToServer => {
                let expired = self.now >= EXPIRES;
                let received = self.server_receives();
                assert_eq!(
                    received == Err(SessionRefusal::Expired),
                    expired,
                    "{received:?}"
                );
                if expired {
                    self.counts.expirations += 1;
                    self.log_in_again();
                } else {
                    received?;
                }
            }
        }
        Ok(arriving)
    }

    /// Moves the output of both ends onto the wires.
    fn flush(&mut self) {
        let before = [self.wires[0].len(), self.wires[1].len()];
        let [to_server, to_client] = &mut self.wires;
        if to_server.len() < MAX_IN_FLIGHT {
            self.client.session.flush(to_server).unwrap();
        }
        if to_client.len() < MAX_IN_FLIGHT {
            self.server.flush(to_client).unwrap();
        }
        self.remember(before);
    }

    /// Drops the connection and all bytes in flight; the client resumes its session.
    fn lose_connection(&mut self) {
        let option = some_option(self.site, &mut self.choices);
        let previous = Some(&self.client);
        let opened = open(self.site, option, previous, &mut self.entropy);
        self.replace_session(opened);
        self.counts.resumptions += 1;
    }

    /// The service logs in again after the session expired.
    fn log_in_again(&mut self) {
        let option = some_option(self.site, &mut self.choices);
        let opened = open(self.site, option, None, &mut self.entropy);
        self.replace_session(opened);
        self.now = START;
    }

    fn replace_session(&mut self, (client, server): (LoggedIn, server::ServerSession)) {
        (self.client, self.server) = (client, server);
        self.wires = Default::default();
        self.inboxes = Default::default();
        // Neither end knows whether the messages in flight were processed.
        for id in self.sent_operations.keys() {
            self.received_operations.insert(*id);
            self.received_results.insert(*id);
        }
        self.pending_events.clear();
        self.up.clear();
        self.down.clear();
    }
}

fn some_option(site: &Site, choices: &mut Choices) -> EncryptionOption {
    let options = site.settings.options.ranked();
    options[choices.below(options.len())]
}

fn some_direction(choices: &mut Choices) -> Direction {
    match choices.one_in(2) {
        true => Direction::ToServer,
        false => Direction::ToClient,
    }
}
