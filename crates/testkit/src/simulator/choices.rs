//! The source of the simulator's random choices.

use crate::entropy::SeededEntropy;

/// Numbers from a seed, or from given bytes, with which a fuzzer controls the simulation.
#[derive(Debug, Clone)]
pub struct Choices(Source);

#[derive(Debug, Clone)]
enum Source {
    Seed(SeededEntropy),
    Written { bytes: Vec<u8>, next: usize },
}

impl Choices {
    /// Endless numbers. A seed gives the same numbers each time.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        // The label does not change: tests assert how often their fixed seeds cause each event.
        Self(Source::Seed(SeededEntropy::new(seed).fork("life")))
    }

    /// Numbers from these bytes: one byte for each, or three for one that may exceed 255. After the
    /// last byte, all are 0.
    #[must_use]
    pub fn written(bytes: &[u8]) -> Self {
        Self(Source::Written {
            bytes: bytes.to_vec(),
            next: 0,
        })
    }

    /// Whether the given bytes are used up. Never true for a seed.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        match &self.0 {
            Source::Seed(_) => false,
            Source::Written { bytes, next } => *next >= bytes.len(),
        }
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        match &mut self.0 {
            Source::Seed(entropy) => entropy.below(bound),
            Source::Written { bytes, next } => {
                let width = if bound > 256 { 3 } else { 1 };
                let drawn = bytes.iter().skip(*next).take(width);
                let number = drawn.fold(0, |number, byte| number << 8 | usize::from(*byte));
                *next += width;
                number % bound
            }
        }
    }

    /// True with probability 1/`times`.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Choices;

    #[test]
    fn given_bytes_are_the_choices_until_they_are_used_up() {
        let mut choices = Choices::written(&[7, 0, 1, 2, 9]);
        assert_eq!(
            (choices.below(5), choices.below(1_000), choices.below(10)),
            (2, 258, 9)
        );
        assert!(choices.is_spent());
        assert_eq!((choices.below(300), choices.one_in(2)), (0, true));
    }
}
