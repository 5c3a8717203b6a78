//! Writes short messages, and messages about the session, without interleaving.

use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::packet::PacketWriter;
use crate::session::refusal::SessionRefusal;

use super::{ID_BYTES, MIN_PIECE, PIECE_HEADER, TAIL_BYTES, digest_of};

/// Writes one message. `fields` are short and not split; `bodies` are split at the end of a packet.
pub(crate) fn write(
    packets: &mut PacketWriter,
    id: u64,
    fields: &[(Command, Value<'_>)],
    bodies: &[(Command, &[u8])],
) -> Result<(), SessionRefusal> {
    let fixed: usize = fields.iter().map(|(_, value)| 3 + length(value)).sum();
    if packets.room() < ID_BYTES + fixed + MIN_PIECE + TAIL_BYTES {
        packets.close()?;
    }
    packets.put(c::MESSAGE_ID, Value::U64(id))?;
    for (command, value) in fields {
        packets.put(*command, *value)?;
    }
    let mut cut = false;
    for (command, body) in bodies {
        let mut rest = *body;
        while !rest.is_empty() {
            let room = packets.room().saturating_sub(PIECE_HEADER + TAIL_BYTES);
            if room < rest.len() && room < MIN_PIECE {
                packets.close()?;
                packets.put(c::MESSAGE_ID, Value::U64(id))?;
                cut = true;
                continue;
            }
            let (piece, later) = rest.split_at(room.min(rest.len()));
            packets.put(*command, Value::Bytes(piece))?;
            rest = later;
        }
    }
    if cut {
        let digest = digest_of(bodies.iter().map(|(_, body)| *body));
        packets.put(c::VERIFICATION_SHA256, Value::Bytes(&digest))?;
    }
    packets.put(c::END, Value::Nothing)
}

fn length(value: &Value<'_>) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}
