//! Objects of one form in JSON, and bytes in them: base64url without padding (RFC 4648, section 5).

use std::borrow::Cow;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serializer, de};
use serde_json::Error;

/// Reads an object. An array of the values of its members is none, though serde takes it for one.
pub(crate) fn object<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, Error> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text),
        _ => Err(de::Error::custom("an object is expected")),
    }
}

pub(crate) fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&BASE64URL_NOPAD.encode(bytes.as_ref()))
}

/// At most `MAX` bytes.
pub(crate) fn deserialize<'de, const MAX: usize, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<u8>, D::Error> {
    let text = Cow::<'de, str>::deserialize(from)?;
    if text.len() > BASE64URL_NOPAD.encode_len(MAX) {
        return Err(de::Error::custom(format_args!("at most {MAX} bytes")));
    }
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
    decoded.map_err(|_| de::Error::custom("base64url without padding"))
}

/// Exactly `N` bytes.
pub(crate) fn array<'de, const N: usize, D: Deserializer<'de>>(
    from: D,
) -> Result<[u8; N], D::Error> {
    let bytes = deserialize::<N, D>(from)?;
    let array = bytes.try_into();
    array.map_err(|_| de::Error::custom(format_args!("{N} bytes")))
}
