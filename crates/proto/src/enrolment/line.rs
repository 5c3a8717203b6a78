//! A line that arrives in parts and may hold a secret.

use countersign_crypto::secret::SecretBytes;
use serde::Serialize;

/// An object as a line of at most `max` bytes with its end. The buffer has that capacity from the start,
/// so that no part of a secret stays behind when it grows.
pub(super) fn secret_line(object: &impl Serialize, max: usize) -> SecretBytes {
    let mut line = Vec::with_capacity(max);
    if serde_json::to_writer(&mut line, object).is_err() {
        // Texts are always written; only exhausted memory leads here.
        std::process::abort();
    }
    line.push(b'\n');
    line.into()
}

/// A line without its end, of at most `MAX` bytes with it.
#[derive(Debug)]
pub(crate) struct PartialLine<const MAX: usize>(SecretBytes);

/// The result of bytes that arrived.
pub(crate) enum LineStep<const MAX: usize> {
    /// The line is incomplete.
    More(PartialLine<MAX>),
    /// The line without its end.
    Line(SecretBytes),
    /// `MAX` bytes have no line end.
    TooLong,
}

impl<const MAX: usize> Default for PartialLine<MAX> {
    fn default() -> Self {
        Self(Vec::new().into())
    }
}

impl<const MAX: usize> PartialLine<MAX> {
    /// How many bytes may still be read: at least 1.
    pub(crate) fn room(&self) -> usize {
        MAX - self.0.expose().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.expose().is_empty()
    }

    /// Takes bytes that arrived, of which those after the line or beyond [`Self::room`] do not
    /// count.
    pub(crate) fn receive(self, bytes: &[u8]) -> LineStep<MAX> {
        let (bytes, _) = bytes.split_at(bytes.len().min(self.room()));
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, _) = bytes.split_at(end.unwrap_or(bytes.len()));
        // A copy, so that the former buffer is wiped.
        let line = SecretBytes::from([self.0.expose(), line].concat());
        match end {
            Some(_) => LineStep::Line(line),
            None if line.expose().len() == MAX => LineStep::TooLong,
            None => LineStep::More(Self(line)),
        }
    }
}
