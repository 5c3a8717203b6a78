//! Why changes are not written. Each change checks, while it is written, that the decision behind it still stands:
//! unique values by an index, revisions and accounts by the number of rows that it changed.

use countersign_core::store::{StoreError, Thing, Unique};
use sqlx::error::ErrorKind;

/// Why changes were not written. The transaction, or the savepoint, must be rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// A decision does not stand any more.
    Overtaken(StoreError),
    /// The store is in trouble.
    Trouble(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match taken(&error) {
            Some(what) => Self::Overtaken(StoreError::Conflict { what }),
            None => Self::Trouble(error),
        }
    }
}

/// SQLite's result code of what a trigger refused.
const CONSTRAINT_TRIGGER: &str = "1811";

/// What a unique index or a trigger refused.
fn taken(error: &sqlx::Error) -> Option<Unique> {
    let error = error.as_database_error()?;
    // A trigger that refuses says the same with another code.
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
        _ => None,
    }
}

/// What is to be deleted as damaged is there and damaged: it may have been deleted and made anew meanwhile.
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
