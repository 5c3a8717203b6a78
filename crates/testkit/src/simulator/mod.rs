//! The life of a session, simulated whole: two ends that do what they like in any order, bytes that
//! arrive in pieces of any length, a connection that is lost at any byte, clocks that are set, and somebody
//! in between. What each end hears is compared with what the other said; a life that breaks a promise of
//! the session protocol panics.
//!
//! ```
//! use countersign_proto::session::{EncryptionOption, OptionList};
//! use countersign_testkit::life::{Act, Choices, Life};
//! use countersign_testkit::site::Site;
//!
//! let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
//! let mut life = Life::new(&site, Choices::seeded(1));
//! life.act(Act::Ask);
//! life.live(20);
//! life.settle();
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
use crate::wire::Way;
use content::Stream;
use opening::open;

pub use action::Action;
pub use choices::Choices;

/// A day of virtual time, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1_000;
/// What the server's clock shows when a session begins.
const START: u64 = 1_000 * DAY;
/// When a session expires: some steps of the clock lead there.
const EXPIRES: u64 = START + 2 * DAY + DAY / 2;
/// Two ends that have said the rest are done long before this many rounds.
const MOST_ROUNDS: usize = 10_000;
/// Bytes under way in one direction before its sender waits.
const UNDER_WAY: usize = 200_000;

/// What happened in a life: a test that tries many holds that they were worth it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Happened {
    /// Operations that were answered.
    pub answered: u64,
    /// Contents that came whole.
    pub whole: u64,
    /// Answers to an offer of new keys.
    pub renewed: u64,
    /// Connections that were lost, and the session returned to.
    pub returned: u64,
    /// Harm that was done in between, each time found.
    pub harmed: u64,
    /// Sessions that ended because their time was over.
    pub expired: u64,
}

impl Happened {
    /// Adds what happened in another life.
    pub fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.whole += other.whole;
        self.renewed += other.renewed;
        self.returned += other.returned;
        self.harmed += other.harmed;
        self.expired += other.expired;
    }

    /// Whether all of it happened at least so often.
    #[must_use]
    pub fn is_at_least(&self, least: &Self) -> bool {
        self.answered >= least.answered
            && self.whole >= least.whole
            && self.renewed >= least.renewed
            && self.returned >= least.returned
            && self.harmed >= least.harmed
            && self.expired >= least.expired
    }
}

/// Both ends, what is under way between them, and what each is to hear.
pub struct Simulator<'a> {
    site: &'a Site,
    choices: Choices,
    entropy: SeededEntropy,
    client: LoggedIn,
    server: server::ServerSession,
    /// Bytes under way, by [`Way`].
    wires: [Vec<u8>; 2],
    inboxes: [Inbox; 2],
    /// Packets that were under way lately, by [`Way`], for whoever repeats them.
    lately: [VecDeque<Vec<u8>>; 2],
    next_id: u64,
    asked: BTreeMap<u64, Operation>,
    heard: BTreeSet<u64>,
    answered: BTreeSet<u64>,
    /// Events that the client has not heard yet.
    told: VecDeque<Event>,
    /// Content by id: of operations, of results.
    up: BTreeMap<u64, Stream>,
    down: BTreeMap<u64, Stream>,
    /// What the server's clock shows. The client's machine is given none.
    now: u64,
    happened: Happened,
}

/// An operation whose parameters are a string of that length.
#[must_use]
pub fn operation(id: u64, length: u64) -> Operation {
    let text = "x".repeat(usize::try_from(length).unwrap());
    Operation::new(id, "test", "echo", to_raw_value(&text).unwrap())
}

impl<'a> Simulator<'a> {
    /// A session of the site's service, just opened under an option that the dice say.
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
            lately: Default::default(),
            next_id: 1,
            asked: BTreeMap::new(),
            heard: BTreeSet::new(),
            answered: BTreeSet::new(),
            told: VecDeque::new(),
            up: BTreeMap::new(),
            down: BTreeMap::new(),
            now: START,
            happened: Happened::default(),
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn happened(&self) -> Happened {
        self.happened
    }

    /// So many acts, or as many as the dice have numbers for; after each some of what is under way
    /// arrives.
    pub fn live(&mut self, acts: usize) {
        for _ in 0..acts {
            if self.choices.is_spent() {
                break;
            }
            let act = Action::some(&mut self.choices);
            self.act(act);
            for _ in 0..self.choices.below(4) {
                let way = some_way(&mut self.choices);
                let most = 1 + self.choices.below(4_000);
                self.deliver(way, most).unwrap();
            }
        }
    }

    /// Everybody says the rest and hears it: nobody waits for ever, and nothing was lost.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < MOST_ROUNDS, "the two ends are stuck");
            self.end_and_use_all_content();
            self.flush();
            if self.wires.iter().all(Vec::is_empty) {
                break;
            }
            for way in [Way::ToServer, Way::ToClient] {
                self.deliver(way, usize::MAX).unwrap();
            }
        }
        for id in self.asked.keys() {
            let done = self.heard.contains(id) && self.answered.contains(id);
            assert!(done, "operation {id}");
        }
        assert!(self.told.is_empty(), "events were not heard");
        for stream in self.up.values().chain(self.down.values()) {
            assert!(stream.is_over(), "content was not heard");
        }
        let queued = self.client.session.queued_bytes() + self.server.queued_bytes();
        assert_eq!(queued, 0);
    }

    /// Some of what is under way arrives, and is heard; how many bytes. An error is of an end that refused
    /// it; a session whose time is over is none, and is followed by a new one.
    ///
    /// # Errors
    /// A [`Refusal`]: of what an honest pair said, a fault.
    pub fn deliver(&mut self, way: Way, most: usize) -> Result<usize, SessionRefusal> {
        self.flush();
        let wire = &mut self.wires[way as usize];
        let arriving = wire.len().min(most);
        let inbox = &mut self.inboxes[way as usize];
        inbox.tail(arriving).extend(wire.drain(..arriving));
        match way {
            Way::ToClient => self.client_hears()?,
            Way::ToServer => {
                let over = self.now >= EXPIRES;
                let heard = self.server_hears();
                assert_eq!(heard == Err(SessionRefusal::Expired), over, "{heard:?}");
                if over {
                    self.happened.expired += 1;
                    self.begin_again();
                } else {
                    heard?;
                }
            }
        }
        Ok(arriving)
    }

    /// Moves what the ends have to say onto the wires.
    fn flush(&mut self) {
        let before = [self.wires[0].len(), self.wires[1].len()];
        let [to_server, to_client] = &mut self.wires;
        if to_server.len() < UNDER_WAY {
            self.client.session.flush(to_server).unwrap();
        }
        if to_client.len() < UNDER_WAY {
            self.server.flush(to_client).unwrap();
        }
        self.remember(before);
    }

    /// The connection is lost with all that is under way, and the client returns to its session.
    fn lose(&mut self) {
        let option = some_option(self.site, &mut self.choices);
        let back = Some(&self.client);
        let opened = open(self.site, option, back, &mut self.entropy);
        self.go_on_with(opened);
        self.happened.returned += 1;
    }

    /// The session is over, and the service logs in anew.
    fn begin_again(&mut self) {
        let option = some_option(self.site, &mut self.choices);
        let opened = open(self.site, option, None, &mut self.entropy);
        self.go_on_with(opened);
        self.now = START;
    }

    fn go_on_with(&mut self, (client, server): (LoggedIn, server::ServerSession)) {
        (self.client, self.server) = (client, server);
        self.wires = Default::default();
        self.inboxes = Default::default();
        // Nobody knows what came of what was under way.
        for id in self.asked.keys() {
            self.heard.insert(*id);
            self.answered.insert(*id);
        }
        self.told.clear();
        self.up.clear();
        self.down.clear();
    }
}

fn some_option(site: &Site, choices: &mut Choices) -> EncryptionOption {
    let options = site.settings.options.ranked();
    options[choices.below(options.len())]
}

fn some_way(choices: &mut Choices) -> Way {
    match choices.one_in(2) {
        true => Way::ToServer,
        false => Way::ToClient,
    }
}
