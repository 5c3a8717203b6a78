//! The life of a session by fixed seeds: operations, content, cancels, fresh keys from both sides and
//! returns after the connection was lost at any byte, in any order; bytes arrive in pieces of any length.
//! What each end hears is what the other said, and when everybody has been heard nothing is left over.

mod hearing;
mod opening;

use std::collections::{BTreeMap, BTreeSet};

use countersign_proto::operation::Operation;
use countersign_proto::session::client::LoggedIn;
use countersign_proto::session::server;
use countersign_proto::session::{EncryptionOption, Inbox, OptionList};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::site::Site;

use crate::random::operation;
use crate::seeds::seeds;
use opening::open;

const EXPIRES: u64 = 1_000_000;

/// What one end sent as content under an id, and what the other end has of it.
#[derive(Default)]
struct Stream {
    sent: Vec<u8>,
    heard: Vec<u8>,
    ended: bool,
    whole: bool,
    cancelled: bool,
    /// What was heard and not told as used yet.
    unused: u64,
}

/// Both ends, what is under way between them, and what they know of each other.
struct Life<'a> {
    site: &'a Site,
    dice: SeededEntropy,
    entropy: SeededEntropy,
    client: LoggedIn,
    server: server::Session,
    /// Bytes under way: to the server, to the client.
    wires: [Vec<u8>; 2],
    inboxes: [Inbox; 2],
    next_id: u64,
    asked: BTreeMap<u64, Operation>,
    heard: BTreeSet<u64>,
    answered: BTreeSet<u64>,
    /// Content by id: of operations, of results.
    up: BTreeMap<u64, Stream>,
    down: BTreeMap<u64, Stream>,
    renewed: u32,
    returned: u32,
    /// The server's clock.
    now: u64,
}

impl<'a> Life<'a> {
    fn new(site: &'a Site, seed: u64) -> Self {
        let mut dice = SeededEntropy::new(seed).fork("life");
        let mut entropy = dice.fork("entropy");
        let option = EncryptionOption::ALL[dice.below(EncryptionOption::ALL.len())];
        let (client, server) = open(site, option, None, &mut entropy);
        Self {
            site,
            dice,
            entropy,
            client,
            server,
            wires: [Vec::new(), Vec::new()],
            inboxes: [Inbox::default(), Inbox::default()],
            next_id: 1,
            asked: BTreeMap::new(),
            heard: BTreeSet::new(),
            answered: BTreeSet::new(),
            up: BTreeMap::new(),
            down: BTreeMap::new(),
            renewed: 0,
            returned: 0,
            now: 0,
        }
    }

    fn some_option(&mut self) -> EncryptionOption {
        EncryptionOption::ALL[self.dice.below(EncryptionOption::ALL.len())]
    }

    /// Something that either end does of its own accord.
    fn act(&mut self) {
        match self.dice.below(12) {
            0..=2 => {
                let length = [0, 10, 300, 40_000][self.dice.below(4)];
                let operation = operation(self.next_id, length);
                self.next_id += 1;
                self.client.session.send_operation(&operation).unwrap();
                self.asked.insert(operation.id, operation);
            }
            3 => {
                let operation = operation(self.next_id, 10);
                self.next_id += 1;
                let session = &mut self.client.session;
                session.send_operation_with_content(&operation).unwrap();
                self.up.insert(operation.id, Stream::default());
                self.asked.insert(operation.id, operation);
            }
            4 | 5 => self.send_content(),
            6 => self.end_content(),
            7 => self.use_content(),
            8 => self.cancel(),
            9 => {
                let option = self.some_option();
                let session = &mut self.client.session;
                session.offer_keys(option, &mut self.entropy).unwrap();
            }
            10 => {
                self.server.offer_keys(&mut self.entropy).unwrap();
            }
            _ => {
                if self.dice.one_in(8) {
                    self.lose();
                }
            }
        }
    }

    fn some_stream(&mut self) -> Option<(bool, u64)> {
        let up = self.up.iter().map(|(id, stream)| (true, *id, stream));
        let down = self.down.iter().map(|(id, stream)| (false, *id, stream));
        let open: Vec<(bool, u64)> = up
            .chain(down)
            .filter(|(_, _, stream)| !stream.cancelled && !stream.whole)
            .map(|(up, id, _)| (up, id))
            .collect();
        let at = self.dice.below(open.len().max(1));
        open.get(at).copied()
    }

    fn stream(&mut self, up: bool, id: u64) -> &mut Stream {
        let streams = if up { &mut self.up } else { &mut self.down };
        streams.get_mut(&id).unwrap()
    }

    fn send_content(&mut self) {
        let Some((up, id)) = self.some_stream() else {
            return;
        };
        let wanted = match up {
            true => self.client.session.wants_content(id),
            false => self.server.wants_content(id),
        };
        let length = [1, 200, 3_000, 60_000][self.dice.below(4)];
        let byte = u8::try_from(self.dice.below(256)).unwrap();
        let stream = self.stream(up, id);
        if stream.ended || !wanted {
            return;
        }
        stream.sent.extend(std::iter::repeat_n(byte, length));
        match up {
            true => self.client.session.send_content(id, vec![byte; length]),
            false => self.server.send_content(id, vec![byte; length]),
        }
    }

    fn end_content(&mut self) {
        let Some((up, id)) = self.some_stream() else {
            return;
        };
        self.stream(up, id).ended = true;
        match up {
            true => self.client.session.end_content(id),
            false => self.server.end_content(id),
        }
    }

    fn use_content(&mut self) {
        let Some((up, id)) = self.some_stream() else {
            return;
        };
        let used = std::mem::take(&mut self.stream(up, id).unused);
        match up {
            true => self.server.consumed(id, used).unwrap(),
            false => self.client.session.consumed(id, used).unwrap(),
        }
    }

    /// Either end gives an operation's content up, in both directions.
    fn cancel(&mut self) {
        let Some((_, id)) = self.some_stream() else {
            return;
        };
        match self.dice.one_in(2) {
            true => self.client.session.cancel(id).unwrap(),
            false => self.server.cancel(id).unwrap(),
        }
        self.given_up(id);
    }

    fn given_up(&mut self, id: u64) {
        for streams in [&mut self.up, &mut self.down] {
            if let Some(stream) = streams.get_mut(&id) {
                stream.cancelled = true;
            }
        }
    }

    /// The connection is lost, whatever is under way; the client returns.
    fn lose(&mut self) {
        let option = self.some_option();
        let (client, server) = open(self.site, option, Some(&self.client), &mut self.entropy);
        self.client = client;
        self.server = server;
        self.wires = [Vec::new(), Vec::new()];
        self.inboxes = [Inbox::default(), Inbox::default()];
        // Nobody knows what came of what was under way.
        for id in self.asked.keys() {
            self.heard.insert(*id);
            self.answered.insert(*id);
        }
        self.up.clear();
        self.down.clear();
        self.returned += 1;
    }

    /// Somebody in between changes, drops, repeats or moves some of what is under way in one direction;
    /// whether there was anything.
    fn meddle(&mut self) -> bool {
        self.flush();
        let way = usize::from(self.dice.one_in(2));
        let wire = &mut self.wires[way];
        if wire.is_empty() {
            return false;
        }
        let before = wire.clone();
        let (at, other) = (self.dice.below(wire.len()), self.dice.below(wire.len()));
        let (from, to) = (at.min(other), at.max(other) + 1);
        match self.dice.below(4) {
            0 => wire[at] ^= 1 << self.dice.below(8),
            1 => drop(wire.drain(from..to)),
            2 => {
                let repeated = wire[from..to].to_vec();
                wire.splice(to..to, repeated);
            }
            _ => wire.swap(at, other),
        }
        *wire != before
    }

    /// Everybody says the rest and hears it.
    fn settle(&mut self) {
        for (id, stream) in &mut self.up {
            stream.ended = true;
            self.client.session.end_content(*id);
        }
        for round in 0.. {
            assert!(round < 10_000, "the two ends are stuck");
            for up in [true, false] {
                let ids: Vec<u64> = match up {
                    true => self.up.keys().copied().collect(),
                    false => self.down.keys().copied().collect(),
                };
                for id in ids {
                    let used = std::mem::take(&mut self.stream(up, id).unused);
                    match up {
                        true => self.server.consumed(id, used).unwrap(),
                        false => self.client.session.consumed(id, used).unwrap(),
                    }
                    if !up && !self.stream(up, id).ended {
                        self.stream(up, id).ended = true;
                        self.server.end_content(id);
                    }
                }
            }
            self.flush();
            if self.wires.iter().all(Vec::is_empty) {
                break;
            }
            for _ in 0..4 {
                self.deliver(1 << 20).unwrap();
            }
        }
        for id in self.asked.keys() {
            assert!(
                self.heard.contains(id) && self.answered.contains(id),
                "{id}"
            );
        }
        for stream in self.up.values().chain(self.down.values()) {
            assert!(stream.whole || stream.cancelled);
        }
        assert_eq!(
            self.client.session.queued_bytes() + self.server.queued_bytes(),
            0
        );
    }
}

/// [SES-23], [SES-40] to [SES-45], [SES-47] and [SES-48]
#[test]
fn an_honest_pair_understands_each_other_whatever_the_order_and_is_never_stuck() {
    let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
    let small = Site::offering(OptionList::new(EncryptionOption::ALL), 256);
    let (mut renewed, mut returned, mut whole) = (0, 0, 0);
    for seed in 0..seeds(5_000) {
        let place = if seed % 4 == 0 { &small } else { &site };
        let mut life = Life::new(place, seed);
        for _ in 0..40 {
            life.act();
            for _ in 0..life.dice.below(4) {
                life.deliver(4_000).unwrap();
            }
        }
        life.settle();
        renewed += life.renewed;
        returned += life.returned;
        whole += life
            .up
            .values()
            .chain(life.down.values())
            .filter(|stream| stream.whole)
            .count();
    }
    // The seeds are worth something only if all of this happened.
    assert!(
        renewed > 5_000 && returned > 500 && whole > 2_000,
        "{renewed} {returned} {whole}"
    );
}

/// [SES-19] and [SES-44]: whoever meddles ends the session, and nothing is heard that was not said.
#[test]
fn whatever_is_done_to_a_long_session_only_what_was_said_is_heard() {
    let site = Site::offering(OptionList::new(EncryptionOption::ALL), 4_096);
    let (mut meddled, mut refused) = (0, 0);
    for seed in 0..seeds(5_000) {
        let mut life = Life::new(&site, seed);
        let mut harmed = false;
        'life: for _ in 0..60 {
            life.act();
            if !harmed && life.dice.one_in(20) {
                harmed = life.meddle();
                meddled += u64::from(harmed);
            }
            if life.returned > 0 && harmed {
                // The harm was lost with the connection.
                break 'life;
            }
            for _ in 0..life.dice.below(4) {
                // What is heard is compared with what was said where it is heard.
                if life.deliver(4_000).is_err() {
                    assert!(harmed, "seed {seed}: an honest pair");
                    refused += 1;
                    break 'life;
                }
            }
        }
    }
    assert!(
        meddled > 3_000 && refused > meddled / 2,
        "{meddled} {refused}"
    );
}

/// [SES-29] and [SES-46]: a clock that is set by a day ends what is over and nothing else.
#[test]
fn a_clock_that_jumps_ends_sessions_that_are_over_and_no_others() {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
    for seed in 0..seeds(200) {
        let mut life = Life::new(&site, seed);
        // The session's own time is a thousand seconds from now, by this clock.
        for now in [DAY, 0, 2 * DAY] {
            life.now = now.saturating_sub(DAY);
            life.act();
            let heard = life.deliver(4_000).and_then(|()| life.server_hears());
            assert_eq!(heard.is_err(), life.now >= EXPIRES, "seed {seed}");
        }
    }
}
