//! SHA-256 and SHA-512 (FIPS 180-4), and SHA3-256 (FIPS 202) where a standard requires it.

use crate::provider::{self, Sha256State};

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
    provider::sha512(data)
}

/// SHA3-256 of the concatenated parts.
pub(crate) fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    provider::sha3_256(parts)
}

/// An incremental SHA-256.
#[derive(Clone)]
pub struct Sha256(Sha256State);

impl Sha256 {
    /// Starts with no data.
    #[must_use]
    pub fn new() -> Self {
        Self(Sha256State::new())
    }

    /// Adds data.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The digest of all added data.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finish()
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
