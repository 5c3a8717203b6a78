//! Reads commands from the start of a buffer.

use super::command::{Command, Shape};

/// A command's value, borrowed from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value.
    Nothing,
    /// A 1-byte integer.
    U8(u8),
    /// A 2-byte integer.
    U16(u16),
    /// A 4-byte integer.
    U32(u32),
    /// An 8-byte integer.
    U64(u64),
    /// An integer of 16, 32 or 64 bytes, big-endian.
    Wide(&'a [u8]),
    /// A string of bytes.
    Bytes(&'a [u8]),
}

/// The maximum length of strings, by command.
pub trait Limits {
    /// The maximum length in bytes of a string of this command.
    fn max_length(&self, command: Command) -> u64;
}

/// The same maximum length for every command, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct MaxLength(pub u64);

impl Limits for MaxLength {
    #[inline]
    fn max_length(&self, _: Command) -> u64 {
        self.0
    }
}

/// Input that is invalid under the reader's limits, whatever follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A string exceeds the limit. Nothing was allocated for it.
    #[error("command {command:?} announces {length} bytes, but the limit is {max_length}")]
    TooLong {
        /// The command.
        command: Command,
        /// The announced length, in bytes.
        length: u64,
        /// The limit, in bytes.
        max_length: u64,
    },
}

/// The command at the start of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A complete command.
    Command {
        /// Its number.
        command: Command,
        /// Its value.
        value: Value<'a>,
        /// The number of input bytes that it uses.
        used: usize,
    },
    /// An incomplete command. Parse again when the input has at least `needed` bytes in total.
    Incomplete {
        /// More than the length of the input: the least total length known so far.
        needed: usize,
    },
}

/// Parses the command at the start of `input`.
///
/// # Errors
/// [`Malformed::TooLong`] once the length has arrived.
#[inline]
pub fn parse<'a>(input: &'a [u8], limits: &impl Limits) -> Result<Parsed<'a>, Malformed> {
    let Some((number, rest)) = input.split_first_chunk::<2>() else {
        return Ok(Parsed::Incomplete { needed: 2 });
    };
    let command = Command(u16::from_be_bytes(*number));
    Ok(match command.shape() {
        Shape::Nothing => Parsed::Command {
            command,
            value: Value::Nothing,
            used: 2,
        },
        Shape::Integer(width) => match rest.get(..width).and_then(integer) {
            Some(value) => Parsed::Command {
                command,
                value,
                used: 2 + width,
            },
            None => Parsed::Incomplete { needed: 2 + width },
        },
        Shape::Bytes(width) => {
            let Some(length) = rest.get(..width).map(big_endian) else {
                return Ok(Parsed::Incomplete { needed: 2 + width });
            };
            let limit = limits.max_length(command);
            if length > limit {
                return Err(Malformed::TooLong {
                    command,
                    length,
                    max_length: limit,
                });
            }
            // A length that exceeds the address space is rejected too, even if the limit allows it.
            let used = usize::try_from(length)
                .ok()
                .and_then(|length| length.checked_add(2 + width));
            let Some(used) = used else {
                return Err(Malformed::TooLong {
                    command,
                    length,
                    max_length: usize::MAX as u64,
                });
            };
            match input.get(2 + width..used) {
                Some(bytes) => Parsed::Command {
                    command,
                    value: Value::Bytes(bytes),
                    used,
                },
                None => Parsed::Incomplete { needed: used },
            }
        }
    })
}

#[inline]
fn integer(bytes: &[u8]) -> Option<Value<'_>> {
    Some(match bytes.len() {
        1 => Value::U8(*bytes.first()?),
        2 => Value::U16(u16::from_be_bytes(*bytes.first_chunk()?)),
        4 => Value::U32(u32::from_be_bytes(*bytes.first_chunk()?)),
        8 => Value::U64(u64::from_be_bytes(*bytes.first_chunk()?)),
        _ => Value::Wide(bytes),
    })
}

#[inline]
fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Iterates over the complete commands of a buffer. It ends before the first incomplete command, or
/// after the first malformed one.
pub struct Reader<'a, L> {
    rest: &'a [u8],
    consumed: usize,
    limits: &'a L,
    broken: bool,
}

impl<'a, L: Limits> Reader<'a, L> {
    /// A reader of `input` with these limits.
    #[must_use]
    pub fn new(input: &'a [u8], limits: &'a L) -> Self {
        Self {
            rest: input,
            consumed: 0,
            limits,
            broken: false,
        }
    }

    /// The number of bytes of the commands returned so far.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.consumed
    }
}

impl<'a, L: Limits> Iterator for Reader<'a, L> {
    type Item = Result<(Command, Value<'a>), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        match parse(self.rest, self.limits) {
            Ok(Parsed::Command {
                command,
                value,
                used,
            }) => {
                self.rest = self.rest.get(used..).unwrap_or_default();
                self.consumed += used;
                Some(Ok((command, value)))
            }
            Ok(Parsed::Incomplete { .. }) => None,
            Err(malformed) => {
                self.broken = true;
                Some(Err(malformed))
            }
        }
    }
}
