//! Key events on the device port and the peer port: one JSON line each way
//! (`docs/protocol/device.md`, Key events).

use serde::{Deserialize, Serialize};

use super::{KeyEventsError, MAX_PAGE};
use crate::json;

/// The greatest length of the site's line in bytes, with its line end.
pub const MAX_KEY_EVENTS_LINE: usize = 4_096;

/// A client's line: it requests the key events from this number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEventsRequest(pub u64);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestForm {
    key_events: u64,
}

/// A client ignores members that it does not know.
#[derive(Serialize, Deserialize)]
struct AnswerForm {
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_PAGE, _>")]
    key_events: Vec<u8>,
}

impl KeyEventsRequest {
    /// Reads the line, with or without its line end; `None` if it is another one.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let form: RequestForm = json::read(line).ok()?;
        Some(Self(form.key_events))
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(self) -> Vec<u8> {
        line(&RequestForm { key_events: self.0 })
    }

    /// The site's line with this page of its events, with its line end.
    #[must_use]
    pub fn answer(page: Vec<u8>) -> Vec<u8> {
        line(&AnswerForm { key_events: page })
    }

    /// Reads the page from the site's line, with or without its line end.
    ///
    /// # Errors
    /// [`KeyEventsError::Malformed`].
    pub fn read_answer(line: &[u8]) -> Result<Vec<u8>, KeyEventsError> {
        if line.len() > MAX_KEY_EVENTS_LINE {
            return Err(KeyEventsError::Malformed);
        }
        let form: Result<AnswerForm, _> = json::read(line);
        form.map(|form| form.key_events)
            .map_err(|_| KeyEventsError::Malformed)
    }
}

fn line(form: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(form).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    // DEV-51
    #[test]
    fn a_request_is_read_as_it_was_written_and_no_other_line_is_one() {
        for first in [0, 1, 999, u64::MAX] {
            let line = KeyEventsRequest(first).to_line();
            assert_eq!(KeyEventsRequest::read(&line), Some(KeyEventsRequest(first)));
        }
        let others: [&[u8]; 7] = [
            b"",
            b"{}",
            b"[1]",
            br#"{"key_events":-1}"#,
            br#"{"key_events":"1"}"#,
            br#"{"key_events":1,"id":"ada"}"#,
            br#"{"key_events":1,"key_events":1}"#,
        ];
        for other in others {
            assert_eq!(KeyEventsRequest::read(other), None);
        }
    }

    // DEV-51
    #[test]
    fn an_answer_has_at_most_4096_bytes_and_cut_anywhere_it_is_refused() {
        use super::super::{MAX_EVENTS_IN_LINE, SignedKeyEvent};
        let page = vec![7; 40 + MAX_EVENTS_IN_LINE * SignedKeyEvent::LENGTH];
        let line = KeyEventsRequest::answer(page.clone());
        assert!(line.len() <= MAX_KEY_EVENTS_LINE);
        assert_eq!(KeyEventsRequest::read_answer(&line), Ok(page));
        for length in 0..line.len() - 1 {
            let cut = KeyEventsRequest::read_answer(&line[..length]);
            assert_eq!(cut, Err(KeyEventsError::Malformed));
        }
        let long = [&line[..line.len() - 1], &[b' '; MAX_KEY_EVENTS_LINE]].concat();
        let refused = KeyEventsRequest::read_answer(&long);
        assert_eq!(refused, Err(KeyEventsError::Malformed));
    }
}
