//! The application that is called.
//!
//! ```text
//! request ─▶ at the ticket path? ─▶ take: expired? replayed? ─▶ its turn ─▶ verify, acknowledge ─▶ remember
//!               │ no
//!               ▼
//!            read the signature ─▶ is its ticket known? ─▶ verify it and the content ─▶ replayed? ─▶ service
//! ```

mod admission;
mod authority;
mod edition;
mod layer;
mod reply;
mod seen;
mod tickets;
mod work;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use serde_json::value::RawValue;

use crate::clock::OwnClock;
use crate::slot::Slot;
use work::Work;

pub(crate) use admission::busy;
pub(crate) use authority::{authorities, authority};
pub(crate) use edition::{ProviderEdition, Verified};
pub use layer::VerifiedService;
pub(crate) use reply::{Rejection, Reply};
pub(crate) use seen::Seen;
#[cfg(feature = "sqlite")]
pub use tickets::SqliteTickets;
pub use tickets::{
    Limits, MemoryTickets, Once, OpenedTicket, RequestName, TicketStore, TicketStoreError,
};

/// The longest content of a request by default, in bytes: it is kept in memory until it is verified.
const MAX_CONTENT: usize = 1_024 * 1_024;
/// How long content may take to come by default.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Finds out where a request comes from.
type SourceOf = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

/// An application that is called. It is a layer of `tower` for a service of axum or hyper; clones share what they
/// remember.
///
/// It takes tickets at its ticket path, verifies all other requests, and rejects those that are not signed. Put it
/// outside of every layer that changes method, path or host of a request.
///
/// In edition v2 the content of requests is signed. In v1 it is where the consumer gives a hash of it; tickets are
/// signed there, and requests after them, with SHA-256 and nothing else.
pub struct Provider<E: ProviderEdition> {
    pub(crate) shared: Arc<Shared<E>>,
}

/// What the clones of a provider share.
pub struct Shared<E: ProviderEdition> {
    pub(crate) parties: Slot<Arc<E::Parties>>,
    pub(crate) state: E::State,
    pub(crate) work: Work,
    pub(crate) settings: Settings,
}

/// What an embedding application decides.
pub(crate) struct Settings {
    pub(crate) tickets: Arc<dyn TicketStore>,
    pub(crate) authority: Option<String>,
    pub(crate) path_prefix: String,
    source_of: Option<SourceOf>,
    ticket_path: String,
    max_content: usize,
    timeout: Duration,
    anonymous: bool,
}

/// The application that sent a request: among its extensions once it is verified.
#[derive(Debug, Clone)]
pub struct AuthenticatedApp {
    /// Its id.
    pub id: String,
    /// What the site knows of it, as JSON.
    pub auth_data: Arc<RawValue>,
    /// Until when its ticket is good, by the site's clock, in milliseconds since 1970.
    pub expires: u64,
}

/// The parts and settings of a provider.
pub struct ProviderBuilder<E: ProviderEdition> {
    pub(crate) parties: E::Parties,
    pub(crate) parts: E::Parts,
    pub(crate) clock: OwnClock,
    settings: Settings,
}

impl<E: ProviderEdition> Provider<E> {
    /// An application that trusts this site.
    #[must_use]
    pub fn builder(application: E::Application, site: E::Site) -> ProviderBuilder<E> {
        let (parties, parts) = E::parties(application, site);
        ProviderBuilder {
            parties,
            parts,
            clock: Arc::new(crate::clock::system),
            settings: Settings {
                tickets: Arc::new(MemoryTickets::default()),
                authority: None,
                path_prefix: String::new(),
                source_of: None,
                ticket_path: E::TICKET_PATH.to_owned(),
                max_content: MAX_CONTENT,
                timeout: TIMEOUT,
                anonymous: false,
            },
        }
    }
}

impl<E: ProviderEdition> Clone for Provider<E> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<E: ProviderEdition> fmt::Debug for Provider<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", E::id(&self.shared.parties.get()))
    }
}

impl<E: ProviderEdition> ProviderBuilder<E> {
    /// Where tickets and requests are remembered: in memory by default. Of a secret of edition v1 its digest is kept,
    /// which is what requests are verified with.
    #[must_use]
    pub fn tickets(mut self, tickets: impl TicketStore) -> Self {
        self.settings.tickets = Arc::new(tickets);
        self
    }

    /// Where tickets are taken: at the edition's `TICKET_PATH` by default.
    #[must_use]
    pub fn ticket_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.settings.ticket_path);
        self
    }

    /// The host and, where it has one, the port that consumers call: for a provider behind a proxy that sends another.
    /// By default what requests say themselves counts. Ports 80 and 443 may be left out.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.settings.authority = Some(authority.to_owned());
        self
    }

    /// What consumers call in front of the path that arrives here, as in `/billing`: for a provider behind a proxy
    /// that takes it away. Empty by default.
    #[must_use]
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        prefix.clone_into(&mut self.settings.path_prefix);
        self
    }

    /// How to find out where a request comes from, as an outer layer put it into its extensions (axum's
    /// `ConnectInfo`) or a trusted proxy into a field. With it the presentations of one source (of IPv6, one /48)
    /// take 32 of the 256 places in which presentations wait for public-key work; without it all share them.
    #[must_use]
    pub fn source(mut self, of: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.settings.source_of = Some(Arc::new(of));
        self
    }

    /// The longest content that is read, in bytes: 1 MiB by default. What is longer gets 413.
    #[must_use]
    pub fn max_content(mut self, bytes: usize) -> Self {
        self.settings.max_content = bytes;
        self
    }

    /// How long content may take to come: 30 seconds by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Lets requests through that are not signed, without an [`AuthenticatedApp`]: the service decides what they may
    /// do. What is signed and not verified is rejected nevertheless.
    #[must_use]
    pub fn allow_anonymous(mut self) -> Self {
        self.settings.anonymous = true;
        self
    }

    /// Another clock than this machine's, in milliseconds since 1970. In edition v2 it need not be right, in v1 it has
    /// to be right to a minute.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The provider, whose edition knows this.
    pub(crate) fn with(self, state: E::State) -> Provider<E> {
        Provider {
            shared: Arc::new(Shared {
                parties: Slot::new(Arc::new(self.parties)),
                state,
                work: Work::new(),
                settings: self.settings,
            }),
        }
    }
}
