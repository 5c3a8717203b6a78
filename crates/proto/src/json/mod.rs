//! JSON of other programs, read strictly, and bytes in it: base64url without padding (RFC 4648,
//! section 5).

mod strict;

use std::borrow::Cow;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serializer, de};
use serde_json::Error;
use serde_json::value::RawValue;

pub use strict::Strict;

/// Reads a JSON text of another program with [`Strict`].
///
/// # Errors
/// The text is not JSON, or not of the form of `T`.
pub fn read<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, Error> {
    let mut source = serde_json::Deserializer::from_slice(text);
    let value = T::deserialize(Strict::new(&mut source))?;
    source.end()?;
    Ok(value)
}

/// Reads a value that has one of two forms, whose members tell them apart. The derived reader of an
/// untagged enum would read them without [`Strict`].
pub(crate) fn either<'de, A, B, D>(from: D) -> Result<Result<A, B>, D::Error>
where
    A: de::DeserializeOwned,
    B: de::DeserializeOwned,
    D: Deserializer<'de>,
{
    let text = Box::<RawValue>::deserialize(from)?;
    let text = text.get().as_bytes();
    match read(text) {
        Ok(first) => Ok(Ok(first)),
        Err(_) => read(text).map(Err).map_err(de::Error::custom),
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
