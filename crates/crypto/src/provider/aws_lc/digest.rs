//! Hash functions (FIPS 180-4, FIPS 202), and HKDF (RFC 5869).

use aws_lc_rs::{digest, hkdf};

/// An incremental SHA-256.
#[derive(Clone)]
pub(crate) struct Sha256State(digest::Context);

impl Sha256State {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        let mut sum = [0; 32];
        sum.copy_from_slice(self.0.finish().as_ref());
        sum
    }
}

pub(crate) fn sha512(data: &[u8]) -> [u8; 64] {
    let mut sum = [0; 64];
    sum.copy_from_slice(digest::digest(&digest::SHA512, data).as_ref());
    sum
}

pub(crate) fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA3_256);
    parts.iter().for_each(|part| context.update(part));
    let mut sum = [0; 32];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

/// HKDF with SHA-256. Fills `out`; returns `false` if it is longer than 8,160 bytes.
pub(crate) fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) -> bool {
    let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out));
    filled.is_ok()
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
