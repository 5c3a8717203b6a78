//! Reading and writing commands in the clear, before a session has keys.

use crate::risp::{self, Command, Value};

use super::limits::BeforeLogin;
use super::refusal::SessionRefusal;
use super::transcript::Transcript;

/// One command in the clear and its bytes as they stood on the wire.
pub(crate) struct ClearCommand<'a> {
    pub(crate) command: Command,
    pub(crate) value: Value<'a>,
    pub(crate) wire: &'a [u8],
}

/// The command that `input` starts with, or `None` when it has not arrived whole.
pub(crate) fn next(input: &[u8]) -> Result<Option<ClearCommand<'_>>, risp::Malformed> {
    match risp::parse(input, &BeforeLogin)? {
        risp::Parsed::Incomplete { .. } => Ok(None),
        risp::Parsed::Command {
            command,
            value,
            used,
        } => {
            let wire = input.get(..used).unwrap_or_default();
            Ok(Some(ClearCommand {
                command,
                value,
                wire,
            }))
        }
    }
}

/// Appends a command to `out` and to the server's side of the transcript.
pub(crate) fn server_says(
    transcript: &mut Transcript,
    out: &mut Vec<u8>,
    command: Command,
    value: Value<'_>,
) -> Result<(), SessionRefusal> {
    let start = out.len();
    risp::put(out, command, value)
        .map_err(|_| SessionRefusal::BadLogin("an answer that does not fit"))?;
    transcript.server_sent(out.get(start..).unwrap_or_default());
    Ok(())
}

/// Appends a command to `out` and to the client's side of the transcript.
pub(crate) fn client_says(
    transcript: &mut Transcript,
    out: &mut Vec<u8>,
    command: Command,
    value: Value<'_>,
) -> Result<(), risp::EncodeError> {
    let start = out.len();
    risp::put(out, command, value)?;
    transcript.client_sent(out.get(start..).unwrap_or_default());
    Ok(())
}
