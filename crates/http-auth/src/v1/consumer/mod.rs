//! The application that calls.

mod call;
mod dialog;
mod layer;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::unauthenticated::Cipher;
use countersign_proto::broker::v1::consumer::Consumer as Parties;
use countersign_proto::broker::v1::hawk;
use countersign_proto::broker::v1::master::Credentials;
use http::Uri;

use super::{Application, Site, TICKET_PATH};
use crate::clock::{self, OwnClock};
use crate::consumer::credentials::Kept;
use crate::consumer::{CONTENT, PATIENCE};
use crate::origin::{Origin, WrongAddress};
use crate::site_address::SiteAddress;

/// An application that calls others, in edition v1. It is a layer of `tower` for any HTTP client, and middleware
/// of reqwest; clones share what they know.
///
/// A request to an address that it does not know is not sent.
#[derive(Clone)]
pub struct Consumer {
    shared: Arc<Shared>,
}

struct Shared {
    parties: RwLock<Arc<Parties>>,
    /// Where the site answers requests for tickets.
    site: SiteAddress,
    clock: OwnClock,
    targets: HashMap<Origin, Target>,
    patience: Duration,
    content: usize,
}

/// An application that is called.
struct Target {
    id: String,
    /// Where it takes tickets.
    tickets: Uri,
    kept: Kept<Credentials>,
}

/// What a consumer is made of.
pub struct ConsumerBuilder {
    application: Application,
    site: Site,
    calls: Vec<(String, Uri)>,
    ciphers: Vec<Cipher>,
    hashes: Vec<RsaHash>,
    patience: Duration,
    content: usize,
    clock: OwnClock,
}

/// Why there is no consumer of these parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBuilt {
    /// An address is none.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// No hash that requests for tickets can be signed with, or none that Hawk knows.
    #[error(
        "these hashes do not suffice: requests for tickets are signed with sha256, sha384 or sha512, and those to \
         a provider with sha256 or sha1; add sha256"
    )]
    Hashes,
    /// No cipher.
    #[error("there is no cipher: name one, as in aes-256-cbc")]
    Ciphers,
    /// No key of the application, or none of the site.
    #[error("there is no key: give this application's private key and the site's public one")]
    Keys,
}

impl Consumer {
    /// An application that trusts this site, and calls nobody yet.
    #[must_use]
    pub fn builder(application: Application, site: Site) -> ConsumerBuilder {
        ConsumerBuilder {
            application,
            site,
            calls: Vec::new(),
            ciphers: Cipher::ALL.to_vec(),
            hashes: vec![RsaHash::Sha256],
            patience: PATIENCE,
            content: CONTENT,
            clock: Arc::new(clock::system),
        }
    }

    /// Goes on with other keys of its own and of the site, the newest first.
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

    /// Ciphers that it accepts, the best first: all of [`Cipher::ALL`] when nothing is said. It asks with the
    /// first, and with another one when the site does not support that.
    #[must_use]
    pub fn ciphers(mut self, ciphers: &[Cipher]) -> Self {
        self.ciphers = ciphers.to_vec();
        self
    }

    /// Hashes that it accepts, the best first: SHA-256 alone when nothing is said. It asks with the first, and
    /// with another one when the site does not support that. Requests are signed with SHA-256 or SHA-1, so one
    /// of these has to be among them; nothing else is signed with SHA-1.
    #[must_use]
    pub fn hashes(mut self, hashes: &[RsaHash]) -> Self {
        self.hashes = hashes.to_vec();
        self
    }

    /// How long the site and a provider may take for an answer in the dialog: 10 seconds when nothing is said.
    /// The application's own requests are for its client to time.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The longest content of a request, in bytes: 16 MiB when nothing is said. It is kept until the request is
    /// answered, which may have to be sent again.
    #[must_use]
    pub fn longest_content(mut self, bytes: usize) -> Self {
        self.content = bytes;
        self
    }

    /// Another clock than this machine's, in milliseconds since 1970. It has to be right to a minute.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The consumer. Nothing is sent before its first request.
    ///
    /// # Errors
    /// [`NotBuilt`], where no request could ever be made.
    pub fn build(self) -> Result<Consumer, NotBuilt> {
        let has = |use_of: fn(RsaHash) -> bool| self.hashes.iter().any(|hash| use_of(*hash));
        if !has(RsaHash::signs) || !has(hawk::knows) {
            return Err(NotBuilt::Hashes);
        }
        if self.ciphers.is_empty() {
            return Err(NotBuilt::Ciphers);
        }
        if self.application.keys.is_empty() || self.site.keys.is_empty() {
            return Err(NotBuilt::Keys);
        }
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
                kept: Kept::default(),
            };
            targets.insert(origin, target);
        }
        let parties = Parties {
            id: self.application.id,
            keys: self.application.keys,
            master: self.site.keys,
            ciphers: self.ciphers,
            hashes: self.hashes,
        };
        Ok(Consumer {
            shared: Arc::new(Shared {
                parties: RwLock::new(Arc::new(parties)),
                site: SiteAddress::of(&self.site.url)?,
                clock: self.clock,
                targets,
                patience: self.patience,
                content: self.content,
            }),
        })
    }
}
