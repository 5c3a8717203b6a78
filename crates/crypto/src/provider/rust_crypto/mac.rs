//! HMAC (RFC 2104).

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2_11::Sha256;

/// A key of HMAC.
#[derive(Clone)]
pub(crate) enum HmacKey {
    Sha256(Hmac<Sha256>),
    Sha1(Hmac<Sha1>),
}

impl HmacKey {
    pub(crate) fn sha256(key: &[u8]) -> Self {
        Self::Sha256(keyed(key))
    }

    pub(crate) fn sha1(key: &[u8]) -> Self {
        Self::Sha1(keyed(key))
    }

    pub(crate) fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256(key) => over(key, message).finalize().into_bytes().to_vec(),
            Self::Sha1(key) => over(key, message).finalize().into_bytes().to_vec(),
        }
    }

    /// Verifies a whole code in constant time.
    pub(crate) fn verify(&self, message: &[u8], code: &[u8]) -> bool {
        let verified = match self {
            Self::Sha256(key) => over(key, message).verify_slice(code),
            Self::Sha1(key) => over(key, message).verify_slice(code),
        };
        verified.is_ok()
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8]) -> M {
    let Ok(made) = <M as KeyInit>::new_from_slice(key) else {
        // HMAC takes keys of any length.
        std::process::abort();
    };
    made
}

fn over<M: Mac + Clone>(key: &M, message: &[u8]) -> M {
    let mut state = key.clone();
    state.update(message);
    state
}
