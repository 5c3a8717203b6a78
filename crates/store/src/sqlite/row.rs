//! Rows as values. What does not read cannot have been written by this store: the file is damaged.

use std::fmt::Display;
use std::str::FromStr;

use countersign_core::account::{Account, Kind, State};
use countersign_core::application::Application;
use countersign_core::audit::{Actor, AuditDraft, AuditEntry, AuditOutcome};
use countersign_core::caller::Door;
use countersign_core::credential::{
    CredentialId, DeliveredKeyCredential, KeyCredential, PassphraseCredential, PassphraseSuite,
};
use countersign_core::id::AccountId;
use countersign_core::policy::Role;
use countersign_core::store::{
    DamagedAccount, DamagedApplication, ScriptProgress, Setting, StoreError,
};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::passphrase::SetupId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

use super::reads::fault;

/// An unsigned number as SQLite keeps it. No counter of ours gets near the end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Takes a row's columns one after the other.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) const fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    fn take<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Result<T, StoreError> {
        let column = self.next;
        self.next += 1;
        self.row.try_get(column).map_err(|error| fault(&error))
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self) -> Result<T, StoreError> {
        let text: &str = self.take()?;
        text.parse().map_err(|error| damaged(&error))
    }

    /// One of a few words.
    fn word<T: Copy>(&mut self, all: &[T], as_str: fn(T) -> &'static str) -> Result<T, StoreError> {
        let text: &str = self.take()?;
        all.iter()
            .copied()
            .find(|one| as_str(*one) == text)
            .ok_or_else(|| damaged(&format_args!("`{text}` is none of the words known here")))
    }

    fn number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, StoreError> {
        let number: i64 = self.take()?;
        T::try_from(number).map_err(|error| damaged(&error))
    }

    fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.take().map(Timestamp::from_millis)
    }

    /// Text that may be damaged.
    fn text(&mut self) -> Result<String, StoreError> {
        let column = self.next;
        self.next += 1;
        let bytes = self.row.try_get_unchecked::<&[u8], _>(column);
        let bytes = bytes.map_err(|error| fault(&error))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let bytes: &[u8] = self.take()?;
        bytes.try_into().map_err(|error| damaged(&error))
    }
}

pub(super) fn application(columns: &mut Columns<'_>) -> Result<Application, StoreError> {
    let document: &str = columns.take()?;
    serde_json::from_str(document).map_err(|error| damaged(&error))
}

/// An application of a list: what is wrong with one that does not read is told, and no failure of the others.
pub(super) fn listed_application(
    columns: &mut Columns<'_>,
) -> Result<Result<Application, DamagedApplication>, StoreError> {
    let read = application(columns);
    let id = columns.text()?;
    Ok(read.map_err(|error| DamagedApplication {
        problem: problem(error),
        id,
    }))
}

/// An account of a list, likewise.
pub(super) fn listed_account(
    columns: &mut Columns<'_>,
) -> Result<Result<Account, DamagedAccount>, StoreError> {
    let read = account(&mut Columns::of(columns.row));
    let id = columns.bytes().ok().map(AccountId::from_bytes);
    let name = columns.text()?;
    Ok(read.map_err(|error| DamagedAccount {
        id,
        name,
        problem: problem(error),
    }))
}

fn problem(error: StoreError) -> String {
    match error {
        StoreError::Damaged { problem } => problem,
        other => other.to_string(),
    }
}

pub(super) fn account(columns: &mut Columns<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        id: AccountId::from_bytes(columns.bytes()?),
        name: columns.parsed()?,
        kind: columns.word(&Kind::ALL, Kind::as_str)?,
        role: columns.word(&Role::ALL, Role::as_str)?,
        full_name: columns.take()?,
        email: columns.take()?,
        state: columns.word(&State::ALL, State::as_str)?,
        revision: columns.number()?,
        created: columns.time()?,
        changed: columns.time()?,
    })
}

pub(super) fn passphrase(
    columns: &mut Columns<'_>,
    account: AccountId,
) -> Result<PassphraseCredential, StoreError> {
    Ok(PassphraseCredential {
        account,
        version: columns.number()?,
        suite: columns.word(&PassphraseSuite::ALL, PassphraseSuite::as_str)?,
        setup: SetupId::from_bytes(columns.bytes()?),
        credential_id: CredentialId(columns.bytes()?),
        record: columns.take()?,
        sealed_identity: columns.take()?,
        certificate: columns.take()?,
        changed: columns.time()?,
    })
}

pub(super) fn delivered_key(
    columns: &mut Columns<'_>,
    account: AccountId,
) -> Result<DeliveredKeyCredential, StoreError> {
    let certificate: Vec<u8> = columns.take()?;
    let encrypted_key: Vec<u8> = columns.take()?;
    let key = DeliveredKey::from_stored(&certificate, encrypted_key);
    Ok(DeliveredKeyCredential {
        account,
        key: key.map_err(|error| StoreError::Damaged {
            problem: format!("a delivered key does not read: {error}"),
        })?,
        changed: columns.time()?,
    })
}

pub(super) fn key(
    columns: &mut Columns<'_>,
    account: AccountId,
) -> Result<KeyCredential, StoreError> {
    Ok(KeyCredential {
        account,
        thumbprint: Thumbprint(columns.bytes()?),
        certificate: columns.take()?,
        agreement: AgreementPublic(columns.bytes()?),
        label: columns.take()?,
        added: columns.time()?,
    })
}

pub(super) fn setting(columns: &mut Columns<'_>) -> Result<Setting, StoreError> {
    Ok(Setting {
        value: columns.take()?,
        revision: columns.number()?,
    })
}

pub(super) fn script(columns: &mut Columns<'_>) -> Result<ScriptProgress, StoreError> {
    Ok(ScriptProgress {
        name: columns.take()?,
        digest: columns.bytes()?,
        lines: columns.number()?,
        applied: columns.take::<Option<i64>>()?.map(Timestamp::from_millis),
    })
}

pub(super) fn audit(columns: &mut Columns<'_>) -> Result<AuditEntry, StoreError> {
    let seq = columns.number()?;
    let time = columns.time()?;
    let account = match columns.take::<Option<&[u8]>>()? {
        Some(bytes) => Some(AccountId::from_bytes(
            bytes.try_into().map_err(|error| damaged(&error))?,
        )),
        None => None,
    };
    let draft = AuditDraft {
        time,
        actor: Actor {
            account,
            name: columns.take()?,
        },
        door: columns.word(&Door::ALL, Door::as_str)?,
        operation: columns.take()?,
        target: columns.take()?,
        outcome: columns.word(&AuditOutcome::ALL, AuditOutcome::as_str)?,
        details: columns.take()?,
    };
    Ok(AuditEntry {
        seq,
        draft,
        previous: columns.bytes()?,
        hash: columns.bytes()?,
    })
}

fn damaged(problem: &dyn Display) -> StoreError {
    StoreError::Damaged {
        problem: problem.to_string(),
    }
}
