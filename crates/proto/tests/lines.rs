//! JSON lines: properties that hold for any bytes and any splitting.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use countersign_proto::lines::{
    ContentLine, Decoder, TooLong, put_operation, put_outcome, read_operation, read_outcome,
};
use countersign_proto::operation::{Code, Operation, Outcome};
use proptest::prelude::*;
use serde_json::value::to_raw_value;

const MAX_LENGTH: usize = 64;

/// The lines of bytes that arrive in pieces of these sizes, and whether one was too long.
fn decoded(bytes: &[u8], sizes: &[usize]) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new(MAX_LENGTH);
    let mut lines = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        let (piece, behind) = rest.split_at((*size).min(rest.len()));
        decoder.tail(piece.len()).extend_from_slice(piece);
        rest = behind;
        loop {
            let line = match rest.is_empty() {
                true => decoder.last_line(),
                false => decoder.next_line(),
            };
            match line {
                Ok(Some(line)) => lines.push(line.to_vec()),
                Ok(None) => break,
                Err(TooLong {
                    max_length: longest,
                }) => {
                    assert_eq!(longest, MAX_LENGTH);
                    return (lines, true);
                }
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    (lines, false)
}

/// A simple reference implementation on all bytes at once.
fn expected(bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut lines = Vec::new();
    let mut rest: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    rest.pop_if(|last| last.is_empty());
    for line in rest {
        if line.len() > MAX_LENGTH {
            return (lines, true);
        }
        lines.push(line.strip_suffix(b"\r").unwrap_or(line).to_vec());
    }
    (lines, false)
}

/// Bytes with many line ends.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        6 => any::<u8>(),
        1 => Just(b'\n'),
        1 => Just(b'\r'),
    ];
    prop::collection::vec(byte, 0..400)
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_how_the_bytes_are_split(
        bytes in bytes(),
        sizes in prop::collection::vec(1..80_usize, 1..8),
    ) {
        prop_assert_eq!(decoded(&bytes, &sizes), expected(&bytes));
    }

    #[test]
    fn a_written_envelope_is_one_line_and_round_trips(
        (id, content) in any::<(u64, bool)>(),
        (name, text) in ("[a-z][a-z0-9_]{0,9}", any::<String>()),
        (code, bytes) in any::<(u16, Vec<u8>)>(),
    ) {
        let data = to_raw_value(&[&text]).unwrap();
        let operation = Operation::new(id, &name, &name, data.clone());
        let outcome = Outcome { id, code: Code(code), data, output: text };
        let piece = ContentLine::Piece(bytes);
        let mut out = Vec::new();
        put_operation(&mut out, &operation, content).unwrap();
        put_outcome(&mut out, &outcome, content).unwrap();
        piece.put(&mut out).unwrap();
        let mut decoder = Decoder::new(out.len());
        decoder.tail(out.len()).extend_from_slice(&out);
        let read = read_operation(decoder.next_line().unwrap().unwrap()).unwrap();
        prop_assert_eq!(read, (operation, content));
        let read = read_outcome(decoder.next_line().unwrap().unwrap()).unwrap();
        prop_assert_eq!(read, (outcome, content));
        let read = ContentLine::read(decoder.next_line().unwrap().unwrap()).unwrap();
        prop_assert_eq!(read, piece);
        prop_assert_eq!(decoder.last_line(), Ok(None));
    }
}
