//! Credentials: what the site stores so that an account can log in. None of them lets the site, or
//! whoever steals its database, log in as the account.
//!
//! Each carries its version and what it was made under, so that either can change without a flag day:
//! an old credential goes on working and is replaced when its owner logs in next.

use std::fmt;

use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::passphrase::SetupId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::AccountId;
use crate::timestamp::Timestamp;

/// The version of the pass phrase credentials made now.
pub const PASSPHRASE_VERSION: u16 = 1;

/// What a pass phrase record was made with. A login's suite (classical or hybrid) is chosen anew at
/// each login and does not depend on this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PassphraseSuite {
    /// OPAQUE (RFC 9807) with ristretto255 and SHA-512, stretched with Argon2id.
    #[default]
    #[serde(rename = "opaque-ristretto255-sha512-argon2id")]
    OpaqueRistretto255,
}

impl PassphraseSuite {
    /// All suites.
    pub const ALL: [Self; 1] = [Self::OpaqueRistretto255];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpaqueRistretto255 => "opaque-ristretto255-sha512-argon2id",
        }
    }
}

/// The name under which OPAQUE knows a record, and from which the record's OPRF key follows. Every
/// registration has a new random one, and no two accounts have the same: with two answers under one OPRF
/// key, the one to a registration and the other to a login, guesses at the pass phrase can be tested
/// offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialId(pub [u8; 16]);

/// What a person logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct PassphraseCredential {
    /// Whose it is.
    pub account: AccountId,
    /// The version of this form.
    pub version: u16,
    /// What the record was made with.
    pub suite: PassphraseSuite,
    /// The server setup that the record was made under.
    pub setup: SetupId,
    /// The record's name within OPAQUE; unique in the site.
    pub credential_id: CredentialId,
    /// OPAQUE's registration record.
    pub record: Vec<u8>,
    /// The person's identity, sealed under OPAQUE's export key: the site cannot open it.
    pub sealed_identity: Vec<u8>,
    /// The certificate of that identity, in DER, when the person gave it.
    pub certificate: Option<Vec<u8>>,
    /// When it was made.
    pub changed: Timestamp,
}

impl fmt::Debug for PassphraseCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The record allows guessing at the pass phrase for whoever also has the server setup.
        f.debug_struct("PassphraseCredential")
            .field("account", &self.account)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What is delivered of a person to whoever names them, with the encryption option `delivered-key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredKeyCredential {
    /// Whose it is.
    pub account: AccountId,
    /// The certificate, and the key encrypted under a pass phrase that the site does not know.
    pub key: DeliveredKey,
    /// When it was given.
    pub changed: Timestamp,
}

/// What a service logs in with: a public key. The site holds no private key of any account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCredential {
    /// Whose it is.
    pub account: AccountId,
    /// The SHA-256 of the certificate's DER form; unique in the site.
    pub thumbprint: Thumbprint,
    /// The certificate, in DER; its self-signature was checked when it was added.
    pub certificate: Vec<u8>,
    /// The X25519 key that the certificate carries, so that a login need not parse it.
    pub agreement: AgreementPublic,
    /// What the admin calls it; may be empty.
    pub label: String,
    /// When it was added.
    pub added: Timestamp,
}
