//! Entropy that records what is drawn, and replays it.

use countersign_crypto::entropy::Entropy;

use super::form::Named;
use crate::entropy::SeededEntropy;

/// The draws of a client for OPAQUE's KE1; those for ML-KEM occur in a hybrid option only.
pub(super) const KE1: &[&str] = &[
    "OPAQUE blind, 64 bytes to be reduced modulo the order of the group",
    "OPAQUE client keyshare seed",
    "OPAQUE client nonce",
    "ML-KEM-768 d",
    "ML-KEM-768 z",
];
/// The draws of a site for OPAQUE's KE2.
pub(super) const KE2: &[&str] = &[
    "for a decoy record, unused for a known name",
    "OPAQUE masking nonce",
    "OPAQUE server keyshare seed",
    "OPAQUE server nonce",
    "ML-KEM-768 m",
];
/// The draws of either end for Noise.
pub(super) const NOISE: &[&str] = &["Noise ephemeral private key"];
/// The draws of either end for a KEY-SHARE.
pub(super) const SHARE: &[&str] = &["X25519 private key"];
/// The draws of a client with `delivered-key`.
pub(super) const NONCE: &[&str] = &["NONCE"];
/// The draws of a site with `delivered-key`.
pub(super) const DELIVERED: &[&str] = &["K", "session code", "HPKE ikmE"];

/// The entropy of one end of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Tape {
    source: Option<SeededEntropy>,
    purpose: String,
    names: std::slice::Iter<'static, &'static str>,
    drawn: Vec<Named>,
    next: usize,
}

impl Tape {
    /// Draws from a seed and records the values.
    #[must_use]
    pub(crate) fn record(source: SeededEntropy) -> Self {
        Self {
            source: Some(source),
            purpose: String::new(),
            names: [].iter(),
            drawn: Vec::new(),
            next: 0,
        }
    }

    /// Replays recorded values.
    #[must_use]
    pub(crate) fn replay(drawn: &[Named]) -> Self {
        Self {
            source: None,
            purpose: String::new(),
            names: [].iter(),
            drawn: drawn.to_vec(),
            next: 0,
        }
    }

    /// Sets the purpose of the next draws, and their names in order.
    pub(crate) fn purpose(&mut self, purpose: &str, names: &'static [&'static str]) {
        purpose.clone_into(&mut self.purpose);
        self.names = names.iter();
    }

    /// The recorded values.
    #[must_use]
    pub(crate) fn drawn(&self) -> &[Named] {
        &self.drawn
    }

    /// Whether all recorded values were drawn.
    #[must_use]
    pub(crate) fn is_used_up(&self) -> bool {
        self.next == self.drawn.len()
    }

    fn draw(&mut self, out: &mut [u8], what: &str) {
        let name = format!("{}: {what}", self.purpose);
        if let Some(source) = &mut self.source {
            source.fill(out);
            self.drawn.push(Named::new(&name, &out));
        }
        let drawn = self.drawn.get(self.next);
        let drawn = drawn.unwrap_or_else(|| panic!("no recorded value is left for {name}"));
        assert_eq!(drawn.name, name);
        out.copy_from_slice(&drawn.bytes.0);
        self.next += 1;
    }
}

impl Entropy for Tape {
    fn fill(&mut self, out: &mut [u8]) {
        let name = self.names.next();
        self.draw(
            out,
            name.unwrap_or_else(|| panic!("{}: an unexpected draw", self.purpose)),
        );
    }

    fn fill_kem(&mut self, out: &mut [u8]) -> bool {
        let what = match out.len() {
            64 => "ML-KEM-768 d and z",
            _ => "ML-KEM-768 m",
        };
        self.draw(out, what);
        true
    }
}
