//! The failures of writing changes.
//!
//! Each write checks that the decision behind it is still valid: unique indexes check unique values, and the
//! number of changed rows shows whether accounts and revisions are still the same.

use countersign_core::store::{StoreError, Thing, Unique};
use sqlx::error::ErrorKind;

/// Changes could not be written. The transaction or the savepoint must be rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another change made the decision invalid.
    Overtaken(StoreError),
    /// SQLite failed.
    Trouble(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match conflict(&error) {
            Some(what) => Self::Overtaken(StoreError::Conflict { what }),
            None => Self::Trouble(error),
        }
    }
}

/// A value as the document that is written.
pub(super) fn document(written: Result<String, serde_json::Error>) -> Result<String, Failure> {
    written.map_err(|error| Failure::Trouble(sqlx::Error::Encode(Box::new(error))))
}

/// SQLite's result code for a refusal by a trigger.
const CONSTRAINT_TRIGGER: &str = "1811";

/// The value that a unique index or a trigger refused.
fn conflict(error: &sqlx::Error) -> Option<Unique> {
    let error = error.as_database_error()?;
    // A trigger refuses with the same text and another code.
    let unique = error.kind() == ErrorKind::UniqueViolation;
    if !unique && error.code().as_deref() != Some(CONSTRAINT_TRIGGER) {
        return None;
    }
    let (_, column) = error.message().rsplit_once("failed: ")?;
    match column {
        "account.name" => Some(Unique::Name),
        "account.id" => Some(Unique::AccountId),
        "account_key.thumbprint" => Some(Unique::Key),
        "passphrase.credential_id" => Some(Unique::CredentialId),
        "removed_key.agreement" => Some(Unique::RemovedKey),
        "alarm.raiser, alarm.target, alarm.name" => Some(Unique::Alarm),
        "alarm.room" | "alarm_recipient.room" => Some(Unique::AlarmRoom),
        "application.id" => Some(Unique::Application),
        "enrolment_ticket.id" | "enrolment_ticket.token_hash" => Some(Unique::Ticket),
        "peer.site" => Some(Unique::Peer),
        "peer.zone" => Some(Unique::PeerZone),
        "access_token.id" | "access_token.token_hash" => Some(Unique::AccessToken),
        "access_token.room" => Some(Unique::AccessTokenRoom),
        "completed_request.account, completed_request.idempotency_key" => {
            Some(Unique::CompletedRequest)
        }
        "device.id" => Some(Unique::Device),
        "device.thumbprint" | "removed_device_key.thumbprint" => Some(Unique::DeviceKey),
        _ => None,
    }
}

/// Checks that a row to be deleted as damaged still exists and is damaged: it may have been replaced
/// meanwhile.
pub(super) fn expect_damaged(
    found: Result<Option<bool>, StoreError>,
    what: Thing,
) -> Result<(), Failure> {
    match found.map_err(Failure::Overtaken)? {
        Some(true) => Ok(()),
        Some(false) => Err(stale(what)),
        None => Err(not_found(what)),
    }
}

pub(super) fn expect(changed: u64, wanted: usize, otherwise: Failure) -> Result<(), Failure> {
    if changed == wanted as u64 {
        Ok(())
    } else {
        Err(otherwise)
    }
}

pub(super) const fn stale(what: Thing) -> Failure {
    Failure::Overtaken(StoreError::Stale { what })
}

pub(super) const fn not_found(what: Thing) -> Failure {
    Failure::Overtaken(StoreError::NotFound { what })
}
