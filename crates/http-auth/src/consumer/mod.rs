//! The application that calls.
//!
//! ```text
//! request ─▶ credentials ─▶ sign ─▶ send ─▶ response
//!              │   ▲                  └ unknown to the provider: once more with other credentials
//!              ▼   │
//!            ticket, presentation, acknowledgement: once for each provider, and before they expire
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

use crate::clock::{self, OwnClock, SiteClock};
use crate::origin::Origin;
use crate::session::SiteSession;
use crate::site_address::SiteAddress;
use crate::slot::Slot;
use credentials::CredentialCache;

pub(crate) use credentials::Expires;
pub(crate) use dialog::accepted;
pub(crate) use edition::{ConsumerEdition, Rejection};
pub use error::{By, ConsumerError};
pub use layer::SigningClient;
pub(crate) use request::Outgoing;
pub(crate) use transport::Transport;

/// How long the site and a provider may take for a response by default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest content of a request by default, in bytes: it is kept until the request is answered.
const MAX_CONTENT: usize = 16 * 1_024 * 1_024;

/// An application that calls others. It is a layer of `tower` for any HTTP client, and middleware of reqwest;
/// clones share what they know.
///
/// A request to an address that it does not know is not sent.
pub struct Consumer<E: ConsumerEdition> {
    pub(crate) shared: Arc<Shared<E>>,
}

/// What the clones of a consumer share.
pub struct Shared<E: ConsumerEdition> {
    pub(crate) parties: Slot<Arc<E::Parties>>,
    pub(crate) site: SiteAddress,
    pub(crate) clock: SiteClock,
    pub(crate) session: Slot<Option<Arc<dyn SiteSession>>>,
    pub(crate) timeout: Duration,
    max_content: usize,
    targets: HashMap<Origin, Target<E>>,
}

/// An application that is called.
pub struct Target<E: ConsumerEdition> {
    pub(crate) id: String,
    origin: Origin,
    /// Where it takes tickets.
    tickets: Uri,
    credentials: CredentialCache<E::Credentials>,
}

/// The parts and settings of a consumer.
pub struct ConsumerBuilder<E: ConsumerEdition> {
    pub(crate) parties: E::Parties,
    pub(crate) session: Option<Arc<dyn SiteSession>>,
    site: Uri,
    targets: Vec<(String, Uri)>,
    timeout: Duration,
    max_content: usize,
    clock: OwnClock,
}

impl<E: ConsumerEdition> Consumer<E> {
    /// An application that trusts this site. It cannot call other applications until [`ConsumerBuilder::calls`] names
    /// them.
    #[must_use]
    pub fn builder(application: E::Application, site: E::Site) -> ConsumerBuilder<E> {
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

    /// Goes on with other keys.
    pub(crate) fn change(&self, change: impl FnOnce(&E::Parties) -> E::Parties) {
        let parties = &self.shared.parties;
        parties.change(|parties| Arc::new(change(parties)));
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
    /// Calls the application of that id at that address. The path of the address is where that application takes
    /// tickets; an empty one stands for the edition's `TICKET_PATH`.
    #[must_use]
    pub fn calls(mut self, id: &str, address: Uri) -> Self {
        self.targets.push((id.to_owned(), address));
        self
    }

    /// How long the site and a provider may take for a response in the dialog: 10 seconds by default. The
    /// application's own requests are for its client to time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest content of a request, in bytes: 16 MiB by default. It is kept until the request is answered, which
    /// may have to be sent again.
    #[must_use]
    pub fn max_content(mut self, bytes: usize) -> Self {
        self.max_content = bytes;
        self
    }

    /// Another clock than this machine's, in milliseconds since 1970. In edition v2 it need not be right, in v1 it has
    /// to be right to a minute.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The consumer. Nothing is sent before its first request.
    ///
    /// # Errors
    /// For an address that is none, and for keys and settings with which no request could ever be made.
    pub fn build(self) -> Result<Consumer<E>, E::BuildError> {
        E::check(&self.parties)?;
        let mut targets = HashMap::new();
        for (id, address) in self.targets {
            let origin = Origin::of(&address)?;
            let path = match address.path() {
                "" | "/" => E::TICKET_PATH,
                path => path,
            };
            let target = Target {
                id,
                tickets: origin.at(path)?,
                origin: origin.clone(),
                credentials: CredentialCache::new(),
            };
            targets.insert(origin, target);
        }
        Ok(Consumer {
            shared: Arc::new(Shared {
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
