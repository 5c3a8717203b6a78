//! The two suites and what they share.

use std::fmt;

use opaque_ke::errors::ProtocolError;
use opaque_ke::rand::{CryptoRng, Error, RngCore};

use zeroize::Zeroize;

use super::ksf::OpaqueKsf;
use crate::entropy::Entropy;
use crate::secret::{BadPassphrase, Secret};

/// How a login's keys are agreed; chosen anew at each login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginSuite {
    /// 3DH over ristretto255, as RFC 9807 has it.
    Classical,
    /// 3DH and ML-KEM-768.
    Hybrid,
}

/// What [`LoginSuite::Classical`] is to `opaque-ke`.
pub(super) struct Classical;

impl opaque_ke::CipherSuite for Classical {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange = opaque_ke::TripleDh<opaque_ke::Ristretto255, sha2::Sha512>;
    type Ksf = OpaqueKsf;
}

/// What [`LoginSuite::Hybrid`] is to `opaque-ke`.
pub(super) struct Hybrid;

impl opaque_ke::CipherSuite for Hybrid {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange =
        opaque_ke::TripleDhKem<opaque_ke::Ristretto255, sha2::Sha512, ml_kem::MlKem768>;
    type Ksf = OpaqueKsf;
}

impl LoginSuite {
    /// How long KE1 is, in bytes.
    pub(super) const fn ke1_length(self) -> usize {
        match self {
            Self::Classical => 96,
            Self::Hybrid => 96 + crate::kem::PUBLIC_KEY_LENGTH,
        }
    }

    /// How long KE2 is, in bytes.
    pub(super) const fn ke2_length(self) -> usize {
        match self {
            Self::Classical => 320,
            Self::Hybrid => 320 + crate::kem::CIPHERTEXT_LENGTH,
        }
    }
}

/// How long KE3 is, in bytes.
pub(super) const KE3_LENGTH: usize = 64;

/// Refuses a message that is not `length` bytes long: `opaque-ke` reads what it needs and passes over
/// the rest.
pub(super) fn exactly(length: usize, message: &[u8]) -> Result<&[u8], PassphraseError> {
    if message.len() == length {
        Ok(message)
    } else {
        Err(PassphraseError::Malformed)
    }
}

/// Takes a secret out of `opaque-ke`'s array, which is wiped: it does not wipe itself.
pub(super) fn take_secret(bytes: &mut [u8]) -> Result<Secret<64>, PassphraseError> {
    let secret = Secret::try_from_slice(bytes).ok_or(PassphraseError::Malformed);
    bytes.zeroize();
    secret
}

/// Who the two ends are, bound into record and keys; OPAQUE's defaults are their public keys.
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

/// A key that only the pass phrase gives, the same at each login: what the person seals with it, the
/// server cannot open.
#[derive(Clone, PartialEq, Eq)]
pub struct ExportKey(pub(super) Secret<64>);

impl ExportKey {
    /// Something to seal under, without a login.
    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The bytes, for what derives keys from them.
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
    /// The pass phrase cannot be set. Ask for another one.
    #[error(transparent)]
    Unfit(#[from] BadPassphrase),
    /// What was given is no such message, record or setup.
    #[error("a malformed message")]
    Malformed,
    /// The record that this end stored is none. Restore it, or register the person again.
    #[error("the stored record of this pass phrase is damaged")]
    Damaged,
    /// The pass phrase is wrong, the name unknown, the other end not the one that was registered with,
    /// or the context not the same at both: which of these, cannot be told.
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

/// Our entropy in the form that `opaque-ke` asks for.
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
