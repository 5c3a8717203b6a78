//! The consumer: the application that calls others.
//!
//! ```text
//! request ─▶ credentials ─▶ sign ─▶ send ─▶ response
//!              │   ▲                  └ rejected by the provider: once more with other credentials
//!              ▼   │
//!            ticket, presentation, acknowledgement: once per provider, renewed before they expire
//! ```

mod credentials;
mod dialog;
mod edition;
mod error;
mod layer;
#[cfg(feature = "reqwest")]
mod middleware;
mod request;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::V2;
use crate::clock::{self, LocalClock, SiteClock};
use crate::edition::{ApplicationKeys, Edition};
use crate::origin::Origin;
use crate::session::SiteSession;
use crate::site_address::SiteAddress;
use crate::slot::Slot;
use credentials::CredentialCache;

pub(crate) use credentials::Expires;
pub(crate) use dialog::accepted;
pub(crate) use edition::{ConsumerEdition, RetryReason};
pub use error::{ConsumerError, Responder};
pub use layer::SigningClient;
pub(crate) use request::Outgoing;
pub(crate) use transport::Transport;

/// Default timeout of each response of site or provider in the dialog.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Default maximum length of a request's content, in bytes. The content stays in memory until the
/// response arrives, because the request may have to be sent again.
const MAX_CONTENT: usize = 16 * 1_024 * 1_024;

/// An application that calls others: a `tower` layer for any HTTP client, and a reqwest middleware.
/// Clones share credentials, keys and clock.
///
/// A request to an address that was not named with [`ConsumerBuilder::calls`] is not sent.
pub struct Consumer<E: ConsumerEdition = V2> {
    pub(crate) shared: Arc<SharedConsumer<E>>,
}

/// The state that all clones of a consumer share.
pub struct SharedConsumer<E: ConsumerEdition> {
    pub(crate) parties: Slot<Arc<E::Parties>>,
    pub(crate) site: SiteAddress,
    pub(crate) clock: SiteClock,
    pub(crate) session: Slot<Option<Arc<dyn SiteSession>>>,
    pub(crate) timeout: Duration,
    max_content: usize,
    targets: HashMap<Origin, Target<E>>,
}

/// A provider that this consumer calls.
pub struct Target<E: ConsumerEdition> {
    pub(crate) id: String,
    origin: Origin,
    /// The address at which it accepts tickets.
    tickets: Uri,
    /// The clock of its site; `None` if that is the consumer's own site.
    pub(crate) clock: Option<SiteClock>,
    credentials: CredentialCache<E::Credentials>,
}

/// Builds a [`Consumer`].
pub struct ConsumerBuilder<E: ConsumerEdition = V2> {
    pub(crate) parties: E::Parties,
    pub(crate) session: Option<Arc<dyn SiteSession>>,
    site: Uri,
    targets: Vec<(String, Uri)>,
    timeout: Duration,
    max_content: usize,
    clock: LocalClock,
}

impl<E: ConsumerEdition> Consumer<E> {
    /// A builder for an application that trusts `site`. The type of `application` determines the
    /// edition. The consumer can call no other application until [`ConsumerBuilder::calls`] names
    /// one.
    #[must_use]
    pub fn builder<A>(application: A, site: E::Site) -> ConsumerBuilder<E>
    where
        A: ApplicationKeys<Edition = E>,
        E: Edition<Application = A>,
    {
        let (parties, site) = E::parties(application, site);
        ConsumerBuilder {
            parties,
            session: None,
            site,
            targets: Vec::new(),
            timeout: TIMEOUT,
            max_content: MAX_CONTENT,
            clock: Arc::new(clock::system),
        }
    }

    /// Replaces the keys. Dialogs in progress finish with the old ones.
    pub(crate) fn change(&self, change: impl FnOnce(&E::Parties) -> E::Parties) {
        let parties = &self.shared.parties;
        parties.change(|parties| Arc::new(change(parties)));
    }
}

impl<E: ConsumerEdition> SharedConsumer<E> {
    /// The time of the provider's site, in milliseconds since 1970.
    pub(crate) fn now(&self, target: &Target<E>) -> u64 {
        target.clock.as_ref().unwrap_or(&self.clock).now()
    }
}

impl<E: ConsumerEdition> Clone for Consumer<E> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<E: ConsumerEdition> fmt::Debug for Consumer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({})", E::id(&self.shared.parties.get()))
    }
}

impl<E: ConsumerEdition> ConsumerBuilder<E> {
    /// Allows calls to the application `id` at the origin of `address`. An application of another
    /// site that is a peer of the consumer's own is named with its zone, as in `ledger@b.example`.
    /// The path of `address` is where that application accepts tickets; an empty path means the
    /// edition's `TICKET_PATH`.
    #[must_use]
    pub fn calls(mut self, id: &str, address: Uri) -> Self {
        self.targets.push((id.to_owned(), address));
        self
    }

    /// Timeout of each response of site or provider in the dialog: 10 seconds by default. It does
    /// not apply to the application's own requests; set that timeout in the HTTP client.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Maximum length of a request's content, in bytes: 16 MiB by default. The content stays in
    /// memory until the response arrives, because the request may have to be sent again.
    #[must_use]
    pub fn max_content(mut self, bytes: usize) -> Self {
        self.max_content = bytes;
        self
    }

    /// Replaces the machine's clock; it returns milliseconds since 1970. In edition v2 the clock
    /// may be wrong, because the site's time is used. In v1 it has to be right to a minute.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the consumer. It sends nothing before the application's first request.
    ///
    /// # Errors
    /// An address is not an `http` or `https` URL, or no ticket could ever be requested with these
    /// keys and settings.
    pub fn build(self) -> Result<Consumer<E>, E::BuildError> {
        E::check(&self.parties)?;
        let mut targets = HashMap::new();
        for (id, address) in self.targets {
            let origin = Origin::of(&address)?;
            let path = match address.path() {
                "" | "/" => E::TICKET_PATH,
                path => path,
            };
            let foreign = E::is_foreign(&id);
            let target = Target {
                id,
                clock: foreign.then(|| SiteClock::new(self.clock.clone())),
                tickets: origin.at(path)?,
                origin: origin.clone(),
                credentials: CredentialCache::new(),
            };
            targets.insert(origin, target);
        }
        Ok(Consumer {
            shared: Arc::new(SharedConsumer {
                parties: Slot::new(Arc::new(self.parties)),
                site: SiteAddress::of(&self.site)?,
                clock: SiteClock::new(self.clock),
                session: Slot::new(self.session),
                timeout: self.timeout,
                max_content: self.max_content,
                targets,
            }),
        })
    }
}
