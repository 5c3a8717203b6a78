//! The request with which a device opens a WebSocket (RFC 6455) in place of a hello.
//!
//! ```text
//! GET /device?id=ada%40example.org HTTP/1.1
//! Connection: Upgrade
//! Upgrade: websocket
//! Sec-WebSocket-Version: 13
//! Sec-WebSocket-Key: …
//! Sec-WebSocket-Protocol: countersign.device.1
//! ```

use super::Hello;
use crate::name::AccountName;

/// The longest request, in bytes with the empty line at its end.
pub const MAX_UPGRADE: usize = 8 * 1024;
/// The subprotocol of the WebSocket.
pub const DEVICE_SUBPROTOCOL: &str = "countersign.device.1";
/// What a request begins with. No hello does.
pub const UPGRADE_START: &[u8] = b"GET ";
/// The path of the request, before its query.
const PATH: &str = "/device";

/// Why a target names no person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUpgrade {
    /// More than [`MAX_UPGRADE`] bytes, or a connection that ended before the empty line.
    #[error("the request is too long")]
    TooLong,
    /// It is not HTTP/1.1, not a GET, or not an upgrade to version 13 of WebSocket.
    #[error("the request is no upgrade to a WebSocket")]
    NotUpgrade,
    /// The target is another one than `/device?id=NAME`.
    #[error("the target of the request is not /device?id=NAME")]
    Target,
    /// The subprotocol is not offered.
    #[error("the request does not offer the subprotocol {DEVICE_SUBPROTOCOL}")]
    Subprotocol,
    /// The request comes from a page in a browser, which may use the person's key unasked.
    #[error("the request has an origin: a web page sent it")]
    Origin,
}

/// The person that the target of a request names.
///
/// # Errors
/// [`BadUpgrade::Target`].
pub fn hello_of_target(target: &str) -> Result<Hello, BadUpgrade> {
    let query = target
        .strip_prefix(PATH)
        .and_then(|rest| rest.strip_prefix('?'))
        .and_then(|query| query.strip_prefix("id="))
        .ok_or(BadUpgrade::Target)?;
    let id: AccountName = decoded(query)
        .and_then(|id| id.parse().ok())
        .ok_or(BadUpgrade::Target)?;
    Ok(Hello { id })
}

/// Decodes percent-encoding (RFC 3986, section 2.1). No other parameter may follow.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'&' | b'#' | b'+' => return None,
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // DEV-48
    #[test]
    fn a_target_names_one_person() {
        for target in [
            "/device?id=ada@example.org",
            "/device?id=ada%40example%2Eorg",
        ] {
            let hello = hello_of_target(target).unwrap();
            assert_eq!(hello.id.to_string(), "ada@example.org", "{target}");
        }
        for target in [
            "/",
            "/device",
            "/device?id=",
            "/device?name=ada",
            "/device?id=ada&id=eve",
            "/device?id=ada%4",
            "/device?id=ada%zz",
            "/device?id=%ff",
            "/other?id=ada",
            "http://site/device?id=ada",
        ] {
            assert_eq!(hello_of_target(target), Err(BadUpgrade::Target), "{target}");
        }
    }
}
