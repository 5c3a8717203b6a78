//! A session over a WebSocket (RFC 6455, `docs/protocol/session.md`, Over a WebSocket): its binary
//! messages carry the bytes of the session, and their borders mean nothing.

/// The subprotocol of the WebSocket.
pub const SESSION_SUBPROTOCOL: &str = "countersign.session.1";
/// The path of the request that opens the WebSocket.
pub const SESSION_PATH: &str = "/session";
/// The longest message in bytes, in both directions. A receiver keeps a whole message in memory, and
/// the client may not be authenticated yet.
pub const MAX_SESSION_MESSAGE: usize = 16 * 1024;
