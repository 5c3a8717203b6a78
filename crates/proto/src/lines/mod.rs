//! JSON lines: the envelopes of operations, results and events as JSON, one to a line, and the
//! lines of content that may follow (`docs/protocol/operations.md`, Envelope).
//!
//! ```text
//! bytes --> Decoder --line--> read_operation, read_outcome, read_event, ContentLine::read
//! put_operation, put_outcome, put_event, ContentLine::put --> bytes
//! ```
//!
//! A line ends with LF or CRLF; the last line of a stream may have no line end. An empty line is
//! not an operation.

mod decoder;
mod envelope;

pub use decoder::{Decoder, TooLong};
pub use envelope::{
    BadLine, ContentLine, PIECE_BYTES, put_event, put_operation, put_outcome, read_event,
    read_operation, read_outcome,
};
