//! Plaintext commands: reading and writing them before a session has keys.

use crate::risp::{self, Command, Value};

use super::limits::BeforeLogin;
use super::refusal::SessionRefusal;
use super::transcript::Transcript;

/// A plaintext command and its encoded bytes.
pub(crate) struct ClearCommand<'a> {
    pub(crate) command: Command,
    pub(crate) value: Value<'a>,
    pub(crate) wire: &'a [u8],
}

/// The first command of `input`, or `None` if it is incomplete.
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
pub(crate) fn put_as_server(
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
pub(crate) fn put_as_client(
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
