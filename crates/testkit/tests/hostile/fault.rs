//! Faults in a dialog.

use countersign_proto::risp::{Command, MaxLength, Reader, Value, put};
use serde::{Deserialize, Serialize};

/// A fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// No fault: the control.
    None,
    /// Replaces the client's first flight by these bytes: hexadecimal; `*n` repeats what is before
    /// it.
    Raw(String),
    /// Changes a command of a flight. Flights count from 0, which is the client's first.
    Command {
        flight: usize,
        /// The command's number, hexadecimal.
        command: String,
        edit: Edit,
    },
    /// Inserts these bytes before a flight.
    Before { flight: usize, bytes: String },
    /// Changes a packet of a session, to the client or to the server.
    Packet { to_client: bool, edit: PacketEdit },
    /// The service, as a malicious member, sends packets with these contents.
    InsideToServer(Vec<String>),
    /// The site, as a malicious member, sends packets with these contents.
    InsideToClient(Vec<String>),
}

/// A change of a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edit {
    /// Replaces the value (hexadecimal).
    Value(String),
    /// Flips bits of one byte of the value: the offset and the mask.
    Flip(usize, u8),
    /// Truncates the value to this length.
    Cut(usize),
    /// Appends this number of zero bytes to the value.
    Longer(usize),
    /// Sets this number of leading bytes of the value to zero.
    Zero(usize),
    /// Removes the command.
    Drop,
    /// Repeats the command.
    Double,
    /// Moves the command to the beginning of the flight.
    First,
    /// Moves the command to the end of the flight.
    Last,
}

/// A change of a packet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PacketEdit {
    /// Flips bits of one byte: the offset and the mask.
    Flip(usize, u8),
    /// Repeats the packet.
    Repeat,
    /// Removes the packet; the next one arrives.
    Drop,
    /// Swaps the packet with the next one.
    Swap,
    /// Truncates the packet to this length; nothing follows.
    Cut(usize),
    /// Replaces the packet by these bytes.
    Replace(String),
    /// Reflects the packet to its sender.
    Reflect,
    /// Replaces the packet by one of another session of the same account.
    Foreign,
}

/// Bytes from hexadecimal; `*n` at the end repeats them n times.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let (hex, times) = match text.split_once('*') {
        Some((hex, times)) => (hex, times.parse().unwrap()),
        None => (text, 1),
    };
    let once = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    once.repeat(times)
}

/// Changes a command of a flight. Panics if the flight does not have it.
pub(crate) fn edit_command(flight: &[u8], command: &str, edit: &Edit) -> Vec<u8> {
    let wanted = Command(u16::from_str_radix(command, 16).unwrap());
    let max_length = MaxLength(1 << 20);
    let mut reader = Reader::new(flight, &max_length);
    let (mut commands, mut at) = (Vec::new(), None);
    let mut start = 0;
    while let Some(step) = reader.next() {
        let (command, value) = step.unwrap();
        let end = reader.consumed();
        if command == wanted {
            at = Some((commands.len(), value));
        }
        commands.push(flight[start..end].to_vec());
        start = end;
    }
    let rest = flight[start..].to_vec();
    let (at, value) = at.unwrap_or_else(|| panic!("the flight has no {command}"));
    let again = |value: &[u8]| {
        let mut wire = Vec::new();
        put(&mut wire, wanted, valued(wanted, value)).unwrap();
        wire
    };
    let text = match value {
        Value::Bytes(text) => text.to_vec(),
        Value::U32(number) => number.to_be_bytes().to_vec(),
        Value::U64(number) => number.to_be_bytes().to_vec(),
        other => panic!("{other:?}"),
    };
    match edit {
        Edit::Value(text) => commands[at] = again(&bytes(text)),
        Edit::Flip(byte, bits) => {
            let mut changed = text;
            let byte = (*byte).min(changed.len() - 1);
            changed[byte] ^= bits;
            commands[at] = again(&changed);
        }
        Edit::Cut(left) => commands[at] = again(&text[..*left]),
        Edit::Longer(by) => commands[at] = again(&[text, vec![0; *by]].concat()),
        Edit::Zero(first) => {
            let mut changed = text;
            changed[..*first].fill(0);
            commands[at] = again(&changed);
        }
        Edit::Drop => drop(commands.remove(at)),
        Edit::Double => commands.insert(at, commands[at].clone()),
        Edit::First => {
            let moved = commands.remove(at);
            commands.insert(0, moved);
        }
        Edit::Last => {
            let moved = commands.remove(at);
            commands.push(moved);
        }
    }
    commands.push(rest);
    commands.concat()
}

fn valued(command: Command, bytes: &[u8]) -> Value<'_> {
    match command.shape() {
        countersign_proto::risp::Shape::Integer(4) => {
            Value::U32(u32::from_be_bytes(bytes.try_into().unwrap()))
        }
        countersign_proto::risp::Shape::Integer(8) => {
            Value::U64(u64::from_be_bytes(bytes.try_into().unwrap()))
        }
        _ => Value::Bytes(bytes),
    }
}
