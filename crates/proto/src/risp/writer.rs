//! Writes commands. Each command and value has exactly one encoding.

use super::command::{Command, Shape};
use super::reader::Value;

/// The value does not fit the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The command's number requires another form of value.
    #[error("command {0:?} requires another type of value")]
    WrongShape(Command),
    /// The string's length does not fit the command's length field.
    #[error("{length} bytes are too long for command {command:?}")]
    TooLong {
        /// The command.
        command: Command,
        /// The string's length in bytes.
        length: u64,
    },
}

/// Appends a command with its value.
///
/// # Errors
/// [`EncodeError`]; `out` is unchanged.
#[inline]
pub fn put(out: &mut Vec<u8>, command: Command, value: Value<'_>) -> Result<(), EncodeError> {
    let number = command.0.to_be_bytes();
    let mut append = |bytes: &[u8]| {
        out.extend_from_slice(&number);
        out.extend_from_slice(bytes);
    };
    match (command.shape(), value) {
        (Shape::Nothing, Value::Nothing) => append(&[]),
        (Shape::Integer(1), Value::U8(integer)) => append(&[integer]),
        (Shape::Integer(2), Value::U16(integer)) => append(&integer.to_be_bytes()),
        (Shape::Integer(4), Value::U32(integer)) => append(&integer.to_be_bytes()),
        (Shape::Integer(8), Value::U64(integer)) => append(&integer.to_be_bytes()),
        (Shape::Integer(width), Value::Wide(bytes)) if width > 8 && bytes.len() == width => {
            append(bytes);
        }
        (Shape::Bytes(_), Value::Bytes(bytes)) => {
            put_header(out, command, bytes.len() as u64)?;
            out.extend_from_slice(bytes);
        }
        _ => return Err(EncodeError::WrongShape(command)),
    }
    Ok(())
}

/// Appends the number and length of a string. The caller appends its bytes.
///
/// # Errors
/// [`EncodeError`]; `out` is unchanged.
#[inline]
pub fn put_header(out: &mut Vec<u8>, command: Command, length: u64) -> Result<(), EncodeError> {
    let Shape::Bytes(width) = command.shape() else {
        return Err(EncodeError::WrongShape(command));
    };
    let all = length.to_be_bytes();
    let (above, field) = all.split_at(8 - width);
    if above.iter().any(|byte| *byte != 0) {
        return Err(EncodeError::TooLong { command, length });
    }
    out.extend_from_slice(&command.0.to_be_bytes());
    out.extend_from_slice(field);
    Ok(())
}
