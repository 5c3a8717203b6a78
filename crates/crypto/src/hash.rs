//! SHA-256 and SHA-512 (FIPS 180-4), and SHA3-256 (FIPS 202) where a standard requires it.

use aws_lc_rs::digest;

/// SHA-256 of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut sum = Sha256::new();
    sum.update(data);
    sum.finish()
}

/// SHA-512 of `data`.
#[must_use]
pub fn sha512(data: &[u8]) -> [u8; 64] {
    let mut sum = [0; 64];
    sum.copy_from_slice(digest::digest(&digest::SHA512, data).as_ref());
    sum
}

/// SHA3-256 of the concatenated parts.
pub(crate) fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA3_256);
    parts.iter().for_each(|part| context.update(part));
    let mut sum = [0; 32];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

/// An incremental SHA-256.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Starts with no data.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds data.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The digest of all added data.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut sum = [0; 32];
        sum.copy_from_slice(self.0.finish().as_ref());
        sum
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256(..)")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_empty_message_has_its_published_digest() {
        let digest = data_encoding::HEXLOWER.encode(&super::sha256(b""));
        assert!(digest.starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
        let digest = data_encoding::HEXLOWER.encode(&super::sha512(b""));
        assert!(digest.starts_with("cf83e1357eefb8bdf1542850d66d8007"));
    }
}
