//! Sample accounts, credentials and audit entries.

use countersign_core::access::{Channel, Role};
use countersign_core::accounts::{
    Account, CredentialId, DeliveredKeyCredential, KeyCredential, Kind, PASSPHRASE_VERSION,
    PassphraseCredential, PassphraseSuite, State,
};
use countersign_core::applications::{
    Application, ApplicationKey, AuthData, Callee, Edition, ForeignGrant, Grant,
};
use countersign_core::audit::{Actor, AuditDraft, AuditOutcome, ChainHead};
use countersign_core::id::{AccountId, InstanceId};
use countersign_core::page::Page;
use countersign_core::store::{Change, ChangeSet, Committed, Store, StoreError};
use countersign_core::text::Base64Url;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::passphrase::SetupId;
use countersign_crypto::secret::Secret;
use countersign_proto::name::AccountName;
use countersign_proto::site_identity::SiteId;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

pub(super) fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

pub fn person(text: &str) -> Account {
    Account {
        id: AccountId::new(NOW, &mut SystemEntropy),
        name: name(text),
        kind: Kind::Person,
        role: Role::Member,
        full_name: format!("{text} of the test"),
        email: format!("{text}@example.org"),
        state: State::Active,
        revision: 1,
        created: NOW,
        changed: NOW,
    }
}

pub fn service(text: &str) -> Account {
    Account {
        kind: Kind::Service,
        role: Role::Service,
        ..person(text)
    }
}

pub(super) fn application(id: &str) -> Application {
    Application {
        id: id.parse().unwrap(),
        instance: Some(InstanceId::from_bytes([7; 16])),
        edition: Edition::V2,
        keys: vec![ApplicationKey {
            // One key serves one application.
            public: Base64Url(id.as_bytes().to_vec()),
            label: String::from("first").try_into().unwrap(),
            added: NOW,
            retires: Some(NOW),
        }],
        hashes: vec!["sha256".to_owned()],
        ciphers: Vec::new(),
        keys_last: 1_000,
        auth_data: AuthData::from_sealed(vec![1, 2, 3]),
        groups: vec!["finance".parse().unwrap()],
        may_call: vec![
            Grant {
                callee: Callee::App("ledger".parse().unwrap()),
                instance: Some(InstanceId::from_bytes([9; 16])),
                site: None,
            },
            Grant {
                callee: Callee::Foreign("ledger@b.example".parse().unwrap()),
                instance: None,
                site: Some(SiteId([5; 32])),
            },
        ],
        callers: vec![ForeignGrant {
            site: SiteId([6; 32]),
            name: "billing@c.example".parse().unwrap(),
        }],
        service: Some(AccountId::from_bytes([8; 16])),
        state: State::Active,
        revision: 1,
        created: NOW,
        changed: NOW,
    }
}

pub(super) fn passphrase(account: &Account, mark: u8) -> PassphraseCredential {
    PassphraseCredential {
        account: account.id,
        version: PASSPHRASE_VERSION,
        suite: PassphraseSuite::OpaqueRistretto255,
        setup: SetupId::from_bytes([7; 8]),
        credential_id: CredentialId(*account.id.as_bytes()),
        record: vec![mark; 192],
        sealed_identity: vec![mark; 768],
        certificate: None,
        changed: NOW,
    }
}

pub(super) fn delivered(account: &Account, mark: u8) -> DeliveredKeyCredential {
    DeliveredKeyCredential {
        account: account.id,
        key: DeliveredKey::decoy(&Secret::from_bytes([mark; 32]), b"sample"),
        changed: NOW,
    }
}

pub fn key(account: &Account, mark: u8) -> KeyCredential {
    KeyCredential {
        account: account.id,
        thumbprint: Thumbprint([mark; 32]),
        certificate: vec![mark; 400],
        agreement: AgreementPublic([mark; 32]),
        label: format!("key {mark}"),
        added: NOW,
    }
}

pub fn set(changes: Vec<Change>) -> ChangeSet {
    let audit = AuditDraft {
        time: NOW,
        actor: Actor {
            account: None,
            name: "test".to_owned(),
        },
        channel: Channel::AdminSocket,
        operation: "test.change".to_owned(),
        target: Some("something".to_owned()),
        outcome: AuditOutcome::Done,
        details: "{}".to_owned(),
    };
    ChangeSet::new(changes, audit)
}

pub(super) async fn commit(
    store: &dyn Store,
    changes: impl Into<Vec<Change>>,
) -> Result<Committed, StoreError> {
    store.commit(set(changes.into())).await
}

/// Verifies the whole audit chain and returns the number of its entries.
pub async fn verify(store: &dyn Store) -> u64 {
    let mut head = ChainHead::EMPTY;
    loop {
        let page = Page {
            after: Some(head.seq),
            limit: 100,
        };
        let entries = store.audit(&page).await.unwrap();
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            head.verify(entry).unwrap();
        }
    }
    assert_eq!(store.audit_head().await.unwrap(), head);
    head.seq
}

/// Commits a change set without changes: an audit entry.
pub async fn commit_nothing(store: &dyn Store) -> Result<Committed, StoreError> {
    commit(store, []).await
}
