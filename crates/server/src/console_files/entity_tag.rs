//! Entity tags of static files (RFC 9110, section 8.8.3).

use countersign_core::engine::rest::if_none_match;
use countersign_crypto::hash::sha256;
use data_encoding::HEXLOWER;
use hyper::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};

/// The tag of these bytes: their digest.
pub(crate) fn of(bytes: &[u8]) -> HeaderValue {
    let tag = format!("\"{}\"", HEXLOWER.encode(&sha256(bytes)));
    // Hexadecimal digits in quotes are a valid value.
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether the client has the bytes with this tag (RFC 9110, section 13.1.2).
pub(crate) fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else {
        return false;
    };
    let lines = asked.get_all(IF_NONE_MATCH).into_iter();
    let mut lines = lines.filter_map(|line| line.to_str().ok());
    lines.any(|line| if_none_match(line, tag))
}
