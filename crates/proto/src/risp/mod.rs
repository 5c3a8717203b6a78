//! RISP: a stream of commands. Each has a 16-bit number, whose top four bits give the form of its
//! value (`docs/protocol/risp.md`).
//!
//! The codec reads and allocates nothing that has not arrived: [`parse`] borrows from the start of
//! a buffer, and rejects a length over the limit as soon as it is known.

mod command;
mod reader;
mod writer;

pub use command::{Command, Shape};
pub use reader::{Limits, Malformed, MaxLength, Parsed, Reader, Value, parse};
pub use writer::{EncodeError, put, put_header};
