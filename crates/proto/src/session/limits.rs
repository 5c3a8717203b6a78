//! Every limit of the session protocol, each with its reason.

use crate::name::AccountName;
use crate::risp::{Command, Limits};

use super::command as c;

/// The largest packet (bytes of a WRAPPED value) when nobody asks for less: large enough that the
/// cipher, not the framing, sets the speed; small enough that a session's buffer stays modest.
pub const DEFAULT_MAX_PACKET: u32 = 65_536;
/// No side may ask for smaller packets: a message's fixed fields must fit one.
pub const LEAST_MAX_PACKET: u32 = 256;
/// No side may use larger packets, whatever it was offered: a receiver buffers a whole packet.
pub const GREATEST_MAX_PACKET: u32 = 1 << 20;

/// Bytes that a server reads from a connection before somebody is proved: three whole hybrid first
/// flights, so that one stale option list costs no reconnection.
pub const UNAUTHENTICATED_BYTES: usize = 8 * 1024;
/// Bytes that a server sends to an unproved client, so that it cannot be used to amplify.
pub const UNAUTHENTICATED_ANSWER_BYTES: usize = 4 * 1024;
/// Commands that mean nothing where they stand, before the connection is ended.
pub const INVALID_COMMANDS: u32 = 8;
/// How often one connection may be told that its option list is stale.
pub const STALE_CHOICES: u32 = 2;
/// Unknown commands before login are skipped up to this length in bytes: room for later versions.
pub const UNKNOWN_BEFORE_LOGIN: u64 = 1_024;

/// The body of one message (parameters, or data and output) that is put together in memory, in bytes.
pub const DEFAULT_MESSAGE_BYTES: usize = 16 << 20;
/// Messages of one session that may be half received at a time.
pub const PARTIAL_MESSAGES: usize = 128;
/// Commands a packet may hold: a packet of nothing but NOPs costs the reader no more than others.
pub const COMMANDS_IN_PACKET: usize = 32_768;

/// Bytes of a message's content that may be under way before its reader asks for more: enough for a
/// fast connection over some distance, and what a reader has to keep for a slow application.
pub const CONTENT_WINDOW: u64 = 256 * 1024;
/// A piece of content counts for at least this many bytes of the window, so that a reader keeps at most
/// [`CONTENT_WINDOW`] / this pieces, however short.
pub const LEAST_PIECE_COST: u64 = 256;
/// Content of one message that waits in memory to be sent, in bytes; more is not asked for.
pub const CONTENT_QUEUED: usize = 64 * 1024;
/// Bodies up to this many bytes, or one packet, are written at once; longer ones take turns, a packet each.
pub const WRITTEN_AT_ONCE: usize = 16 * 1024;
/// Messages with content that may be half sent at a time, and long ones without; together with room to
/// spare they keep within the other side's [`PARTIAL_MESSAGES`].
pub const CONTENT_TURNS: usize = 100;
/// See [`CONTENT_TURNS`].
pub const BODY_TURNS: usize = 20;
/// Sealed bytes that may wait for the connection before no further packet is filled.
pub const SEALED_AHEAD: usize = 256 * 1024;
/// Bytes that one key seals or opens before the session agrees on new ones: far below what the ciphers
/// allow, at no cost that anybody notices.
pub const REKEY_AFTER: u64 = 64 << 30;
/// After new keys were declined, they are wanted again once this part of [`REKEY_AFTER`] has passed: a gigabyte.
pub const DECLINED_FOR: u64 = 64;
/// What a key exchange inside a session may say, in bytes: an X25519 share and an ML-KEM-768 key.
pub const KEY_SHARE_BYTES: usize = 1_536;

/// A certificate and an encrypted key as the option `delivered-key` delivers them, in bytes: twice what
/// ours have.
pub const DELIVERED_CERTIFICATE: usize = 2_048;

/// Lengths of what may stand before login.
pub(crate) struct BeforeLogin;

impl Limits for BeforeLogin {
    fn longest(&self, command: Command) -> u64 {
        match command {
            c::USERNAME => AccountName::MAX_LENGTH as u64,
            c::LOGIN_START | c::HANDSHAKE | c::SESSION_KEY | c::RESUME => 1_536,
            c::KEM_KEY => 1_184,
            c::KEM_CIPHERTEXT => 1_088,
            c::CERTIFICATE => DELIVERED_CERTIFICATE as u64,
            c::OPTIONS | c::OPTION_CHOICE | c::SITE_PROOF | c::SESSION_PROOF | c::NONCE => 255,
            _ => UNKNOWN_BEFORE_LOGIN,
        }
    }
}

/// Lengths of what may stand inside a packet, which is itself limited.
pub(crate) struct InsidePacket;

impl Limits for InsidePacket {
    fn longest(&self, _: Command) -> u64 {
        u64::from(GREATEST_MAX_PACKET)
    }
}

/// What a piece of content counts for, in bytes of the window.
#[must_use]
pub fn piece_cost(bytes: usize) -> u64 {
    (bytes as u64).max(LEAST_PIECE_COST)
}

/// The limit of a packet that both ends keep: the lower of what they ask for, within bounds.
#[must_use]
pub fn agreed_max_packet(ours: u32, theirs: Option<u32>) -> u32 {
    theirs
        .map_or(ours, |theirs| theirs.min(ours))
        .clamp(LEAST_MAX_PACKET, GREATEST_MAX_PACKET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_limit_holds_within_bounds() {
        assert_eq!(agreed_max_packet(65_536, None), 65_536);
        assert_eq!(agreed_max_packet(65_536, Some(1_000)), 1_000);
        assert_eq!(agreed_max_packet(1_000, Some(65_536)), 1_000);
        assert_eq!(agreed_max_packet(65_536, Some(256)), 256);
        assert_eq!(agreed_max_packet(u32::MAX, Some(u32::MAX)), 1 << 20);
    }
}
