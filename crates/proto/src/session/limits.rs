//! Every limit of the session protocol and its reason.

use crate::name::AccountName;
use crate::risp::{Command, Limits};
use crate::site_identity::MAX_PAGE;

use super::command as c;

/// The default maximum packet size, in bytes of a WRAPPED value. It is large enough that the cipher
/// and not the framing limits the throughput, and small enough for one buffer per session.
pub const DEFAULT_MAX_PACKET: u32 = 65_536;
/// The smallest packet limit that an end may request, in bytes: a message's fixed fields must fit.
pub const MIN_MAX_PACKET: u32 = 256;
/// The largest packet limit, in bytes, whatever an end requests: a receiver buffers a whole packet.
pub const MAX_MAX_PACKET: u32 = 1 << 20;

/// How many bytes a server reads from an unauthenticated connection: three whole hybrid first
/// flights, so that a stale option list does not force a new connection.
pub const UNAUTHENTICATED_BYTES: usize = 8 * 1024;
/// How many bytes a server sends to an unauthenticated client, so that it cannot be used to
/// amplify.
pub const UNAUTHENTICATED_ANSWER_BYTES: usize = 4 * 1024;
/// How many unexpected commands the server ignores before it closes the connection.
pub const INVALID_COMMANDS: u32 = 8;
/// How often a server sends one connection a new option list because the client's is stale.
pub const STALE_CHOICES: u32 = 2;
/// Unknown commands before login are skipped up to this length in bytes, so that later versions can
/// add some.
pub const UNKNOWN_BEFORE_LOGIN: u64 = 1_024;

/// The maximum body of one message in memory (parameters, or data and output), in bytes.
pub const DEFAULT_MESSAGE_BYTES: usize = 16 << 20;
/// How many incomplete messages one session may have at a time.
pub const PARTIAL_MESSAGES: usize = 128;
/// The maximum number of commands in a packet. It limits the cost of a packet that consists of
/// NOPs.
pub const COMMANDS_IN_PACKET: usize = 32_768;

/// How many bytes of a message's content may be in flight without further credit. This suits a fast
/// connection with some latency; it is also what a receiver buffers for a slow application.
pub const CONTENT_WINDOW: u64 = 256 * 1024;
/// The least number of bytes that a piece of content counts as, so that a receiver buffers at most
/// [`CONTENT_WINDOW`] / this pieces, however short.
pub const MIN_PIECE_COST: u64 = 256;
/// How many bytes of one message's content may be queued for sending. The sender then requests no
/// more.
pub const CONTENT_QUEUED: usize = 64 * 1024;
/// Bodies up to this many bytes, or one packet, are written at once. Longer ones are interleaved,
/// one packet at a time.
pub const MAX_UNINTERLEAVED: usize = 16 * 1024;
/// How many messages with content may be partly sent at a time. Together with [`BODY_TURNS`] this
/// is well below the receiver's [`PARTIAL_MESSAGES`].
pub const CONTENT_TURNS: usize = 100;
/// How many long messages without content may be partly sent at a time. See [`CONTENT_TURNS`].
pub const BODY_TURNS: usize = 20;
/// How many sealed bytes may be queued for the connection before the sender fills no further
/// packet.
pub const SEALED_AHEAD: usize = 256 * 1024;
/// How many bytes one key encrypts or decrypts before the session agrees on new keys: far below the
/// limits of the ciphers, at negligible cost.
pub const REKEY_AFTER: u64 = 64 << 30;
/// After the peer declined new keys, they are offered again after 1/64 of [`REKEY_AFTER`]: a
/// gigabyte.
pub const REKEY_RETRY_DIVISOR: u64 = 64;
/// The maximum length of a key share inside a session, in bytes: an X25519 share and an ML-KEM-768
/// key.
pub const KEY_SHARE_BYTES: usize = 1_536;

/// The maximum length of a certificate and of an encrypted key with the option `delivered-key`, in
/// bytes: twice the length of those that a site makes.
pub const DELIVERED_CERTIFICATE: usize = 2_048;

/// Maximum lengths of commands before login.
pub(crate) struct BeforeLogin;

impl Limits for BeforeLogin {
    fn max_length(&self, command: Command) -> u64 {
        match command {
            c::USERNAME => AccountName::MAX_LENGTH as u64,
            c::LOGIN_START | c::HANDSHAKE | c::SESSION_KEY | c::RESUME => 1_536,
            c::KEY_EVENTS => MAX_PAGE as u64,
            c::KEM_KEY => 1_184,
            c::KEM_CIPHERTEXT => 1_088,
            c::CERTIFICATE => DELIVERED_CERTIFICATE as u64,
            c::OPTIONS | c::OPTION_CHOICE | c::SITE_PROOF | c::SESSION_PROOF | c::NONCE => 255,
            _ => UNKNOWN_BEFORE_LOGIN,
        }
    }
}

/// Maximum lengths of commands inside a packet. The packet's own limit applies too.
pub(crate) struct InsidePacket;

impl Limits for InsidePacket {
    fn max_length(&self, _: Command) -> u64 {
        u64::from(MAX_MAX_PACKET)
    }
}

/// The number of bytes that a piece of content uses up in the window.
#[must_use]
pub fn piece_cost(bytes: usize) -> u64 {
    (bytes as u64).max(MIN_PIECE_COST)
}

/// The agreed packet limit: the lower of both ends' requests, within bounds.
#[must_use]
pub fn agreed_max_packet(ours: u32, theirs: Option<u32>) -> u32 {
    theirs
        .map_or(ours, |theirs| theirs.min(ours))
        .clamp(MIN_MAX_PACKET, MAX_MAX_PACKET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agreed_packet_limit_is_the_lower_one_within_bounds() {
        assert_eq!(agreed_max_packet(65_536, None), 65_536);
        assert_eq!(agreed_max_packet(65_536, Some(1_000)), 1_000);
        assert_eq!(agreed_max_packet(1_000, Some(65_536)), 1_000);
        assert_eq!(agreed_max_packet(65_536, Some(256)), 256);
        assert_eq!(agreed_max_packet(u32::MAX, Some(u32::MAX)), 1 << 20);
    }
}
