//! The application that calls.
//!
//! ```text
//! request ─▶ credentials ─▶ sign ─▶ send ─▶ response
//!              │   ▲                  └ not known any more: once again with other credentials
//!              ▼   │
//!            ticket, presentation, acknowledgement: once for each provider, and before they are over
//! ```

mod call;
pub(super) mod caller;
pub(super) mod carrier;
pub(super) mod credentials;
mod dialog;
mod error;
pub(super) mod exchange;
mod in_session;
mod layer;
#[cfg(feature = "reqwest")]
pub(super) mod middleware;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::consumer::Consumer as Parties;
use http::Uri;

use super::clock::{self, OwnClock, SiteClock};
use super::origin::{Origin, WrongAddress};
use super::session::{Session, SiteSession};
use super::site_address::SiteAddress;
use super::{Application, Site, TICKET_PATH};
use credentials::Kept;

pub use error::{By, ConsumerError};
pub use layer::Calling;

/// How long the site and a provider may take for an answer, when nothing else is said.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest content of a request, in bytes, when nothing else is said: it is signed whole.
pub(super) const CONTENT: usize = 16 * 1_024 * 1_024;

/// An application that calls others. It is a layer of `tower` for any HTTP client, and middleware of reqwest;
/// clones share what they know.
///
/// A request to an address that it does not know is not sent.
#[derive(Clone)]
pub struct Consumer {
    shared: Arc<Shared>,
}

struct Shared {
    parties: RwLock<Arc<Parties>>,
    /// Where the site answers requests for tickets.
    authenticate: Uri,
    clock: SiteClock,
    session: Session,
    targets: HashMap<Origin, Target>,
    patience: Duration,
    content: usize,
}

/// An application that is called.
struct Target {
    id: String,
    origin: Origin,
    /// Where it takes tickets.
    tickets: Uri,
    kept: Kept<Credentials>,
}

/// What a consumer is made of.
pub struct ConsumerBuilder {
    application: Application,
    site: Site,
    calls: Vec<(String, Uri)>,
    suite: SealingSuite,
    patience: Duration,
    content: usize,
    clock: OwnClock,
    session: Option<Arc<dyn SiteSession>>,
}

impl Consumer {
    /// An application that trusts this site, and calls nobody yet.
    #[must_use]
    pub fn builder(application: Application, site: Site) -> ConsumerBuilder {
        ConsumerBuilder {
            application,
            site,
            calls: Vec::new(),
            suite: SealingSuite::XWing,
            patience: PATIENCE,
            content: CONTENT,
            clock: Arc::new(clock::system),
            session: None,
        }
    }

    /// Goes on with other keys of its own, the newest first.
    pub fn set_keys(&self, keys: Vec<PartyKey>) {
        self.change(|parties| parties.keys = keys);
    }

    /// Goes on with other keys of the site, the newest first.
    pub fn set_site_keys(&self, keys: Vec<PartyPublic>) {
        self.change(|parties| parties.site_keys = keys);
    }

    /// Gets tickets over another session from now on, or over none: a session is over at some time.
    pub fn set_session(&self, session: Option<Arc<dyn SiteSession>>) {
        self.shared.session.set(session);
    }

    fn change(&self, change: impl FnOnce(&mut Parties)) {
        let shared = self.shared.parties.write();
        let mut shared = shared.unwrap_or_else(PoisonError::into_inner);
        let mut parties = Parties {
            id: shared.id.clone(),
            keys: shared.keys.clone(),
            site: shared.site.clone(),
            site_keys: shared.site_keys.clone(),
            suite: shared.suite,
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

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({})", self.shared.parties().id)
    }
}

impl ConsumerBuilder {
    /// Calls the application of that id at that address. A path in it is where that one takes tickets, if not
    /// at [`TICKET_PATH`].
    #[must_use]
    pub fn calls(mut self, id: &str, address: Uri) -> Self {
        self.calls.push((id.to_owned(), address));
        self
    }

    /// Gets tickets over this session in place of HTTP: without public-key operations, and so many more at the
    /// site. The session is of the service that is named for this application at the site; when it is over
    /// there are no tickets until [`Consumer::set_session`] gives another one.
    #[must_use]
    pub fn tickets_over(mut self, session: Arc<dyn SiteSession>) -> Self {
        self.session = Some(session);
        self
    }

    /// How things are sealed to the site: `xwing-aes256gcm` when nothing is said.
    #[must_use]
    pub fn suite(mut self, suite: SealingSuite) -> Self {
        self.suite = suite;
        self
    }

    /// How long the site and a provider may take for an answer in the dialog: 10 seconds when nothing is said.
    /// The application's own requests are for its client to time.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The longest content of a request, in bytes: 16 MiB when nothing is said.
    #[must_use]
    pub fn longest_content(mut self, bytes: usize) -> Self {
        self.content = bytes;
        self
    }

    /// Another clock than this machine's, in milliseconds since 1970. It need not be right.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The consumer. Nothing is sent before its first request.
    ///
    /// # Errors
    /// [`WrongAddress`].
    pub fn build(self) -> Result<Consumer, WrongAddress> {
        let mut targets = HashMap::new();
        for (id, address) in self.calls {
            let origin = Origin::of(&address)?;
            let path = match address.path() {
                "" | "/" => TICKET_PATH,
                path => path,
            };
            let target = Target {
                id,
                tickets: origin.at(path)?,
                origin: origin.clone(),
                kept: Kept::default(),
            };
            targets.insert(origin, target);
        }
        let site = SiteAddress::of(&self.site.url)?;
        let authenticate = site.at("/authenticate")?;
        let parties = Parties {
            id: self.application.id,
            keys: self.application.keys,
            site: self.site.id,
            site_keys: self.site.keys,
            suite: self.suite,
        };
        Ok(Consumer {
            shared: Arc::new(Shared {
                parties: RwLock::new(Arc::new(parties)),
                authenticate,
                clock: SiteClock::new(self.clock, site),
                session: Session::new(self.session),
                targets,
                patience: self.patience,
                content: self.content,
            }),
        })
    }
}
