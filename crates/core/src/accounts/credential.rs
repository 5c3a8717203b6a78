//! Credentials: what the site stores so that an account can log in. With a credential alone neither
//! the site nor an attacker with its database can log in as the account.
//!
//! Each credential carries its version and suite, so that either can change gradually: an old
//! credential keeps working and is replaced at the account's next login.

use std::fmt;

use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::passphrase::SetupId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::AccountId;
use crate::timestamp::Timestamp;

/// The version of pass phrase credentials that are made now.
pub const PASSPHRASE_VERSION: u16 = 1;

/// The OPAQUE suite of a pass phrase record. It is independent of the suite of a login (classical
/// or hybrid), which is chosen for each login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PassphraseSuite {
    /// OPAQUE (RFC 9807) with ristretto255 and SHA-512, and Argon2id as the key stretching
    /// function.
    #[default]
    #[serde(rename = "opaque-ristretto255-sha512-argon2id")]
    OpaqueRistretto255,
}

impl PassphraseSuite {
    /// All suites.
    pub const ALL: [Self; 1] = [Self::OpaqueRistretto255];

    /// Returns the name of the suite.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpaqueRistretto255 => "opaque-ristretto255-sha512-argon2id",
        }
    }
}

/// The credential identifier of OPAQUE, from which the OPRF key of a record is derived. Every
/// registration has a new random one, and no two accounts share one. If one OPRF key answered both
/// a registration and a login, an attacker with both answers could test guesses of the pass phrase
/// offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialId(pub [u8; 16]);

/// The credential of a person.
#[derive(Clone, PartialEq, Eq)]
pub struct PassphraseCredential {
    /// The person's account.
    pub account: AccountId,
    /// The version of the credential.
    pub version: u16,
    /// The OPAQUE suite of the record.
    pub suite: PassphraseSuite,
    /// The server setup with which the record was made.
    pub setup: SetupId,
    /// The credential identifier; unique in the site.
    pub credential_id: CredentialId,
    /// The OPAQUE registration record.
    pub record: Vec<u8>,
    /// The person's identity, sealed under OPAQUE's export key. The site cannot open it.
    pub sealed_identity: Vec<u8>,
    /// The certificate of that identity, in DER, if the person supplied it.
    pub certificate: Option<Vec<u8>>,
    /// When the pass phrase was set.
    pub changed: Timestamp,
}

impl fmt::Debug for PassphraseCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The record is left out: with the server setup it allows offline guessing of the pass
        // phrase.
        f.debug_struct("PassphraseCredential")
            .field("account", &self.account)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The key of a person that the site sends to any client that names the person, with the encryption
/// option `delivered-key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredKeyCredential {
    /// The person's account.
    pub account: AccountId,
    /// The certificate, and the private key encrypted under a pass phrase that the site does not
    /// know.
    pub key: DeliveredKey,
    /// When the key was stored.
    pub changed: Timestamp,
}

/// The credential of a service: a public key. The site never has a service's private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCredential {
    /// The service's account.
    pub account: AccountId,
    /// The SHA-256 of the certificate in DER; unique in the site.
    pub thumbprint: Thumbprint,
    /// The certificate, in DER. Its self-signature was verified when it was added.
    pub certificate: Vec<u8>,
    /// The X25519 public key from the certificate, so that a login does not have to parse it.
    pub agreement: AgreementPublic,
    /// The label; may be empty.
    pub label: String,
    /// When the key was added.
    pub added: Timestamp,
}
