//! RISP: recorded vectors, and properties that hold for any bytes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test stops where it fails"
)]

use std::path::Path;

use countersign_proto::risp::{
    Command, EncodeError, Malformed, MaxLength, Parsed, Reader, Shape, Value, parse, put,
    put_header,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    commands: Vec<Encoded>,
    partial: Vec<Partial>,
}

/// One command as librisp encodes it.
#[derive(Deserialize)]
struct Encoded {
    kind: String,
    command: u16,
    value: Option<String>,
    length: Option<usize>,
    hex: String,
}

/// A prefix of a stream, the length of its complete commands, and the known ones.
#[derive(Deserialize)]
struct Partial {
    hex: String,
    consumed: usize,
    known: String,
}

fn vectors() -> Vectors {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/risp/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

/// [RISP-1] and [RISP-2]
#[test]
fn every_recorded_command_is_read_and_written_as_recorded() {
    for vector in vectors().commands {
        let wire = bytes(&vector.hex);
        let string: Vec<u8>;
        let integer = vector
            .value
            .as_deref()
            .map(|value| value.parse::<u64>().unwrap());
        let command = Command(vector.command);
        let value = match (vector.kind.as_str(), command.shape()) {
            ("none", _) => Value::Nothing,
            ("string", _) => {
                let length = vector.length.unwrap();
                string = (0..length).map(|at| (31 * at + 7) as u8).collect();
                Value::Bytes(&string)
            }
            (_, Shape::Integer(1)) => Value::U8(integer.unwrap() as u8),
            (_, Shape::Integer(2)) => Value::U16(integer.unwrap() as u16),
            (_, Shape::Integer(4)) => Value::U32(integer.unwrap() as u32),
            (_, Shape::Integer(8)) => Value::U64(integer.unwrap()),
            (kind, shape) => panic!("{kind} {shape:?}"),
        };
        let step = Parsed::Command {
            command,
            value,
            used: wire.len(),
        };
        assert_eq!(
            parse(&wire, &MaxLength(u64::MAX)),
            Ok(step),
            "{}",
            vector.hex
        );
        let mut written = Vec::new();
        put(&mut written, command, value).unwrap();
        assert_eq!(written, wire);
    }
}

/// [RISP-3] and [RISP-4]
#[test]
fn every_recorded_prefix_gives_the_recorded_commands() {
    // The commands that the recording's reader supported; it skipped the others.
    const KNOWN: [u16; 5] = [0x7000, 0x2000, 0x9000, 0x8000, 0xa002];
    for vector in vectors().partial {
        let wire = bytes(&vector.hex);
        let mut known = String::new();
        let mut reader = Reader::new(&wire, &MaxLength(1_000));
        for step in reader.by_ref() {
            let (command, value) = step.unwrap();
            if KNOWN.contains(&command.0) {
                known += &match value {
                    Value::Nothing => "N;".to_owned(),
                    Value::U32(integer) => format!("I{integer};"),
                    Value::Bytes(string) => format!("S{};", string.len()),
                    value => panic!("{value:?}"),
                };
            }
        }
        assert_eq!(
            (reader.consumed(), known),
            (vector.consumed, vector.known),
            "{}",
            vector.hex
        );
    }
}

/// [RISP-1]
#[test]
fn integers_of_16_32_and_64_bytes_are_values_of_that_many_bytes() {
    for (command, width) in [(0x4000, 16), (0x5fff, 32), (0x6abc, 64)] {
        let value: Vec<u8> = (0..width).collect();
        let mut wire = Vec::new();
        put(&mut wire, Command(command), Value::Wide(&value)).unwrap();
        assert_eq!(wire.len(), 2 + value.len());
        let step = Parsed::Command {
            command: Command(command),
            value: Value::Wide(&value),
            used: wire.len(),
        };
        assert_eq!(parse(&wire, &MaxLength(0)), Ok(step));
        let short = Value::Wide(&value[1..]);
        let refused = put(&mut Vec::new(), Command(command), short);
        assert_eq!(refused, Err(EncodeError::WrongShape(Command(command))));
    }
}

/// [RISP-5] and [RISP-6]
#[test]
fn a_length_at_the_limit_is_accepted_and_one_over_it_is_rejected_before_any_data_arrives() {
    for (number, width) in [(0x8000_u16, 1_usize), (0x9000, 2), (0xa000, 4), (0xb000, 8)] {
        let announce = |length: u64| {
            let mut wire = number.to_be_bytes().to_vec();
            wire.extend_from_slice(&length.to_be_bytes()[8 - width..]);
            wire
        };
        let needed = 2 + width + 200;
        assert_eq!(
            parse(&announce(200), &MaxLength(200)),
            Ok(Parsed::Incomplete { needed })
        );
        let refused = Malformed::TooLong {
            command: Command(number),
            length: 201,
            max_length: 200,
        };
        assert_eq!(parse(&announce(201), &MaxLength(200)), Err(refused));
    }
}

/// [RISP-6]
#[test]
fn the_maximum_length_neither_overflows_nor_allocates() {
    let wire = [&[0xb0, 0x00][..], &[0xff; 8]].concat();
    let refused = parse(&wire, &MaxLength(u64::MAX));
    assert!(matches!(
        refused,
        Err(Malformed::TooLong {
            length: u64::MAX,
            ..
        })
    ));
    let wire = [&[0xb0, 0x00, 0x80][..], &[0; 7]].concat();
    assert!(matches!(
        parse(&wire, &MaxLength(1 << 62)),
        Err(Malformed::TooLong { .. })
    ));
}

/// [RISP-7]
#[test]
fn a_reader_ends_after_a_malformed_command() {
    let wire = [0x70, 0x00, 0x80, 0x00, 0x05, 0x70, 0x00];
    let mut reader = Reader::new(&wire, &MaxLength(4));
    assert!(matches!(reader.next(), Some(Ok(_))));
    assert!(matches!(reader.next(), Some(Err(_))));
    assert_eq!(reader.next(), None);
    assert_eq!(reader.consumed(), 2);
}

/// [RISP-8]
#[test]
fn a_value_that_does_not_fit_its_command_is_rejected_and_nothing_is_written() {
    let mut out = vec![1, 2, 3];
    let long = vec![0; 256];
    let refused = put(&mut out, Command(0x8000), Value::Bytes(&long));
    assert_eq!(
        refused,
        Err(EncodeError::TooLong {
            command: Command(0x8000),
            length: 256
        })
    );
    let refused = put_header(&mut out, Command(0xa000), 1 << 32);
    assert!(matches!(refused, Err(EncodeError::TooLong { .. })));
    let wrong = put(&mut out, Command(0x7000), Value::U8(1));
    assert_eq!(wrong, Err(EncodeError::WrongShape(Command(0x7000))));
    assert_eq!(
        put_header(&mut out, Command(0x2000), 1),
        Err(EncodeError::WrongShape(Command(0x2000)))
    );
    assert_eq!(out, [1, 2, 3]);
}

/// A command of any shape and a value that fits it, encoded.
fn any_command() -> impl Strategy<Value = Vec<u8>> {
    (
        any::<u16>(),
        proptest::collection::vec(any::<u8>(), 64..300),
    )
        .prop_map(|(number, filler)| {
            let command = Command(number);
            let mut wire = Vec::new();
            let filler = &filler[..];
            let value = match command.shape() {
                Shape::Nothing => Value::Nothing,
                Shape::Integer(1) => Value::U8(filler[0]),
                Shape::Integer(2) => Value::U16(u16::from(filler[0]) << 8),
                Shape::Integer(4) => Value::U32(u32::from(filler[0]) << 24),
                Shape::Integer(8) => Value::U64(u64::from(filler[0]) << 56),
                Shape::Integer(width) => Value::Wide(&filler[..width]),
                Shape::Bytes(1) => Value::Bytes(&filler[..filler.len().min(255)]),
                Shape::Bytes(_) => Value::Bytes(filler),
            };
            put(&mut wire, command, value).unwrap();
            wire
        })
}

/// The complete commands of `wire`, re-encoded, and their length in bytes.
fn whole_commands(wire: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let mut reader = Reader::new(wire, &MaxLength(1_000));
    let mut commands = Vec::new();
    for step in reader.by_ref() {
        let Ok((command, value)) = step else { break };
        let mut encoded = Vec::new();
        put(&mut encoded, command, value).unwrap();
        commands.push(encoded);
    }
    (commands, reader.consumed())
}

proptest! {
    /// [RISP-2] Reading and writing again gives the same bytes.
    #[test]
    fn encoding_is_canonical(commands in proptest::collection::vec(any_command(), 0..20)) {
        let wire = commands.concat();
        prop_assert_eq!(whole_commands(&wire), (commands, wire.len()));
    }

    /// [RISP-3] The splitting of a stream does not change its commands.
    #[test]
    fn splitting_a_stream_does_not_change_its_commands(
        commands in proptest::collection::vec(any_command(), 0..12),
        cuts in proptest::collection::vec(1_usize..200, 1..40),
    ) {
        let wire = commands.concat();
        let (mut got, mut buffer, mut rest) = (Vec::new(), Vec::new(), &wire[..]);
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            buffer.extend_from_slice(now);
            rest = later;
            let (mut whole, used) = whole_commands(&buffer);
            got.append(&mut whole);
            buffer.drain(..used);
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(got, commands);
    }

    /// [RISP-6] No input makes a reader panic or read beyond its end.
    #[test]
    fn any_bytes_are_read_within_their_bounds(wire in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (commands, used) = whole_commands(&wire);
        prop_assert_eq!(commands.concat(), &wire[..used]);
        if let Ok(Parsed::Incomplete { needed }) = parse(&wire[used..], &MaxLength(1_000)) {
            prop_assert!(needed > wire.len() - used);
        }
    }
}
