//! The application that is called.
//!
//! ```text
//! request ─▶ at the ticket path? ─▶ take: over? came before? ─▶ its turn ─▶ verify, acknowledge ─▶ remember
//!               │ no
//!               ▼
//!            read the signature's fields ─▶ is its ticket known? ─▶ read the content ─▶ verify ─▶ first time? ─▶ service
//! ```

pub(super) mod admission;
pub(super) mod guard;
mod layer;
mod reply;
pub(super) mod seen;
mod ticket_keys;
mod tickets;
mod time;
pub(super) mod work;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::provider::Provider as Parties;
use serde_json::value::RawValue;

use super::clock::{self, OwnClock, SiteClock};
use super::origin::WrongAddress;
use super::session::{Session, SiteSession};
use super::site_address::SiteAddress;
use super::{Application, Site, TICKET_PATH};
use seen::Seen;
use ticket_keys::TicketKeys;
use time::SiteTime;
use work::{SourceOf, Work};

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
    ticket_keys: TicketKeys,
    /// What signed presentations were refused with.
    seen: Seen<Refusal>,
    work: Work,
    source_of: Option<SourceOf>,
    ticket_path: String,
    authority: Option<String>,
    path_prefix: String,
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
    path_prefix: String,
    source_of: Option<SourceOf>,
    longest: usize,
    patience: Duration,
    anonymous: bool,
    clock: OwnClock,
    session: Option<Arc<dyn SiteSession>>,
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
    /// The site gave no keys for tickets that come by the fast path.
    #[error("the site gives no ticket keys: {0}")]
    NoTicketKeys(String),
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
            path_prefix: String::new(),
            source_of: None,
            longest: LONGEST,
            patience: PATIENCE,
            anonymous: false,
            clock: Arc::new(clock::system),
            session: None,
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
    /// them are not accepted; those of the fast path are, once the site has told their keys anew.
    pub fn set_keys(&self, keys: Vec<PartyKey>) {
        self.shared.change(|parties| {
            parties.keys = keys;
            parties.ticket_keys.clear();
        });
    }

    /// Goes on with other keys of the site, the newest first.
    pub fn set_site_keys(&self, keys: Vec<PartyPublic>) {
        self.shared.change(|parties| {
            parties.site_keys = keys;
            parties.ticket_keys.clear();
        });
    }

    /// Asks the site for ticket keys now. Without that it is asked with the first ticket that comes by the fast
    /// path, and before they are over in any case.
    ///
    /// # Errors
    /// [`ProviderError::NoTicketKeys`], also when there is no session.
    pub async fn ask_ticket_keys(&self) -> Result<(), ProviderError> {
        let client = self.shared.ticket_keys.session.get();
        let none = || ProviderError::NoTicketKeys("there is no session with it".to_owned());
        let client = client.ok_or_else(none)?;
        self.shared.ask_ticket_keys(&*client).await
    }

    /// Gets ticket keys over another session from now on, or over none: a session is over at some time.
    pub fn set_session(&self, session: Option<Arc<dyn SiteSession>>) {
        self.shared.ticket_keys.session.set(session);
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Parties)) {
        let shared = self.parties.write();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        let mut parties = Parties {
            id: shared.id.clone(),
            keys: shared.keys.clone(),
            site: shared.site.clone(),
            site_keys: shared.site_keys.clone(),
            ticket_keys: shared.ticket_keys.clone(),
        };
        change(&mut parties);
        *shared = Arc::new(parties);
        // Other keys verify other presentations.
        self.seen.forget();
    }

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

    /// Gets the keys of tickets that come by the fast path over this session: of the service that is named for
    /// this application at the site. Without one such tickets are refused.
    #[must_use]
    pub fn ticket_keys_from(mut self, session: Arc<dyn SiteSession>) -> Self {
        self.session = Some(session);
        self
    }

    /// Where tickets are taken: at [`TICKET_PATH`] when nothing is said.
    #[must_use]
    pub fn ticket_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.ticket_path);
        self
    }

    /// The host and, where it has one, the port that consumers call: for a provider behind a proxy that sends another.
    /// What requests say themselves counts when nothing is said. Ports 80 and 443 may be left out.
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
        let clock = SiteClock::new(self.clock, SiteAddress::of(&self.site.url)?);
        let parties = Parties {
            id: self.application.id,
            keys: self.application.keys,
            site: self.site.id,
            site_keys: self.site.keys,
            ticket_keys: Vec::new(),
        };
        Ok(Provider {
            shared: Arc::new(Shared {
                parties: RwLock::new(Arc::new(parties)),
                tickets: self.tickets,
                time: Arc::new(SiteTime::new(clock)?),
                ticket_keys: TicketKeys::new(Session::new(self.session)),
                seen: Seen::new(),
                work: Work::new(),
                source_of: self.source_of,
                ticket_path: self.ticket_path,
                authority: self.authority,
                path_prefix: self.path_prefix,
                longest: self.longest,
                patience: self.patience,
                anonymous: self.anonymous,
            }),
        })
    }
}
