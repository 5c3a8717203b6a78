//! Client and server in one process, connected by a [`Wire`].

mod client;
mod server;

use std::sync::Arc;

use countersign_crypto::identity::Identity;
use countersign_proto::session::client::{ClientSettings, Resumption};

use crate::entropy::SeededEntropy;
use crate::site::{PASSPHRASE, Site};
use crate::wire::{Direction, Wire};

pub use client::{Client, ClientClosed};
pub use server::{Server, ServerClosed};

/// The lifetime of a session, in milliseconds of virtual time.
pub const SESSION_LIFETIME: u64 = 60_000;
/// More flights than this in one run are taken for an endless dialog.
const MAX_FLIGHTS: usize = 64;

/// The account that logs in, with its credential.
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
    /// A client that resumes its session.
    Resuming(&'a Resumption),
}

impl Who<'_> {
    /// Maria, with her own pass phrase.
    pub const MARIA: Self = Self::Person {
        name: "maria",
        passphrase: PASSPHRASE,
    };
}

/// The bytes that one end sends before it waits for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// The direction in which it was sent.
    pub direction: Direction,
    /// The bytes as sent, before the wire changed them.
    pub bytes: Vec<u8>,
}

/// Both ends, and a record of the bytes between them.
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
    /// Two ends that have not sent anything yet. The entropy of both comes from the seed.
    #[must_use]
    pub fn new(site: &'a Site, settings: ClientSettings, who: Who<'_>, seed: u64) -> Self {
        let seed = SeededEntropy::new(seed);
        Self {
            client: Client::new(settings, who, seed.fork("client")),
            server: Server::new(site, seed.fork("server"), SESSION_LIFETIME),
            flights: Vec::new(),
            arrived: Default::default(),
            now: 0,
        }
    }

    /// Carries flights until neither end sends any more. If one end closed or the wire was cut,
    /// both ends lose the connection.
    pub fn run(&mut self, wire: &mut dyn Wire) {
        let start = self.flights.len();
        while !wire.is_cut() {
            let flights = [
                (Direction::ToServer, self.client.take_outbox()),
                (Direction::ToClient, self.server.take_outbox()),
            ];
            if flights.iter().all(|(_, bytes)| bytes.is_empty()) {
                break;
            }
            for (direction, bytes) in flights {
                if !bytes.is_empty() && !wire.is_cut() {
                    self.carry(wire, direction, bytes);
                }
            }
            assert!(
                self.flights.len() - start < MAX_FLIGHTS,
                "the ends do not stop sending"
            );
        }
        if wire.is_cut() || self.client.closed().is_some() || self.server.closed().is_some() {
            self.client.disconnect();
            self.server.disconnect();
        }
    }

    fn carry(&mut self, wire: &mut dyn Wire, direction: Direction, bytes: Vec<u8>) {
        self.flights.push(Flight {
            direction,
            bytes: bytes.clone(),
        });
        for piece in wire.carry(direction, bytes) {
            self.arrived[direction as usize].extend_from_slice(&piece);
            match direction {
                Direction::ToServer => self.server.receive(self.now, &piece),
                Direction::ToClient => self.client.receive(&piece),
            }
        }
    }

    /// Lets virtual time pass for the server.
    pub fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds;
    }

    /// Whether each end waits for the other. After [`Self::run`] over a wire that loses nothing
    /// this is a fault.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let ended = self.client.closed().is_some() || self.server.closed().is_some();
        let live = self.client.is_live() && self.server.is_live();
        !ended && !live
    }

    /// All that was sent one way, as it was sent.
    #[must_use]
    pub fn sent(&self, direction: Direction) -> Vec<u8> {
        let flights = self
            .flights
            .iter()
            .filter(|flight| flight.direction == direction);
        flights.flat_map(|flight| flight.bytes.clone()).collect()
    }

    /// All that arrived one way.
    #[must_use]
    pub fn arrived(&self, direction: Direction) -> &[u8] {
        &self.arrived[direction as usize]
    }

    /// Asserts that the bytes that each end accepted as authenticated are the bytes that the other
    /// end sent, from the first one on.
    pub fn assert_accepted_as_sent(&self) {
        let ends = [
            (Direction::ToServer, self.server.accepted()),
            (Direction::ToClient, self.client.accepted()),
        ];
        for (direction, accepted) in ends {
            let (sent, arrived) = (self.sent(direction), self.arrived(direction));
            assert!(
                sent.get(..accepted) == arrived.get(..accepted) && accepted <= sent.len(),
                "{direction:?}: accepted {accepted} bytes that differ from the bytes sent"
            );
        }
    }
}
