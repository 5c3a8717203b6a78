//! Entropy from a seed, so that a dialog is reproducible.
//!
//! AWS-LC uses its own random generator for ML-KEM. With a hybrid option, two runs with one seed
//! therefore differ in the bytes of ML-KEM and in everything derived from them.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::hash::sha256;

/// The endless stream `SHA-256(seed, 0)`, `SHA-256(seed, 1)`, …
#[derive(Debug, Clone)]
pub struct SeededEntropy {
    seed: [u8; 32],
    next: u64,
    block: [u8; 32],
    used: usize,
}

impl SeededEntropy {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::from_digest(sha256(&seed.to_be_bytes()))
    }

    /// An independent stream for each label. It does not depend on what was drawn from this one.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        Self::from_digest(sha256(&[&self.seed, label.as_bytes()].concat()))
    }

    fn from_digest(seed: [u8; 32]) -> Self {
        Self {
            seed,
            next: 0,
            block: [0; 32],
            used: 32,
        }
    }

    /// A number below `bound`, which must not be 0. Nearly uniform, which suffices for tests.
    pub fn below(&mut self, bound: usize) -> usize {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_be_bytes(bytes) as usize % bound
    }

    /// True with probability 1/`times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.used == self.block.len() {
                self.block = sha256(&[&self.seed[..], &self.next.to_be_bytes()].concat());
                self.next += 1;
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_stream_for_draws_of_any_length() {
        let mut whole = [0; 100];
        SeededEntropy::new(7).fill(&mut whole);
        let mut stream = SeededEntropy::new(7);
        for piece in whole.chunks(9) {
            let mut drawn = vec![0; piece.len()];
            stream.fill(&mut drawn);
            assert_eq!(drawn, piece);
        }
    }

    #[test]
    fn seeds_and_forks_give_different_streams() {
        let first = |mut stream: SeededEntropy| stream.below(usize::from(u16::MAX));
        let seven = SeededEntropy::new(7);
        let drawn = [
            first(seven.clone()),
            first(SeededEntropy::new(8)),
            first(seven.fork("a")),
            first(seven.fork("b")),
        ];
        for (at, one) in drawn.iter().enumerate() {
            assert!(!drawn[..at].contains(one));
        }
    }
}
