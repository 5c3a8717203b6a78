//! The names of the session protocol's commands (`docs/protocol/session.md`, Commands).

use super::form::{Hex, WireCommand};

const NAMES: [(u16, &str); 43] = [
    (0x7000, "NOP"),
    (0x7001, "OPTIONS-REQUEST"),
    (0x7010, "END"),
    (0x7011, "REKEYED"),
    (0x0001, "ERROR"),
    (0x0002, "GOODBYE"),
    (0x1000, "CODE"),
    (0x1001, "REKEY"),
    (0x1002, "REKEY-ANSWER"),
    (0x2000, "MAX-PACKET"),
    (0x2001, "DATA-LENGTH"),
    (0x2003, "IDLE-LIMIT"),
    (0x3000, "MESSAGE-ID"),
    (0x3001, "EXPIRES"),
    (0x3002, "KEY-EVENTS-REQUEST"),
    (0x8000, "CERTIFICATE-ID"),
    (0x8001, "VERIFICATION-SHA256"),
    (0x8002, "OPTIONS"),
    (0x8003, "OPTION-CHOICE"),
    (0x8004, "SITE-PROOF"),
    (0x8005, "SESSION-PROOF"),
    (0x8006, "NONCE"),
    (0x8010, "GROUP"),
    (0x8011, "COMMAND"),
    (0x8012, "EVENT"),
    (0x8018, "CREDIT"),
    (0x8019, "CANCEL"),
    (0x8020, "SESSION-ID"),
    (0x9000, "USERNAME"),
    (0x9001, "CERTIFICATE"),
    (0x9002, "SESSION-KEY"),
    (0x9003, "LOGIN-START"),
    (0x9004, "HANDSHAKE"),
    (0x9005, "KEM-KEY"),
    (0x9006, "KEM-CIPHERTEXT"),
    (0x9007, "RESUME"),
    (0x9008, "KEY-EVENTS"),
    (0xa002, "DATA"),
    (0xa003, "WRAPPED"),
    (0xa010, "PARAMS"),
    (0xa011, "OUTPUT"),
    (0xa012, "CONTENT"),
    (0xa013, "KEY-SHARE"),
];

/// The name and the value of a command in its wire form.
///
/// # Panics
/// If the protocol has no such command.
#[must_use]
pub(crate) fn named_command(wire: &[u8]) -> WireCommand {
    let number = u16::from_be_bytes([wire[0], wire[1]]);
    let name = NAMES.iter().find(|(known, _)| *known == number);
    let (_, name) =
        name.unwrap_or_else(|| panic!("{number:#06x} is not a command of the protocol"));
    let length = match number >> 12 {
        shape @ 8..=11 => 1 << (shape - 8),
        _ => 0,
    };
    WireCommand {
        command: (*name).to_owned(),
        value: Hex::from(&wire[2 + length..]),
    }
}
