//! The application that is called.
//!
//! ```text
//! request ─▶ at the ticket path? ─▶ take: accept, remember, acknowledge
//!               │ no
//!               ▼
//!            read the signature's fields ─▶ is its ticket known? ─▶ read the content ─▶ verify ─▶ first time? ─▶ service
//! ```

pub(super) mod admission;
pub(super) mod guard;
mod layer;
mod reply;
mod tickets;
mod time;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_proto::broker::v2::provider::Provider as Parties;
use serde_json::value::RawValue;

use super::clock::{self, OwnClock, SiteClock};
use super::origin::{Origin, WrongAddress};
use super::{Application, Site, TICKET_PATH};
use time::SiteTime;

pub use layer::Guarded;
#[cfg(feature = "sqlite")]
pub use tickets::SqliteTickets;
pub use tickets::{
    Limits, MemoryTickets, Once, OpenedTicket, RequestName, TicketStore, TicketStoreError,
};

/// The longest content of a request, in bytes, when nothing else is said: it is kept in memory until it is
/// verified.
pub(super) const LONGEST: usize = 1_024 * 1_024;
/// How long content may take to come, when nothing else is said.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An application that is called. It is a layer of `tower` for a service of axum or hyper; clones share what they
/// remember.
///
/// It takes tickets at [`TICKET_PATH`], verifies the signature and the content of all other requests, and refuses
/// those that are not signed. Put it outside of whatever changes method, path or host of a request.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
}

struct Shared {
    parties: RwLock<Arc<Parties>>,
    tickets: Arc<dyn TicketStore>,
    time: Arc<SiteTime>,
    ticket_path: String,
    authority: Option<String>,
    longest: usize,
    patience: Duration,
    anonymous: bool,
}

/// Who sent a request: among its extensions once it is verified.
#[derive(Debug, Clone)]
pub struct AuthenticatedApp {
    /// Its id.
    pub id: String,
    /// What the site knows of it, as JSON.
    pub auth_data: Arc<RawValue>,
    /// Until when its ticket is good, by the site's clock, in milliseconds since 1970.
    pub expires: u64,
}

/// What a provider is made of.
pub struct ProviderBuilder {
    application: Application,
    site: Site,
    tickets: Arc<dyn TicketStore>,
    ticket_path: String,
    authority: Option<String>,
    longest: usize,
    patience: Duration,
    anonymous: bool,
    clock: OwnClock,
}

/// Why there is no provider, or it does not know the site's time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The site's address is none.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// TLS cannot be set up on this machine.
    #[error("the site cannot be asked from here: {0}")]
    Client(String),
    /// The site did not tell the time.
    #[error("the site does not tell its time: {0}")]
    NoTime(String),
    /// Somebody else did.
    #[error("the time told is not the site's: compare its address and its public keys")]
    NotBelieved,
}

impl Provider {
    /// An application that trusts this site.
    #[must_use]
    pub fn builder(application: Application, site: Site) -> ProviderBuilder {
        ProviderBuilder {
            application,
            site,
            tickets: Arc::new(MemoryTickets::default()),
            ticket_path: TICKET_PATH.to_owned(),
            authority: None,
            longest: LONGEST,
            patience: PATIENCE,
            anonymous: false,
            clock: Arc::new(clock::system),
        }
    }

    /// Asks the site for its time now. Without that it is asked with the first request, and now and then
    /// afterwards in any case.
    ///
    /// # Errors
    /// [`ProviderError::NoTime`] and [`ProviderError::NotBelieved`]. The provider works nevertheless, by the
    /// clock of this machine.
    pub async fn ask_time(&self) -> Result<(), ProviderError> {
        let shared = &self.shared;
        shared.time.ask(&shared.parties().site_keys).await
    }

    /// Goes on with other keys of its own, the newest first. Tickets that were sealed to a key that is not among
    /// them are not accepted.
    pub fn set_keys(&self, keys: Vec<PartyKey>) {
        self.change(|parties| parties.keys = keys);
    }

    /// Goes on with other keys of the site, the newest first.
    pub fn set_site_keys(&self, keys: Vec<PartyPublic>) {
        self.change(|parties| parties.site_keys = keys);
    }

    fn change(&self, change: impl FnOnce(&mut Parties)) {
        let shared = self.shared.parties.write();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        let mut parties = Parties {
            id: shared.id.clone(),
            keys: shared.keys.clone(),
            site: shared.site.clone(),
            site_keys: shared.site_keys.clone(),
        };
        change(&mut parties);
        *shared = Arc::new(parties);
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
    /// Where tickets and requests are remembered: in memory when nothing is said.
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

    /// The host, with its port unless that is the scheme's own, that consumers call: for a provider behind a proxy
    /// that sends another. What requests say themselves counts when nothing is said.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
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

    /// Lets requests through that are not signed, without an [`AuthenticatedApp`]: the service decides what they
    /// may do. What is signed and not verified is refused nevertheless.
    #[must_use]
    pub fn allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Another clock than this machine's, in milliseconds since 1970. It need not be right.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The provider. The site is not asked for anything yet.
    ///
    /// # Errors
    /// [`ProviderError::Address`], [`ProviderError::Client`].
    pub fn build(self) -> Result<Provider, ProviderError> {
        let clock = SiteClock::new(self.clock, Origin::of(&self.site.url)?);
        let parties = Parties {
            id: self.application.id,
            keys: self.application.keys,
            site: self.site.id,
            site_keys: self.site.keys,
        };
        Ok(Provider {
            shared: Arc::new(Shared {
                parties: RwLock::new(Arc::new(parties)),
                tickets: self.tickets,
                time: Arc::new(SiteTime::new(clock)?),
                ticket_path: self.ticket_path,
                authority: self.authority,
                longest: self.longest,
                patience: self.patience,
                anonymous: self.anonymous,
            }),
        })
    }
}
