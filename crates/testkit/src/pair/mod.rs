//! Client and server in one process, joined by a [`Wire`].

mod client;
mod server;

use std::sync::Arc;

use countersign_crypto::identity::Identity;
use countersign_proto::session::client::{ClientSettings, Resumption};

use crate::entropy::SeededEntropy;
use crate::site::{PASSPHRASE, Site};
use crate::wire::{Way, Wire};

pub use client::{Client, Over as ClientOver};
pub use server::{Over as ServerOver, Server};

/// How long a session lives, in milliseconds of virtual time.
pub const LIFE: u64 = 60_000;
/// Two ends that send each other so many flights in a row will never be done.
const MOST_FLIGHTS: usize = 64;

/// Who logs in.
#[derive(Clone, Copy)]
pub enum Who<'a> {
    /// A person.
    Person {
        /// `name` or `name@zone`.
        name: &'a str,
        /// The pass phrase.
        passphrase: &'a str,
    },
    /// A service, with its key.
    Service(&'a Arc<Identity>),
    /// Whoever had a session, and returns to it.
    Returning(&'a Resumption),
}

impl Who<'_> {
    /// Maria, with her own pass phrase.
    pub const MARIA: Self = Self::Person {
        name: "maria",
        passphrase: PASSPHRASE,
    };
}

/// What one end sent before it waited for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// Who sent it.
    pub way: Way,
    /// As it was sent, before anybody meddled.
    pub bytes: Vec<u8>,
}

/// Both ends, and a record of what went between them.
pub struct Pair<'a> {
    /// The client.
    pub client: Client,
    /// The server.
    pub server: Server<'a>,
    /// Every flight, as it was sent.
    pub flights: Vec<Flight>,
    arrived: [Vec<u8>; 2],
    now: u64,
}

impl<'a> Pair<'a> {
    /// Two ends that have not spoken yet. The seed is for the entropy of both.
    #[must_use]
    pub fn new(site: &'a Site, settings: ClientSettings, who: Who<'_>, seed: u64) -> Self {
        let seed = SeededEntropy::new(seed);
        Self {
            client: Client::new(settings, who, seed.fork("client")),
            server: Server::new(site, seed.fork("server"), LIFE),
            flights: Vec::new(),
            arrived: Default::default(),
            now: 0,
        }
    }

    /// Carries what the ends say until both are silent. An end that gave up takes the connection with
    /// it, and so does a wire that was cut.
    pub fn run(&mut self, wire: &mut dyn Wire) {
        let start = self.flights.len();
        while !wire.is_cut() {
            let flights = [
                (Way::ToServer, self.client.take_outbox()),
                (Way::ToClient, self.server.take_outbox()),
            ];
            if flights.iter().all(|(_, bytes)| bytes.is_empty()) {
                break;
            }
            for (way, bytes) in flights {
                if !bytes.is_empty() && !wire.is_cut() {
                    self.carry(wire, way, bytes);
                }
            }
            assert!(
                self.flights.len() - start < MOST_FLIGHTS,
                "they talk for ever"
            );
        }
        if wire.is_cut() || self.client.over().is_some() || self.server.over().is_some() {
            self.client.lose();
            self.server.lose();
        }
    }

    fn carry(&mut self, wire: &mut dyn Wire, way: Way, bytes: Vec<u8>) {
        self.flights.push(Flight {
            way,
            bytes: bytes.clone(),
        });
        for piece in wire.carry(way, bytes) {
            self.arrived[way as usize].extend_from_slice(&piece);
            match way {
                Way::ToServer => self.server.receive(self.now, &piece),
                Way::ToClient => self.client.receive(&piece),
            }
        }
    }

    /// Lets virtual time pass.
    pub fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds;
    }

    /// Whether both ends wait for the other and neither says anything. After [`Self::run`] over a wire
    /// that loses nothing this is a fault.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let ended = self.client.over().is_some() || self.server.over().is_some();
        let live = self.client.is_live() && self.server.is_live();
        !ended && !live
    }

    /// All that was sent one way, as it was sent.
    #[must_use]
    pub fn sent(&self, way: Way) -> Vec<u8> {
        let flights = self.flights.iter().filter(|flight| flight.way == way);
        flights.flat_map(|flight| flight.bytes.clone()).collect()
    }

    /// All that arrived one way.
    #[must_use]
    pub fn arrived(&self, way: Way) -> &[u8] {
        &self.arrived[way as usize]
    }

    /// Holds that whatever either end took for proved had arrived as it was sent: unchanged, whole and
    /// in order from the first byte.
    pub fn assert_accepted_as_sent(&self) {
        let ends = [
            (Way::ToServer, self.server.accepted()),
            (Way::ToClient, self.client.accepted()),
        ];
        for (way, accepted) in ends {
            let (sent, arrived) = (self.sent(way), self.arrived(way));
            assert!(
                sent.get(..accepted) == arrived.get(..accepted) && accepted <= sent.len(),
                "{way:?}: {accepted} bytes were accepted that were not sent so"
            );
        }
    }
}
