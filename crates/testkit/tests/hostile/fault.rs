//! What can be done to a dialog.

use countersign_proto::risp::{Command, MaxLength, Reader, Value, put};
use serde::{Deserialize, Serialize};

/// What is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Nothing: the control.
    None,
    /// These bytes (hexadecimal, `*n` repeats what stands before) come in place of the client's first
    /// flight.
    Raw(String),
    /// A command of a flight is changed. Flights count from 0, the client's first.
    Command {
        flight: usize,
        /// The command's number, hexadecimal.
        command: String,
        edit: Edit,
    },
    /// These bytes stand before a flight.
    Before { flight: usize, bytes: String },
    /// A packet of a live session is changed; `to_client` says in which direction.
    Packet { to_client: bool, edit: PacketEdit },
    /// A packet with these contents, sealed by the service itself, comes to the server.
    InsideToServer(Vec<String>),
    /// Packets with these contents, sealed by the site itself, come to the client.
    InsideToClient(Vec<String>),
}

/// What is done to a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edit {
    /// It has this value (hexadecimal) instead.
    Value(String),
    /// Bits of a byte of its value are turned over: the byte, and which bits.
    Flip(usize, u8),
    /// Only so many bytes of its value are left.
    Cut(usize),
    /// So many zero bytes are added to its value.
    Longer(usize),
    /// Its first bytes are zero, so many.
    Zero(usize),
    /// It is left out.
    Drop,
    /// It comes twice.
    Double,
    /// It comes first.
    First,
    /// It comes last.
    Last,
}

/// What is done to a packet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PacketEdit {
    /// Bits of a byte are turned over.
    Flip(usize, u8),
    /// It comes again.
    Repeat,
    /// It is left out, and the next one comes.
    Drop,
    /// It comes after the next one.
    Swap,
    /// Only so many bytes of it come, and nothing more.
    Cut(usize),
    /// These bytes come in its place.
    Replace(String),
    /// It comes back to who sent it.
    Reflect,
    /// That of another session of the same account comes in its place.
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

/// The flight with a command changed. It must be there.
pub(crate) fn edit_command(flight: &[u8], command: &str, edit: &Edit) -> Vec<u8> {
    let wanted = Command(u16::from_str_radix(command, 16).unwrap());
    let longest = MaxLength(1 << 20);
    let mut reader = Reader::new(flight, &longest);
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
        _ => Value::Bytes(bytes),
    }
}
