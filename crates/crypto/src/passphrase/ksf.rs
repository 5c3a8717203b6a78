//! What makes guessing at pass phrases slow: the key stretching function (RFC 9807, section 4).

use opaque_ke::argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::errors::InternalError;
use opaque_ke::generic_array::{ArrayLength, GenericArray};
use opaque_ke::ksf::Ksf as KeyStretching;

/// How the client stretches a pass phrase: Argon2id (RFC 9106), always, and how costly. A record opens
/// only under what it was made with, so a credential stores the version.
///
/// OPAQUE gives Argon2id a salt of zeros, since its input is already bound to the site's secret and the
/// account's, and as many bytes as its hash has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Ksf {
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106, section 4, for machines that
    /// have not gigabytes to spare.
    #[default]
    Recommended,
    /// 64 KiB, 1 pass, 1 lane. It protects nobody: for tests and simulations that log in thousands of
    /// times.
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

    /// What a credential that stores `version` was stretched with.
    #[must_use]
    pub const fn from_version(version: u8) -> Option<Self> {
        match version {
            1 => Some(Self::Recommended),
            255 => Some(Self::Trivial),
            _ => None,
        }
    }
}

/// [`Ksf`] as `opaque-ke` asks for it.
pub(super) struct OpaqueKsf(Option<Argon2<'static>>);

impl OpaqueKsf {
    /// RFC 9807's vectors are made without stretching.
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
            // These are constants, each of which a test uses.
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
