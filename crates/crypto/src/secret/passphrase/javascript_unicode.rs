//! Unicode in WebAssembly: the tables of the JavaScript engine, because each browser would load the
//! 112 KiB of those of `unicode-normalization`.

use js_sys::{JsString, RegExp};
use zeroize::Zeroize;

/// Normalization form C of characters that have at most `length` bytes.
///
/// The engine gets no text without characters from U+0300 on: such a text is in form C already, and
/// a string of the engine cannot be overwritten.
pub(super) fn composed(characters: impl Iterator<Item = char>, length: usize) -> String {
    let mut text = String::with_capacity(length);
    text.extend(characters);
    if text.chars().all(|character| character < '\u{300}') {
        return text;
    }
    let composed = JsString::from(text.as_str()).normalize("NFC");
    text.zeroize();
    composed.into()
}

/// Whether the engine knows the character, and it is not for private use.
pub(super) fn is_public_assigned(character: char) -> bool {
    let unassigned = RegExp::new(r"[\p{Cn}\p{Co}]", "u");
    !unassigned.test(character.encode_utf8(&mut [0; 4]))
}
