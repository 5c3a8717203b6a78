//! RISP: a flat stream of commands, each a 16-bit number whose top four bits say the shape of what
//! follows (`docs/protocol/risp.md`).
//!
//! The codec neither reads nor reserves anything that did not arrive: [`parse`] looks at the front of a
//! buffer and borrows from it; a length over the reader's limit is refused as soon as it is known.

mod command;
mod reader;
mod writer;

pub use command::{Command, Shape};
pub use reader::{Limits, Malformed, MaxLength, Parsed, Reader, Value, parse};
pub use writer::{EncodeError, put, put_header};
