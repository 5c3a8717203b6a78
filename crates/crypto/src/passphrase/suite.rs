//! The two OPAQUE suites, and the types that they share.

use std::fmt;

use opaque_ke::errors::ProtocolError;
use opaque_ke::rand::{CryptoRng, Error, RngCore};

use zeroize::Zeroize;

use super::ksf::OpaqueKsf;
use crate::entropy::Entropy;
use crate::secret::{BadPassphrase, Secret};

/// The key exchange of a login. Each login may use another suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginSuite {
    /// 3DH over ristretto255 (RFC 9807).
    Classical,
    /// 3DH and ML-KEM-768.
    Hybrid,
}

/// [`LoginSuite::Classical`] for `opaque-ke`.
pub(super) struct Classical;

impl opaque_ke::CipherSuite for Classical {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange = opaque_ke::TripleDh<opaque_ke::Ristretto255, sha2::Sha512>;
    type Ksf = OpaqueKsf;
}

/// [`LoginSuite::Hybrid`] for `opaque-ke`.
pub(super) struct Hybrid;

impl opaque_ke::CipherSuite for Hybrid {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange =
        opaque_ke::TripleDhKem<opaque_ke::Ristretto255, sha2::Sha512, ml_kem::MlKem768>;
    type Ksf = OpaqueKsf;
}

impl LoginSuite {
    /// The length of KE1, in bytes.
    pub(super) const fn ke1_length(self) -> usize {
        match self {
            Self::Classical => 96,
            Self::Hybrid => 96 + crate::kem::PUBLIC_KEY_LENGTH,
        }
    }

    /// The length of KE2, in bytes.
    pub(super) const fn ke2_length(self) -> usize {
        match self {
            Self::Classical => 320,
            Self::Hybrid => 320 + crate::kem::CIPHERTEXT_LENGTH,
        }
    }
}

/// The length of KE3, in bytes.
pub(super) const KE3_LENGTH: usize = 64;

/// Rejects a message that is not exactly `length` bytes long, because `opaque-ke` ignores trailing
/// bytes.
pub(super) fn exactly(length: usize, message: &[u8]) -> Result<&[u8], PassphraseError> {
    if message.len() == length {
        Ok(message)
    } else {
        Err(PassphraseError::Malformed)
    }
}

/// Copies a secret from an array of `opaque-ke` and wipes the array, which does not wipe itself.
pub(super) fn take_secret(bytes: &mut [u8]) -> Result<Secret<64>, PassphraseError> {
    let secret = Secret::try_from_slice(bytes).ok_or(PassphraseError::Malformed);
    bytes.zeroize();
    secret
}

/// The identities of client and server, which are bound into record and keys. OPAQUE's defaults are
/// their public keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identifiers<'a> {
    /// The client's identity.
    pub client: Option<&'a [u8]>,
    /// The server's identity.
    pub server: Option<&'a [u8]>,
}

impl<'a> From<Identifiers<'a>> for opaque_ke::Identifiers<'a> {
    fn from(identifiers: Identifiers<'a>) -> Self {
        Self {
            client: identifiers.client,
            server: identifiers.server,
        }
    }
}

/// A key that the client derives from the pass phrase, the same at each login. The server never
/// learns it, so it cannot open what the client seals with it.
#[derive(Clone, PartialEq, Eq)]
pub struct ExportKey(pub(super) Secret<64>);

impl ExportKey {
    /// An export key without a login.
    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The bytes, for deriving keys.
    #[must_use]
    pub fn expose(&self) -> &[u8; 64] {
        self.0.expose()
    }
}

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportKey(..)")
    }
}

/// Why a step of registration or login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// The pass phrase is not allowed.
    #[error(transparent)]
    Unfit(#[from] BadPassphrase),
    /// A message, record or setup is malformed.
    #[error("the message is malformed")]
    Malformed,
    /// The stored record is damaged.
    #[error(
        "the stored record of this pass phrase is damaged; restore a backup or set the pass phrase again"
    )]
    Damaged,
    /// The pass phrase is wrong, the name is unknown, the server is not the one of the
    /// registration, or the contexts differ. These cases cannot be distinguished.
    #[error("the pass phrase is not accepted")]
    Refused,
}

impl<T> From<ProtocolError<T>> for PassphraseError {
    fn from(error: ProtocolError<T>) -> Self {
        match error {
            ProtocolError::InvalidLoginError => Self::Refused,
            _ => Self::Malformed,
        }
    }
}

/// Adapts [`Entropy`] to `opaque-ke`.
pub(super) struct Rng<'a>(pub(super) &'a mut dyn Entropy);

impl RngCore for Rng<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_be_bytes(crate::entropy::fresh(self.0))
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_be_bytes(crate::entropy::fresh(self.0))
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.0.fill(out);
        Ok(())
    }
}

impl CryptoRng for Rng<'_> {}
