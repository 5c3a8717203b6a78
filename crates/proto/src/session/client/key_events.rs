//! KEY-EVENTS-REQUEST on its own: the pages of a walk that is too long for the answer to a flight
//! (`docs/protocol/session.md`, Key events).

use crate::risp::{Value, put};
use crate::session::command as c;
use crate::session::flight;
use crate::session::limits::UNAUTHENTICATED_BYTES;
use crate::session::refusal::LoginError;

use super::attempt::{WRONG_VALUE_TYPE, error_in_the_clear};

/// The bytes that request the key events from the number `first` on. Send nothing else on the
/// connection: the server gives one page to an unauthenticated client.
///
/// # Errors
/// [`LoginError::Protocol`] if the request cannot be encoded.
pub fn request_key_events(first: u64) -> Result<Vec<u8>, LoginError> {
    let mut bytes = Vec::new();
    put(&mut bytes, c::KEY_EVENTS_REQUEST, Value::U64(first)).map_err(|_| WRONG_VALUE_TYPE)?;
    Ok(bytes)
}

/// The page that the site answered with, for
/// [`KeyEventWalk::receive`](crate::site_identity::KeyEventWalk::receive); `None` while `input` has
/// not arrived completely.
///
/// # Errors
/// The site's refusal, or [`LoginError::Protocol`].
pub fn read_key_events(input: &[u8]) -> Result<Option<&[u8]>, LoginError> {
    if input.len() > UNAUTHENTICATED_BYTES {
        return Err(LoginError::Protocol("too long an answer"));
    }
    let Some(clear) = flight::next(input)? else {
        return Ok(None);
    };
    match (clear.command, clear.value) {
        (c::KEY_EVENTS, Value::Bytes(page)) => Ok(Some(page)),
        (c::ERROR, Value::U8(code)) => Err(error_in_the_clear(code)),
        _ => Err(LoginError::Protocol("another answer than KEY-EVENTS")),
    }
}
