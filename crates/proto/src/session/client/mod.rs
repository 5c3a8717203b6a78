//! The client's side of logins and resumptions (`docs/protocol/session.md`, Login and Resumption),
//! and the session.
//!
//! ```text
//!                 site authenticated
//!  person --> (response) ---------> PendingKsf --run--> (welcome) --> ClientSession
//!               |  ^                                        ^            |
//!               '--'  a new option list:                  |            |  connection lost, or idle
//!                     the flight is sent again            |            v
//!  service -> (response) ---------------------------------'        Resumption
//!                 site authenticated                      |
//!  resume --> (response) ---------------------------------'
//!                 site authenticated
//! ```
//!
//! A service whose site replaced its key leaves this diagram: it learns the key events and connects
//! again ([`ClientStep::Reconnect`]).
//!
//! All states before the session are a [`ClientLoginAttempt`].
//!
//! The state machines use no socket and no clock, and only the entropy that the caller passes. The
//! client sends nothing that depends on a secret before it has authenticated the site.

mod attempt;
mod delivered;
mod key_events;
mod native;
mod person;
mod resume;
mod service;
mod session;

use countersign_crypto::noise::StaticKeyCache;
use countersign_crypto::site_key::SitePublicKey;
use std::sync::Arc;

use crate::site_identity::{KeyEventWalk, KnownSite};

use super::limits::DEFAULT_MAX_PACKET;
use super::option::{EncryptionOption, OptionList};

pub use attempt::{ClientLoginAttempt, ClientStep};
pub use key_events::{read_key_events, request_key_events};
pub use person::Stretch;
pub use resume::{RESUMPTION_LENGTH, Resumption};
pub use session::{ClientKeyOffer, ClientSession, FromSite, LoggedIn};

/// The configuration of a client.
#[derive(Clone)]
pub struct ClientSettings {
    /// The pinned site key. At the first contact, one of the site's key events must have it.
    pub site: SitePublicKey,
    /// What is known of the site since the first contact. It replaces the pinned key.
    pub known: Option<KnownSite>,
    /// The site's option list as last received; initially the default list.
    pub options: OptionList,
    /// The options that this client accepts.
    pub accepted: Vec<EncryptionOption>,
    /// Whether the order of `accepted` decides instead of the order of the site's list.
    pub own_order: bool,
    /// The maximum size of packets in both directions, in bytes.
    pub max_packet: u32,
    /// Shared secrets with sites that this identity logged in to before.
    pub static_keys: Arc<StaticKeyCache>,
}

/// The first acceptable option that the site offers, in the client's own order or in the site's.
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
    /// The keys that the site had when this client last met it, or the pinned ones.
    pub(super) fn expected_keys(&self) -> &SitePublicKey {
        self.known.as_ref().map_or(&self.site, KnownSite::keys)
    }

    /// The walk along the site's key events from what is known.
    #[must_use]
    pub fn walk(&self) -> KeyEventWalk {
        let first = || KeyEventWalk::first_contact(self.site.signing);
        self.known.map_or_else(first, KeyEventWalk::from_known)
    }

    /// The defaults for a site: the hybrid options, and packets of 64 KiB.
    #[must_use]
    pub fn new(site: SitePublicKey) -> Self {
        let options = OptionList::default();
        Self {
            site,
            known: None,
            accepted: options.ranked().to_vec(),
            own_order: false,
            options,
            max_packet: DEFAULT_MAX_PACKET,
            static_keys: Arc::new(StaticKeyCache::default()),
        }
    }
}
