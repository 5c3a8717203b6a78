//! The server's side of logins and resumptions (`docs/protocol/session.md`, Login and Resumption),
//! and the session.
//!
//! ```text
//!                      complete flight           answer
//!  ServerLoginAttempt ------------------> LookUp -----------> ServerLoginAttempt
//!                                           |                      | SESSION-PROOF, or the first packet
//!                                           |  RESUME, answered    v            welcome
//!                                           '----------------> Authenticated -----------> ServerSession
//! ```
//!
//! The state machines use no socket and no clock, and only the entropy that the caller passes. Each
//! state takes itself by value, so a failed step destroys it. The host looks accounts and sessions
//! up: an attempt stops at a [`LookUp`] until the host answers it. If there is no such account, the
//! attempt does the same work with a decoy.

mod attempt;
mod authenticated;
mod delivered;
mod partial_flight;
mod person;
mod resume;
mod service;
mod session;

use std::sync::Arc;

use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::noise::StaticKeyCache;
use countersign_crypto::passphrase::{PassphraseRecord, ServerSetup};
use countersign_crypto::sealed_identity::SEALED_IDENTITY_LENGTH;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::SiteKey;

use crate::name::Zone;
use crate::site_identity::KeyEventLog;

use super::option::OptionList;

pub use attempt::{LookUp, ServerLoginAttempt, ServerStep};
pub use authenticated::{Authenticated, AuthenticatedBy};
pub use delivered::{FindDelivered, Owner};
pub use person::FindPerson;
pub use resume::FindSession;
pub use service::FindService;
pub use session::{FromClient, ServerKeyOffer, ServerSession};

/// What every login at a site needs. The host makes a new value when the admin changes the options.
pub struct ServerSettings {
    /// The unwrapped site key, which the newest key event has.
    pub key: Arc<SiteKey>,
    /// The site's key events. Its id is OPAQUE's server identity.
    pub key_events: Arc<KeyEventLog>,
    /// The OPAQUE setup for responses to unknown names.
    pub setup: Arc<ServerSetup>,
    /// The secret that decoy certificates of unknown names are derived from.
    pub decoy: Secret<32>,
    /// The default zone of names without one.
    pub zone: Zone,
    /// The enabled encryption options, best first.
    pub options: OptionList,
    /// The maximum size of packets in both directions, in bytes.
    pub max_packet: u32,
    /// Shared secrets with services that logged in before.
    pub static_keys: Arc<StaticKeyCache>,
}

/// The host's own id of an account. The state machines do not interpret it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountTag(pub [u8; 16]);

/// The stored credential of a person.
pub struct PersonCredential {
    /// The account that it belongs to.
    pub account: AccountTag,
    /// The OPAQUE setup of its registration.
    pub setup: Arc<ServerSetup>,
    /// The OPAQUE credential identifier of its registration.
    pub credential_id: Vec<u8>,
    /// The OPAQUE registration record.
    pub record: PassphraseRecord,
    /// The certificate and key, sealed by the client.
    pub sealed_identity: [u8; SEALED_IDENTITY_LENGTH],
}

/// The stored credential of a person for the option `delivered-key`.
pub struct DeliveredCredential {
    /// The account that it belongs to.
    pub account: AccountTag,
    /// The certificate and the encrypted key.
    pub key: DeliveredKey,
}

/// The stored credential of a service.
pub struct ServiceCredential {
    /// The account that it belongs to.
    pub account: AccountTag,
    /// The X25519 key of the registered certificate.
    pub agreement: AgreementPublic,
}
