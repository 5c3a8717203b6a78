//! Hash functions (FIPS 180-4, FIPS 202), and HKDF (RFC 5869).

use hkdf::Hkdf;
use sha2_11::{Digest, Sha256, Sha512};
use sha3::Sha3_256;

/// An incremental SHA-256.
#[derive(Clone)]
pub(crate) struct Sha256State(Sha256);

impl Sha256State {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

pub(crate) fn sha512(data: &[u8]) -> [u8; 64] {
    Sha512::digest(data).into()
}

pub(crate) fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Sha3_256::new();
    parts.iter().for_each(|part| state.update(part));
    state.finalize().into()
}

/// HKDF with SHA-256. Fills `out`; returns `false` if it is longer than 8,160 bytes.
pub(crate) fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) -> bool {
    let extracted = Hkdf::<Sha256>::new(Some(salt), secret);
    extracted.expand_multi_info(info, out).is_ok()
}
