//! How other protocols begin: what a browser sends first, for a page that names a port of the site.
//! It must not count against the source, since any page could bring penalties upon the address of its
//! reader. A page chooses much of what follows, so the first bytes decide.
//!
//! - HTTP: a method, which with a page from a name that leads to the site is any token.
//! - TLS: a handshake record.
//! - STUN and TURN, of WebRTC: the type of a message (RFC 8489), or its length (RFC 4571). Both are
//!   below 4,096.

/// The first byte of a record of the TLS handshake.
const HANDSHAKE: u8 = 22;

/// Whether these bytes begin another protocol than sessions. No command of a client that has none
/// begins so.
pub(crate) const fn is_no_session(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0..=0x0f, ..] | [HANDSHAKE, 3, ..] | [b'!'..=b'~', b' '..=b'~', ..]
    )
}

/// Whether these bytes begin another protocol than TLS.
pub(crate) const fn is_no_tls(bytes: &[u8]) -> bool {
    !matches!(bytes, [HANDSHAKE, ..])
}

/// Whether these bytes begin another protocol than HTTP/1.1. Empty lines may precede a request.
pub(crate) const fn is_no_http(bytes: &[u8]) -> bool {
    matches!(bytes, [first, ..] if first.is_ascii_control() && !matches!(first, b'\r' | b'\n'))
}
