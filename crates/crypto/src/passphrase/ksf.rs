//! The key stretching function, which makes guessing pass phrases slow (RFC 9807, section 4).

use opaque_ke::argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::errors::InternalError;
use opaque_ke::generic_array::{ArrayLength, GenericArray};
use opaque_ke::ksf::Ksf as KeyStretching;

/// The key stretching function of a pass phrase: Argon2id (RFC 9106) with one of these costs. A
/// login has to use the one of the registration, so a credential stores its version.
///
/// OPAQUE uses Argon2id with a salt of zeros, because the input already depends on a secret of the
/// site and the account. The output has the length of the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ksf {
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106, section 4, for machines
    /// with limited memory.
    #[default]
    Recommended,
    /// 64 KiB, 1 pass, 1 lane. It is insecure: only for tests and simulations with thousands of
    /// logins.
    Trivial,
}

impl Ksf {
    /// The number that a credential stores.
    #[must_use]
    pub const fn version(self) -> u8 {
        match self {
            Self::Recommended => 1,
            Self::Trivial => 255,
        }
    }

    /// The key stretching function with this version number.
    #[must_use]
    pub const fn from_version(version: u8) -> Option<Self> {
        match version {
            1 => Some(Self::Recommended),
            255 => Some(Self::Trivial),
            _ => None,
        }
    }
}

/// Adapts [`Ksf`] to `opaque-ke`.
pub(super) struct OpaqueKsf(Option<Argon2<'static>>);

impl OpaqueKsf {
    /// No stretching, as in the vectors of RFC 9807.
    #[cfg(test)]
    pub(super) const IDENTITY: Self = Self(None);
}

impl From<Ksf> for OpaqueKsf {
    fn from(ksf: Ksf) -> Self {
        let (memory, passes, lanes) = match ksf {
            Ksf::Recommended => (64 * 1024, 3, 4),
            Ksf::Trivial => (64, 1, 1),
        };
        let Ok(params) = Params::new(memory, passes, lanes, None) else {
            // The parameters are constant, and tests use both.
            std::process::abort();
        };
        Self(Some(Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            params,
        )))
    }
}

impl Default for OpaqueKsf {
    fn default() -> Self {
        Ksf::default().into()
    }
}

impl KeyStretching for OpaqueKsf {
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> Result<GenericArray<u8, L>, InternalError> {
        match &self.0 {
            Some(argon2) => KeyStretching::hash(argon2, input),
            None => Ok(input),
        }
    }
}
