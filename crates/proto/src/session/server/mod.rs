//! The server's side of a session's beginning (`docs/protocol/session.md`, Login and Resumption), and the session.
//!
//! ```text
//!                 a whole flight             answer
//!  LoginAttempt ------------------> LookUp -----------> LoginAttempt
//!                                     |                      | SESSION-PROOF, or the first packet
//!                                     |  RESUME, answered    v            welcome
//!                                     '----------------> Authenticated -----------> Session
//! ```
//!
//! No socket, no clock, no entropy but what is passed in. Each state takes itself by value; a step that
//! fails destroys it. The host looks accounts and sessions up: an attempt stops at a [`LookUp`] until it is
//! answered, and goes through the same motions when there is no such account.

mod attempt;
mod authenticated;
mod delivered;
mod gathered;
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

use super::option::OptionList;

pub use attempt::{LookUp, ServerLoginAttempt, ServerStep};
pub use authenticated::{Authenticated, AuthenticatedBy};
pub use delivered::{FindDelivered, Owner};
pub use person::FindPerson;
pub use resume::FindSession;
pub use service::FindService;
pub use session::{FromClient, ServerKeyOffer, ServerSession};

/// What every login at a site needs; made anew when the admin changes the options.
pub struct ServerSettings {
    /// The opened site key.
    pub key: Arc<SiteKey>,
    /// The OPAQUE setup that unknown names are answered with.
    pub setup: Arc<ServerSetup>,
    /// What the made-up certificates of unknown names are derived from.
    pub decoy: Secret<32>,
    /// The zone of names that were given without one.
    pub zone: Zone,
    /// The encryption options on offer, ranked.
    pub options: OptionList,
    /// The largest packet that this server takes or sends, in bytes.
    pub max_packet: u32,
    /// Shared secrets with services that logged in before.
    pub known: Arc<StaticKeyCache>,
}

/// The host's own id of an account; carried through a login untouched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountTag(pub [u8; 16]);

/// What a site stores of a person who may log in.
pub struct PersonCredential {
    /// Whose it is.
    pub account: AccountTag,
    /// The OPAQUE setup under which it was registered.
    pub setup: Arc<ServerSetup>,
    /// What was given as credential identifier when it was registered.
    pub credential_id: Vec<u8>,
    /// The registration record.
    pub record: PassphraseRecord,
    /// The certificate and key that the client sealed.
    pub sealed_identity: [u8; SEALED_IDENTITY_LENGTH],
}

/// What a site stores of a person who may log in with the option `delivered-key`.
pub struct DeliveredCredential {
    /// Whose it is.
    pub account: AccountTag,
    /// The certificate and the encrypted key.
    pub key: DeliveredKey,
}

/// What a site stores of a service that may log in.
pub struct ServiceCredential {
    /// Whose it is.
    pub account: AccountTag,
    /// The X25519 key of the registered certificate.
    pub agreement: AgreementPublic,
}
