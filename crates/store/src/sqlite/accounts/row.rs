//! Converts rows of accounts and credentials to values.

use countersign_core::access::Role;
use countersign_core::accounts::{
    Account, CredentialId, DeliveredKeyCredential, KeyCredential, Kind, PassphraseCredential,
    PassphraseSuite, PersonData, State,
};
use countersign_core::id::AccountId;
use countersign_core::store::{DamagedAccount, StoreError, WholeAccount};
use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::passphrase::SetupId;

use crate::sqlite::row::{Columns, damaged, problem};

pub(in crate::sqlite) fn account(columns: &mut Columns<'_>) -> Result<Account, StoreError> {
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

/// The data of a person; empty if there is no document.
pub(super) fn person_data(columns: &mut Columns<'_>) -> Result<PersonData, StoreError> {
    let document: Option<&str> = columns.take()?;
    document.map_or_else(
        || Ok(PersonData::default()),
        |document| {
            serde_json::from_str(document)
                .map_err(|error| damaged(&format_args!("the data of a person is invalid: {error}")))
        },
    )
}

/// An account with what belongs to it, with one of its keys or none.
pub(super) fn whole_account(columns: &mut Columns<'_>) -> Result<WholeAccount, StoreError> {
    let account = account(columns)?;
    let data = person_data(columns)?;
    let setup: Option<Vec<u8>> = columns.take()?;
    let setup = setup.map(|setup| setup.as_slice().try_into());
    let setup = setup.transpose().map_err(|error| damaged(&error))?;
    let has_key = columns.take::<Option<i64>>()?.is_some();
    let key = has_key.then(|| key(columns, account.id)).transpose()?;
    Ok(WholeAccount {
        account,
        data,
        setup: setup.map(SetupId::from_bytes),
        keys: key.into_iter().collect(),
    })
}

/// An account of a list. A damaged one is returned with its error, so that the list continues.
pub(super) fn listed_account(
    columns: &mut Columns<'_>,
) -> Result<Result<Account, DamagedAccount>, StoreError> {
    let read = account(&mut columns.again());
    let id = columns.bytes().ok().map(AccountId::from_bytes);
    let name = columns.text()?;
    Ok(read.map_err(|error| DamagedAccount {
        id,
        name,
        problem: problem(error),
    }))
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
            problem: format!("a delivered key is invalid: {error}"),
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
