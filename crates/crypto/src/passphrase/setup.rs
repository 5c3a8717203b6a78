//! The server's long-term OPAQUE secrets.

use std::fmt;

use super::registration::{PassphraseRecord, RECORD_LENGTH};
use super::suite::{Classical, Hybrid, PassphraseError, Rng, exactly};
use zeroize::{Zeroize, Zeroizing};

use crate::entropy::Entropy;
use crate::hash::sha256;
use crate::secret::SecretBytes;

/// The first byte of a stored setup: the version of its form.
const VERSION: u8 = 1;
/// What follows it: the OPRF seed, the private key, and a public key to make up records with.
const LENGTH: usize = 64 + 32 + 32;

/// What a server answers registrations and logins with: the OPRF seed and its key pair, the same for
/// both suites, parsed once. Whoever has it and the records can guess at pass phrases, so it is stored
/// sealed.
pub struct ServerSetup {
    pub(super) classical: opaque_ke::ServerSetup<Classical>,
    pub(super) hybrid: opaque_ke::ServerSetup<Hybrid>,
    /// Is parsed where there is no record, so that an answer takes the same time.
    pub(super) stand_in: PassphraseRecord,
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
        let setup = opaque_ke::ServerSetup::<Classical>::new(&mut Rng(entropy));
        let Ok(setup) = Self::of(&bytes_of(&setup)) else {
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
            Some((&VERSION, setup)) => Self::of(setup),
            _ => Err(PassphraseError::Malformed),
        }
    }

    fn of(bytes: &[u8]) -> Result<Self, PassphraseError> {
        exactly(LENGTH, bytes)?;
        // Both suites have the same group and hash, so the same bytes are a setup of either.
        let classical = opaque_ke::ServerSetup::<Classical>::deserialize(bytes)?;
        let hybrid = opaque_ke::ServerSetup::<Hybrid>::deserialize(bytes)?;
        let decoy_public = bytes.last_chunk::<32>().ok_or(PassphraseError::Malformed)?;
        let mut stand_in = [0; RECORD_LENGTH];
        for (to, from) in stand_in.iter_mut().zip(decoy_public) {
            *to = *from;
        }
        let [a, b, c, d, e, f, g, h, ..] = sha256(&classical.keypair().public().serialize());
        Ok(Self {
            classical,
            hybrid,
            stand_in: PassphraseRecord::from_bytes(&stand_in)?,
            id: SetupId([a, b, c, d, e, f, g, h]),
        })
    }

    /// The bytes to store, sealed.
    #[must_use]
    pub fn to_bytes(&self) -> SecretBytes {
        let mut bytes = Vec::with_capacity(1 + LENGTH);
        bytes.push(VERSION);
        bytes.extend_from_slice(&bytes_of(&self.classical));
        bytes.into()
    }

    /// The name of this setup.
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
