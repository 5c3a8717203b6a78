//! Entropy that is written down as it is drawn, and given out again.

use countersign_crypto::entropy::Entropy;

use super::form::Named;
use crate::entropy::SeededEntropy;

/// What one end draws on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Tape {
    source: Option<SeededEntropy>,
    purpose: String,
    drawn: Vec<Named>,
    next: usize,
}

impl Tape {
    /// Draws from a seed, and writes it down.
    #[must_use]
    pub(crate) fn record(source: SeededEntropy) -> Self {
        Self {
            source: Some(source),
            purpose: String::new(),
            drawn: Vec::new(),
            next: 0,
        }
    }

    /// Gives out what was written down.
    #[must_use]
    pub(crate) fn replay(drawn: &[Named]) -> Self {
        Self {
            source: None,
            purpose: String::new(),
            drawn: drawn.to_vec(),
            next: 0,
        }
    }

    /// What is drawn from now on is for this.
    pub(crate) fn purpose(&mut self, purpose: &str) {
        purpose.clone_into(&mut self.purpose);
    }

    /// All that was drawn.
    #[must_use]
    pub(crate) fn drawn(&self) -> &[Named] {
        &self.drawn
    }

    /// Whether all that was written down was given out.
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
        let drawn = drawn.unwrap_or_else(|| panic!("more is drawn than was: {name}"));
        assert_eq!(drawn.name, name);
        out.copy_from_slice(&drawn.bytes.0);
        self.next += 1;
    }
}

impl Entropy for Tape {
    fn fill(&mut self, out: &mut [u8]) {
        self.draw(out, "drawn");
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
