//! The client's second line: OPAQUE's record and the sealed identity.

use std::fmt;

use countersign_crypto::certificate::MAX_CERTIFICATE;
use countersign_crypto::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use super::super::BadRequest;
use super::super::line::{LineStep, PartialLine, secret_line};
use super::super::server::RequestRefused;
use crate::json;

/// The longest line, in bytes with its line end. One of ours has some 2,000; the rest is room for
/// other spellings of the same JSON and for other suites.
pub const MAX_RECORD: usize = 16 * 1024;
/// The greatest length of each of the two opaque members, in bytes.
const MAX_MEMBER: usize = 4_096;

/// What the site stores for a pass phrase. Its form was checked; its content was not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationRecord {
    /// The OPAQUE registration record.
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_MEMBER, _>")]
    pub record: Vec<u8>,
    /// The person's identity, sealed under OPAQUE's export key.
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_MEMBER, _>")]
    pub sealed_identity: Vec<u8>,
    /// The certificate of that identity, in DER.
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_CERTIFICATE, _>")]
    pub certificate: Vec<u8>,
}

impl RegistrationRecord {
    /// Reads the line, with or without its line end.
    ///
    /// # Errors
    /// [`BadRequest`].
    pub fn read(line: &[u8]) -> Result<Self, BadRequest> {
        if line.len() > MAX_RECORD {
            return Err(BadRequest::TooLong);
        }
        Ok(json::read(line)?)
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> SecretBytes {
        secret_line(self, MAX_RECORD)
    }
}

impl fmt::Debug for RegistrationRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With the site's OPAQUE setup, the record allows offline guessing of the pass phrase.
        f.write_str("RegistrationRecord(..)")
    }
}

/// The record has not arrived completely. This is the site's side, after it sent the challenge.
#[derive(Debug, Default)]
pub struct AwaitingRecord {
    line: PartialLine<MAX_RECORD>,
}

/// The result of bytes that arrived.
#[derive(Debug)]
pub enum RecordStep {
    /// The line is incomplete: read at most [`AwaitingRecord::room`] bytes more.
    More(AwaitingRecord),
    /// The line is complete: read nothing more.
    Record(Box<RegistrationRecord>),
}

impl AwaitingRecord {
    /// Nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes may still be read: at least 1.
    #[must_use]
    pub fn room(&self) -> usize {
        self.line.room()
    }

    /// Takes bytes that arrived, of which those after the line or beyond [`Self::room`] do not
    /// count.
    ///
    /// # Errors
    /// [`RequestRefused`].
    pub fn receive(self, bytes: &[u8]) -> Result<RecordStep, RequestRefused> {
        match self.line.receive(bytes) {
            LineStep::More(line) => Ok(RecordStep::More(Self { line })),
            LineStep::TooLong => Err(RequestRefused::TooLong),
            LineStep::Line(line) => {
                let record = RegistrationRecord::read(line.expose())?;
                Ok(RecordStep::Record(Box::new(record)))
            }
        }
    }

    /// The connection ended.
    #[must_use]
    pub fn closed(self) -> RequestRefused {
        RequestRefused::Closed
    }
}
