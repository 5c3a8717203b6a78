//! The server's long-term OPAQUE secrets.

use std::fmt;

use super::registration::{PassphraseRecord, RECORD_LENGTH};
use super::suite::{Classical, Hybrid, PassphraseError, Rng, exactly};
use zeroize::{Zeroize, Zeroizing};

use crate::entropy::Entropy;
use crate::hash::sha256;
use crate::secret::SecretBytes;

/// The first byte of a stored setup: its format version.
const VERSION: u8 = 1;
/// The length of the rest: OPRF seed, private key, and a public key for decoy records.
const LENGTH: usize = 64 + 32 + 32;

/// The server's OPAQUE secrets: OPRF seed and key pair, the same for both suites, parsed once. An
/// attacker who has them and the records can guess pass phrases offline, so they are stored sealed.
pub struct ServerSetup {
    pub(super) classical: opaque_ke::ServerSetup<Classical>,
    pub(super) hybrid: opaque_ke::ServerSetup<Hybrid>,
    /// Parsed if there is no record, so that a response takes the same time.
    pub(super) placeholder: PassphraseRecord,
    id: SetupId,
}

/// Identifies a setup: the first 8 bytes of SHA-256 of its public key. It is stored with each
/// record created with the setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetupId([u8; 8]);

impl SetupId {
    /// Parses a stored id.
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
    /// Generates a new setup.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let setup = opaque_ke::ServerSetup::<Classical>::new(&mut Rng(entropy));
        let Ok(setup) = Self::of(&bytes_of(&setup)) else {
            // The bytes were just serialised, so they can be parsed.
            std::process::abort();
        };
        setup
    }

    /// Parses the output of [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PassphraseError> {
        match bytes.split_first() {
            Some((&VERSION, setup)) => Self::of(setup),
            _ => Err(PassphraseError::Malformed),
        }
    }

    fn of(bytes: &[u8]) -> Result<Self, PassphraseError> {
        exactly(LENGTH, bytes)?;
        // Both suites use the same group and hash, so they share the bytes of a setup.
        let classical = opaque_ke::ServerSetup::<Classical>::deserialize(bytes)?;
        let hybrid = opaque_ke::ServerSetup::<Hybrid>::deserialize(bytes)?;
        let decoy_public = bytes.last_chunk::<32>().ok_or(PassphraseError::Malformed)?;
        let mut placeholder = [0; RECORD_LENGTH];
        for (to, from) in placeholder.iter_mut().zip(decoy_public) {
            *to = *from;
        }
        let [a, b, c, d, e, f, g, h, ..] = sha256(&classical.keypair().public().serialize());
        Ok(Self {
            classical,
            hybrid,
            placeholder: PassphraseRecord::from_bytes(&placeholder)?,
            id: SetupId([a, b, c, d, e, f, g, h]),
        })
    }

    /// The bytes to store. The caller has to seal them.
    #[must_use]
    pub fn to_bytes(&self) -> SecretBytes {
        let mut bytes = Vec::with_capacity(1 + LENGTH);
        bytes.push(VERSION);
        bytes.extend_from_slice(&bytes_of(&self.classical));
        bytes.into()
    }

    /// The id of this setup.
    #[must_use]
    pub fn id(&self) -> SetupId {
        self.id
    }
}

fn bytes_of(setup: &opaque_ke::ServerSetup<Classical>) -> Zeroizing<Vec<u8>> {
    let mut array = setup.serialize();
    let bytes = Zeroizing::new(array.to_vec());
    array.as_mut_slice().zeroize();
    bytes
}

impl fmt::Debug for ServerSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerSetup({})", self.id)
    }
}
