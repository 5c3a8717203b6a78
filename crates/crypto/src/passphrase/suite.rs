//! The two suites and what they share.

use opaque_ke::argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::rand::{CryptoRng, Error, RngCore};

use crate::entropy::Entropy;
use crate::secret::Secret;

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
    type Ksf = Argon2<'static>;
}

/// What [`LoginSuite::Hybrid`] is to `opaque-ke`.
pub(super) struct Hybrid;

impl opaque_ke::CipherSuite for Hybrid {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange =
        opaque_ke::TripleDhKem<opaque_ke::Ristretto255, sha2::Sha512, opaque_ke::ml_kem::MlKem768>;
    type Ksf = Argon2<'static>;
}

/// Argon2id with 64 MiB, 3 passes and 4 lanes: the second recommendation of RFC 9106, section 4. OPAQUE
/// gives it a salt of zeros, since its input is already bound to site and account (RFC 9807, section 4).
pub(super) fn stretching() -> Result<Argon2<'static>, PassphraseError> {
    let params = Params::new(64 * 1024, 3, 4, None).map_err(|_| PassphraseError::Refused)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportKey(Secret<64>);

impl ExportKey {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, PassphraseError> {
        Secret::try_from_slice(bytes)
            .map(Self)
            .ok_or(PassphraseError::Refused)
    }

    /// The bytes, for what derives keys from them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 64] {
        self.0.expose()
    }
}

/// Why a step of registration or login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// The other end's message is none of this protocol.
    #[error("a malformed message")]
    Malformed,
    /// The pass phrase is wrong, the name unknown, or the proof false: which, cannot be told.
    #[error("the pass phrase is not accepted")]
    Refused,
}

impl<T> From<opaque_ke::errors::ProtocolError<T>> for PassphraseError {
    fn from(error: opaque_ke::errors::ProtocolError<T>) -> Self {
        match error {
            opaque_ke::errors::ProtocolError::InvalidLoginError => Self::Refused,
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
