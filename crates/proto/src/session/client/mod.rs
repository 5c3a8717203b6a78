//! The client's side of a session's beginning (`docs/protocol/session.md`, Login and Resumption), and the session.
//!
//! ```text
//!                      site proved
//!  person --> (answer) -----------> Stretch --run--> (welcome) --> Session
//!                |  ^                                    ^           |
//!                '--'  a newer option list:              |           |  connection lost, or idle
//!                      the flight is sent again          |           v
//!  service -> (answer) ----------------------------------'      Resumption
//!                      site proved                       |
//!  resume --> (answer) ----------------------------------'
//!                      site proved
//! ```
//!
//! All before the session is a [`ClientLoginAttempt`].
//!
//! No socket, no clock, no entropy but what is passed in. Nothing that depends on a secret is sent
//! before the other end proved that it holds the pinned site key.

mod attempt;
mod delivered;
mod person;
mod resume;
mod service;
mod session;

use countersign_crypto::noise::StaticKeyCache;
use countersign_crypto::site_key::SitePublicKey;
use std::sync::Arc;

use super::limits::DEFAULT_MAX_PACKET;
use super::option::{EncryptionOption, OptionList};

pub use attempt::{ClientLoginAttempt, ClientStep};
pub use person::Stretch;
pub use resume::Resumption;
pub use session::{ClientKeyOffer, ClientSession, FromSite, LoggedIn};

/// What a client knows before it connects.
#[derive(Clone)]
pub struct ClientSettings {
    /// The pinned site key.
    pub site: SitePublicKey,
    /// The site's option list as last seen; the default list at first.
    pub options: OptionList,
    /// The options that this client accepts.
    pub accepted: Vec<EncryptionOption>,
    /// Whether the order of `accepted` decides, in place of the order of the site's list.
    pub own_order: bool,
    /// The largest packet that this client takes or sends, in bytes.
    pub max_packet: u32,
    /// Shared secrets with sites that this identity logged in to before.
    pub known: Arc<StaticKeyCache>,
}

/// The option to take of those on offer: the first that is accepted, in the client's own order or in the site's.
fn choice(
    accepted: &[EncryptionOption],
    own_order: bool,
    offered: &OptionList,
) -> Option<EncryptionOption> {
    let (first, other) = match own_order {
        true => (accepted, offered.ranked()),
        false => (offered.ranked(), accepted),
    };
    first.iter().copied().find(|option| other.contains(option))
}

impl ClientSettings {
    /// The defaults for a site: hybrid options alone, packets of 64 KiB.
    #[must_use]
    pub fn new(site: SitePublicKey) -> Self {
        let options = OptionList::default();
        Self {
            site,
            accepted: options.ranked().to_vec(),
            own_order: false,
            options,
            max_packet: DEFAULT_MAX_PACKET,
            known: Arc::new(StaticKeyCache::default()),
        }
    }
}
