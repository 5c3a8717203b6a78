//! Reading RISP. The baseline is a minimal walk over the same bytes: it takes the shapes from the top
//! four bits, and checks only the end of the input.

use std::hint::black_box;

use countersign_proto::risp::{Command, MaxLength, Reader, Value, put};

use crate::Result;
use crate::measure::{in_turns, per_second};
use crate::report::{Row, Unit};

const ROUNDS: usize = 31;
const LIMIT: MaxLength = MaxLength(1 << 20);

pub(crate) fn run() -> Result<Vec<Row>> {
    Ok(vec![small_commands()?, long_strings()?])
}

/// Small commands of every shape, repeated until they fill a packet.
fn small_commands() -> Result<Row> {
    let mix: [(u16, Value<'_>); 8] = [
        (0x7001, Value::Nothing),
        (0x0002, Value::U8(1)),
        (0x1003, Value::U16(2)),
        (0x2004, Value::U32(3)),
        (0x3005, Value::U64(4)),
        (0x8006, Value::Bytes(b"person")),
        (0x9007, Value::Bytes(b"passphrase_start")),
        (0xa008, Value::Bytes(&[b'x'; 40])),
    ];
    let mut input = Vec::new();
    let mut commands = 0_u32;
    while input.len() < 64 * 1024 {
        for (number, value) in mix {
            put(&mut input, Command(number), value)?;
            commands += 1;
        }
    }
    let passes = 40;
    let figures = in_turns(
        ROUNDS,
        [
            &mut || {
                let rate = per_second(passes, || {
                    let mut read = 0;
                    for step in Reader::new(black_box(&input), &LIMIT) {
                        black_box(step?);
                        read += 1;
                    }
                    all(read, commands)
                })?;
                Ok(rate * f64::from(commands))
            },
            &mut || {
                let rate = per_second(passes, || {
                    let mut walked = 0;
                    walk(black_box(&input), |number, value| {
                        black_box((number, value));
                        walked += 1;
                    });
                    all(walked, commands)
                })?;
                Ok(rate * f64::from(commands))
            },
        ],
    )?;
    Ok(Row {
        what: "reading small commands of every shape".to_owned(),
        ours: figures.median(0),
        baseline: figures.median(1),
        unit: Unit::PerSecond,
        baseline_is: "a bare walk over the same bytes",
        ratio: figures.ratio(0, 1),
        target: None,
    })
}

/// Strings of 64 KiB. Each is copied, as a receiver does.
fn long_strings() -> Result<Row> {
    const LENGTH: usize = 64 * 1024;
    const STRINGS: u32 = 16;
    let mut input = Vec::new();
    for _ in 0..STRINGS {
        put(&mut input, Command(0xa001), Value::Bytes(&[7; LENGTH]))?;
    }
    let passes = 20;
    let gigabytes = f64::from(STRINGS) * LENGTH as f64 / 1e9;
    let (mut copied, mut walked_to) = (Vec::with_capacity(LENGTH), Vec::with_capacity(LENGTH));
    let figures = in_turns(
        ROUNDS,
        [
            &mut || {
                let rate = per_second(passes, || {
                    for step in Reader::new(black_box(&input), &LIMIT) {
                        if let (_, Value::Bytes(bytes)) = step? {
                            copied.clear();
                            copied.extend_from_slice(bytes);
                            black_box(&mut copied);
                        }
                    }
                    Ok(())
                })?;
                Ok(rate * gigabytes)
            },
            &mut || {
                let rate = per_second(passes, || {
                    walk(black_box(&input), |_, bytes| {
                        walked_to.clear();
                        walked_to.extend_from_slice(bytes);
                        black_box(&mut walked_to);
                    });
                    Ok(())
                })?;
                Ok(rate * gigabytes)
            },
        ],
    )?;
    Ok(Row {
        what: "reading and copying strings of 64 KiB".to_owned(),
        ours: figures.median(0),
        baseline: figures.median(1),
        unit: Unit::GigabytesPerSecond,
        baseline_is: "a bare walk over the same bytes",
        ratio: figures.ratio(0, 1),
        target: None,
    })
}

fn all(read: u32, commands: u32) -> Result<()> {
    if read == commands {
        Ok(())
    } else {
        Err(format!("{read} of {commands} commands were read").into())
    }
}

/// Calls `visit` with each command's number and the bytes of its value.
fn walk(mut input: &[u8], mut visit: impl FnMut(u16, &[u8])) {
    while let Some(([high, low], rest)) = input.split_first_chunk::<2>() {
        let (prefix, value) = match high >> 4 {
            power @ 0..=6 => (0, 1 << power),
            power @ 8..=11 => {
                let prefix = 1_usize << (power - 8);
                let length = rest.get(..prefix).unwrap_or_default();
                let length = length
                    .iter()
                    .fold(0, |all, byte| all << 8 | usize::from(*byte));
                (prefix, length)
            }
            _ => (0, 0),
        };
        let Some(bytes) = rest.get(prefix..prefix + value) else {
            return;
        };
        visit(u16::from_be_bytes([*high, *low]), bytes);
        input = rest.get(prefix + value..).unwrap_or_default();
    }
}
