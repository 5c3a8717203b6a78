//! Unicode in native programs: the tables of `unicode-normalization`.

use unicode_normalization::UnicodeNormalization;
pub(super) use unicode_normalization::char::is_public_assigned;

/// Normalization form C of characters that have `length` bytes.
pub(super) fn composed(characters: impl Iterator<Item = char>, length: usize) -> String {
    // Form C has at most three times the bytes. With this capacity the buffer is never
    // reallocated, which would leave a copy in memory.
    let mut composed = String::with_capacity(3 * length);
    composed.extend(characters.nfc());
    composed
}
