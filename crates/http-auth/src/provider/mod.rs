//! The provider: the application that is called.
//!
//! ```text
//! request ─▶ ticket path? ─▶ expired? replayed? ─▶ queue ─▶ verify, acknowledge ─▶ store ticket
//!               │ no
//!               ▼
//!            parse signature ─▶ ticket stored? ─▶ verify signature and content ─▶ replayed? ─▶ service
//! ```

mod authority;
mod decision;
mod edition;
mod layer;
mod outcome_cache;
mod reply;
mod tickets;
mod work;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_proto::broker::v2::foreign::TicketPath;
use http::request::Parts;
use serde_json::value::RawValue;

use crate::V2;
use crate::clock::LocalClock;
use crate::edition::{ApplicationKeys, Edition};
use crate::slot::Slot;
use work::PublicKeyWork;

pub(crate) use authority::{authorities, authority};
pub(crate) use decision::busy;
pub(crate) use edition::{ProviderEdition, Verified};
pub use layer::VerifiedService;
pub(crate) use outcome_cache::OutcomeCache;
pub(crate) use reply::{Rejection, Reply};
#[cfg(feature = "sqlite")]
pub use tickets::SqliteTickets;
pub(crate) use tickets::VoidMarks;
pub use tickets::{
    Insertion, Limits, MemoryTickets, OpenedTicket, RequestName, TicketStore, TicketStoreError,
};

/// Default maximum length of a request's content, in bytes. It stays in memory until it is
/// verified.
const MAX_CONTENT: usize = 1_024 * 1_024;
/// Default timeout for receiving the content of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Determines the source address of a request.
type SourceOf = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

/// An application that is called: a `tower` layer for an axum or hyper service. Clones share
/// tickets, keys and clock.
///
/// It accepts tickets at its ticket path, verifies all other requests, and rejects unsigned ones.
/// Install it outside every layer that changes the method, path or host of a request.
///
/// In edition v2 the content of each request is signed. In v1 it is signed only if the consumer
/// sends a hash of it. A provider of edition v1 accepts only SHA-256 as hash, for tickets and for
/// requests.
pub struct Provider<E: ProviderEdition = V2> {
    pub(crate) shared: Arc<SharedProvider<E>>,
}

/// The state that all clones of a provider share.
pub struct SharedProvider<E: ProviderEdition> {
    pub(crate) parties: Slot<Arc<E::Parties>>,
    pub(crate) state: E::State,
    pub(crate) work: PublicKeyWork,
    pub(crate) settings: Settings,
}

/// The settings made with [`ProviderBuilder`].
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

/// The consumer that sent a request. The provider adds it to the extensions of each verified
/// request.
#[derive(Debug, Clone)]
pub struct AuthenticatedApp {
    /// The consumer's application id.
    pub id: String,
    /// The data that the site has registered for the consumer, as JSON.
    pub auth_data: Arc<RawValue>,
    /// When its ticket expires, by the site's clock, in milliseconds since 1970.
    pub expires: u64,
}

impl AuthenticatedApp {
    /// The path of the consumer's ticket, if the consumer is an application of a peer of this
    /// provider's site: then `id` has the zone of that peer, as in `billing@a.example`.
    #[must_use]
    pub fn path(&self) -> Option<TicketPath> {
        TicketPath::of(&self.id, &self.auth_data)
    }
}

/// Builds a [`Provider`].
pub struct ProviderBuilder<E: ProviderEdition = V2> {
    pub(crate) parties: E::Parties,
    pub(crate) parts: E::Parts,
    pub(crate) clock: LocalClock,
    settings: Settings,
}

impl<E: ProviderEdition> Provider<E> {
    /// A builder for an application that trusts `site`. The type of `application` determines the
    /// edition.
    #[must_use]
    pub fn builder<A>(application: A, site: E::Site) -> ProviderBuilder<E>
    where
        A: ApplicationKeys<Edition = E>,
        E: Edition<Application = A>,
    {
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
    /// The store of accepted tickets and requests: [`MemoryTickets`] by default, which forgets at a
    /// restart which tickets are void. `SqliteTickets` remembers it. For edition v1 the store has a
    /// digest of the ticket's secret, with which requests are verified.
    #[must_use]
    pub fn tickets(mut self, tickets: impl TicketStore) -> Self {
        self.settings.tickets = Arc::new(tickets);
        self
    }

    /// The path at which tickets are accepted: the edition's `TICKET_PATH` by default.
    #[must_use]
    pub fn ticket_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.settings.ticket_path);
        self
    }

    /// The host, and the port if there is one, that consumers call. Set it for a provider behind a
    /// proxy that changes `host`. By default the authority in the request is used. Ports 80 and 443
    /// may be left out.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        self.settings.authority = Some(authority.to_owned());
        self
    }

    /// The prefix that a proxy removes from the path that consumers call, as in `/billing`. Empty
    /// by default.
    #[must_use]
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        prefix.clone_into(&mut self.settings.path_prefix);
        self
    }

    /// Determines the source address of a request, for example from an extension that an outer
    /// layer adds (axum's `ConnectInfo`) or from a header that a trusted proxy sets. At most 256
    /// presentations wait for public-key work; if the source is known, one source (an IPv4 address
    /// or an IPv6 /48) has at most 32 of these places.
    #[must_use]
    pub fn source(mut self, of: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.settings.source_of = Some(Arc::new(of));
        self
    }

    /// Maximum length of a request's content, in bytes: 1 MiB by default. Longer content is
    /// answered with 413.
    #[must_use]
    pub fn max_content(mut self, bytes: usize) -> Self {
        self.settings.max_content = bytes;
        self
    }

    /// Timeout for receiving the content of a request: 30 seconds by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Passes unsigned requests to the service without an [`AuthenticatedApp`]; the service decides
    /// what they may do. A request with an invalid signature is still rejected.
    #[must_use]
    pub fn allow_anonymous(mut self) -> Self {
        self.settings.anonymous = true;
        self
    }

    /// Replaces the machine's clock; it returns milliseconds since 1970. In edition v2 the clock
    /// may be wrong, because the site's time is used. In v1 it has to be right to a minute.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the provider with the state of its edition.
    pub(crate) fn with(self, state: E::State) -> Provider<E> {
        Provider {
            shared: Arc::new(SharedProvider {
                parties: Slot::new(Arc::new(self.parties)),
                state,
                work: PublicKeyWork::new(),
                settings: self.settings,
            }),
        }
    }
}
