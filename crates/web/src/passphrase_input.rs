//! Secrets that come from JavaScript.

use countersign_crypto::secret::{Passphrase, SecretBytes};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use crate::failure::usage;

/// A pass phrase, from a string or from bytes in UTF-8, which are overwritten with zeros.
pub(crate) fn take(value: &JsValue) -> Result<Passphrase, JsValue> {
    if let Some(text) = value.as_string() {
        return Ok(Passphrase::from(text));
    }
    let bytes = value
        .dyn_ref::<Uint8Array>()
        .ok_or_else(|| usage(&"a pass phrase is a string or a Uint8Array"))?;
    let copy = SecretBytes::from(wiped(bytes));
    let text = str::from_utf8(copy.expose());
    let text = text.map_err(|_| usage(&"the bytes of the pass phrase are not UTF-8"))?;
    Ok(Passphrase::from(text.to_owned()))
}

/// The bytes, which are overwritten with zeros.
pub(crate) fn wiped(bytes: &Uint8Array) -> Vec<u8> {
    let copy = bytes.to_vec();
    let length = bytes.length();
    bytes.fill(0, 0, length);
    copy
}
