//! The application that is called.

mod admission;
mod layer;
mod reply;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::unauthenticated::Cipher;
use countersign_proto::broker::v1::Refusal;
use countersign_proto::broker::v1::provider::Provider as Parties;

use super::{Application, Site, TICKET_PATH};
use crate::clock::{self, OwnClock};
use crate::provider::seen::Seen;
use crate::provider::work::{SourceOf, Work};
use crate::provider::{LONGEST, PATIENCE};
use crate::{MemoryTickets, TicketStore};

/// An application that is called, in edition v1. It is a layer of `tower` for a service of axum or hyper; clones
/// share what they remember.
///
/// It takes tickets at [`TICKET_PATH`], verifies the signature of all other requests, and refuses those that are
/// not signed. Put it outside of whatever changes method, path or host of a request.
///
/// Tickets are signed, and requests after them, with SHA-256 and nothing else.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
}

struct Shared {
    parties: RwLock<Arc<Parties>>,
    tickets: Arc<dyn TicketStore>,
    clock: OwnClock,
    /// When this began: what was accepted before may be forgotten.
    started: u64,
    /// What became of tickets of the site's.
    decided: Seen<Outcome>,
    /// What others were refused with, apart from these: an attacker can make up any number.
    refused: Seen<Refusal>,
    work: Work,
    source_of: Option<SourceOf>,
    ticket_path: String,
    authority: Option<String>,
    path_prefix: String,
    longest: usize,
    patience: Duration,
    anonymous: bool,
}

/// What became of a ticket of the site's for this provider. The same one is refused without public-key work.
#[derive(Clone, Copy)]
enum Outcome {
    /// It was accepted, which it is once.
    Accepted { stale_from: u64 },
    /// It was too old, or over, or accepted before a restart perhaps.
    Stale { from: u64 },
}

impl Outcome {
    /// What a ticket gets that comes again; `None` where it has to be looked at anew, after a clock was set back.
    fn refusal(self, now: u64) -> Option<Refusal> {
        match self {
            Self::Accepted { stale_from } if now < stale_from => Some(Refusal::Nonces),
            Self::Stale { from } if now < from => None,
            Self::Accepted { .. } | Self::Stale { .. } => Some(Refusal::Stale { clock: now }),
        }
    }
}

/// What a provider is made of.
pub struct ProviderBuilder {
    parties: Parties,
    tickets: Arc<dyn TicketStore>,
    clock: OwnClock,
    ticket_path: String,
    authority: Option<String>,
    path_prefix: String,
    source_of: Option<SourceOf>,
    longest: usize,
    patience: Duration,
    anonymous: bool,
}

impl Provider {
    /// An application that trusts this site, which it never asks for anything.
    #[must_use]
    pub fn builder(application: Application, site: Site) -> ProviderBuilder {
        ProviderBuilder {
            parties: Parties {
                id: application.id,
                keys: application.keys,
                master: site.keys,
                ciphers: Cipher::ALL.to_vec(),
                hashes: vec![RsaHash::Sha256],
            },
            tickets: Arc::new(MemoryTickets::default()),
            clock: Arc::new(clock::system),
            ticket_path: TICKET_PATH.to_owned(),
            authority: None,
            path_prefix: String::new(),
            source_of: None,
            longest: LONGEST,
            patience: PATIENCE,
            anonymous: false,
        }
    }

    /// Goes on with other keys of its own and of the site, the newest first. Tickets that were sealed to or signed
    /// with a key that is not among them are not accepted.
    pub fn set_keys(&self, keys: Vec<RsaKey>, site: Vec<RsaPublicKey>) {
        let parties = self.shared.parties.write();
        let mut parties = parties.unwrap_or_else(PoisonError::into_inner);
        *parties = Arc::new(Parties {
            id: parties.id.clone(),
            keys,
            master: site,
            ciphers: parties.ciphers.clone(),
            hashes: parties.hashes.clone(),
        });
        // Other keys open other tickets.
        self.shared.refused.forget();
    }
}

impl Shared {
    fn parties(&self) -> Arc<Parties> {
        let parties = self.parties.read();
        parties.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.shared.parties().id)
    }
}

impl ProviderBuilder {
    /// Where tickets and requests are remembered: in memory when nothing is said. Of a secret its digest is kept,
    /// which is what requests are verified with.
    #[must_use]
    pub fn tickets(mut self, tickets: impl TicketStore) -> Self {
        self.tickets = Arc::new(tickets);
        self
    }

    /// Where tickets are taken: at [`TICKET_PATH`] when nothing is said.
    #[must_use]
    pub fn ticket_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.ticket_path);
        self
    }

    /// Ciphers that it accepts, the best first: all of [`Cipher::ALL`] when nothing is said.
    #[must_use]
    pub fn ciphers(mut self, ciphers: &[Cipher]) -> Self {
        self.parties.ciphers = ciphers.to_vec();
        self
    }

    /// The host, with its port unless that is 80 or 443, that consumers call: for a provider behind a proxy that
    /// sends another. What requests say themselves counts when nothing is said.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    /// What consumers call in front of the path that arrives here, as in `/billing`: for a provider behind a proxy
    /// that takes it away. Nothing when nothing is said.
    #[must_use]
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        prefix
            .trim_end_matches('/')
            .clone_into(&mut self.path_prefix);
        self
    }

    /// How to find out where a request comes from, as an outer layer put it into its extensions (axum's
    /// `ConnectInfo`) or a trusted proxy into a field. With it the presentations of one source (of IPv6, one /48)
    /// take 32 of the 256 places in which presentations wait for public-key work; without it all share them.
    #[must_use]
    pub fn source(
        mut self,
        of: impl Fn(&http::request::Parts) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.source_of = Some(Arc::new(of));
        self
    }

    /// The longest content that is read, in bytes: 1 MiB when nothing is said. What is longer gets 413.
    #[must_use]
    pub fn longest_content(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// How long content may take to come: 30 seconds when nothing is said.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Lets requests through that are not signed with Hawk, without an
    /// [`AuthenticatedApp`](crate::AuthenticatedApp): the service decides what they may do. What is signed
    /// and not verified is refused nevertheless.
    #[must_use]
    pub fn allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Another clock than this machine's, in milliseconds since 1970. It has to be right to a minute.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The provider.
    #[must_use]
    pub fn build(self) -> Provider {
        Provider {
            shared: Arc::new(Shared {
                parties: RwLock::new(Arc::new(self.parties)),
                tickets: self.tickets,
                started: (self.clock)(),
                clock: self.clock,
                decided: Seen::new(),
                refused: Seen::new(),
                work: Work::new(),
                source_of: self.source_of,
                ticket_path: self.ticket_path,
                authority: self.authority,
                path_prefix: self.path_prefix,
                longest: self.longest,
                patience: self.patience,
                anonymous: self.anonymous,
            }),
        }
    }
}
