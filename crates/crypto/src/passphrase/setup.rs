//! The server's long-term OPAQUE secrets.

use std::fmt;

use super::suite::{Classical, Hybrid, PassphraseError, Rng};
use crate::entropy::Entropy;
use crate::hash::sha256;
use crate::secret::SecretBytes;

/// The first byte of a stored setup: the version of its form.
const VERSION: u8 = 1;

/// What a server answers registrations and logins with: the OPRF seed and its key pair. Whoever has it
/// and the records can guess at pass phrases, so it is stored sealed.
pub struct ServerSetup {
    pub(super) classical: opaque_ke::ServerSetup<Classical>,
    pub(super) hybrid: opaque_ke::ServerSetup<Hybrid>,
    id: SetupId,
}

/// Names a setup: the first 8 bytes of SHA-256 over its public key. Stored with every record made
/// under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetupId([u8; 8]);

impl SetupId {
    /// The id that was stored as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for SetupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl ServerSetup {
    /// A new setup.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let classical = opaque_ke::ServerSetup::<Classical>::new(&mut Rng(entropy));
        let Some(setup) = Self::of(&classical.serialize()) else {
            // What was just written reads back; only a broken library leads here.
            std::process::abort();
        };
        setup
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PassphraseError> {
        match bytes.split_first() {
            Some((&VERSION, setup)) => Self::of(setup).ok_or(PassphraseError::Malformed),
            _ => Err(PassphraseError::Malformed),
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        // Both suites have the same group and hash, so the same bytes are a setup of either.
        let classical = opaque_ke::ServerSetup::<Classical>::deserialize(bytes).ok()?;
        let hybrid = opaque_ke::ServerSetup::<Hybrid>::deserialize(bytes).ok()?;
        if classical.serialize().as_slice() != bytes {
            return None;
        }
        let digest = sha256(&classical.keypair().public().serialize());
        Some(Self {
            classical,
            hybrid,
            id: SetupId(*digest.first_chunk()?),
        })
    }

    /// The bytes to store, sealed.
    #[must_use]
    pub fn to_bytes(&self) -> SecretBytes {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.classical.serialize());
        bytes.into()
    }

    /// The name of this setup.
    #[must_use]
    pub fn id(&self) -> SetupId {
        self.id
    }
}

impl fmt::Debug for ServerSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerSetup({})", self.id)
    }
}
