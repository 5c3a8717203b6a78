//! Change sets: what a handler wants to write.

use countersign_crypto::certificate::Thumbprint;
use countersign_proto::enrolment::TicketKind;

use super::{
    AccessTokenChange, AlarmChange, CompletedRequest, Effects, PeerChange, ScriptProgress, Setting,
};
use crate::access::Role;
use crate::accounts::{
    Account, CredentialId, DeliveredKeyCredential, KeyCredential, PassphraseCredential, PersonData,
};
use crate::applications::{Application, ApplicationId};
use crate::audit::AuditDraft;
use crate::devices::Device;
use crate::enrolment::{EnrolmentTicket, RevocationReason};
use crate::id::{AccountId, DeviceId, InstanceId, SessionId, TicketId};
use crate::site_key;
use crate::store::Notice;
use crate::timestamp::Timestamp;

/// Changes, their audit entry and their notices. They are committed together or not at all.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    /// The changes; empty for an audit entry without a change.
    pub changes: Vec<Change>,
    /// Consequences that do not follow from the changes themselves.
    pub notices: Vec<Notice>,
    /// The session that requested the changes. A new pass phrase or delivered key of its account
    /// does not cut it.
    pub session: Option<SessionId>,
    /// The audit entry.
    pub audit: AuditDraft,
}

impl ChangeSet {
    /// Makes a change set without notices and without a session.
    #[must_use]
    pub const fn new(changes: Vec<Change>, audit: AuditDraft) -> Self {
        Self {
            changes,
            notices: Vec::new(),
            session: None,
            audit,
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Inserts an account. [`StoreError::Conflict`](super::StoreError::Conflict) if the id or the
    /// name is taken.
    InsertAccount(Account),
    /// Replaces an account. Its revision must be one more than the stored one's.
    UpdateAccount(Account),
    /// Replaces the data of a person. The change set contains the next revision of the account too, which
    /// guards the data: of two changes on the same data, one is stale.
    PutPersonData {
        /// The person's account.
        account: AccountId,
        /// The data.
        data: Box<PersonData>,
    },
    /// Deletes an account, its data, all its credentials, its enrolment tickets and its devices.
    DeleteAccount {
        /// The account's id.
        id: AccountId,
        /// The revision that the decision was based on.
        revision: u64,
    },
    /// Deletes an account that cannot be read, with its credentials, tickets and devices.
    /// [`StoreError::Stale`](super::StoreError::Stale) if it can be read.
    DeleteDamagedAccount {
        /// The account's id, if it can be read.
        id: Option<AccountId>,
        /// The account's name.
        name: String,
    },
    /// Sets the pass phrase credential of an account.
    /// [`StoreError::Conflict`](super::StoreError::Conflict) if another account has its credential
    /// id.
    PutPassphrase(PassphraseCredential),
    /// Replaces the pass phrase credential of an account by one of the same pass phrase. Like
    /// [`Change::PutPassphrase`], but no session ends.
    RenewPassphrase(PassphraseCredential),
    /// Deletes the delivered key of an account, if there is one.
    DeleteDeliveredKey(AccountId),
    /// Sets the delivered key of an account.
    PutDeliveredKey(DeliveredKeyCredential),
    /// Inserts a key. [`StoreError::Conflict`](super::StoreError::Conflict) if an account already
    /// has it.
    InsertKey(KeyCredential),
    /// Deletes a key.
    DeleteKey {
        /// The account of the key.
        account: AccountId,
        /// The thumbprint of the key.
        thumbprint: Thumbprint,
    },
    /// Changes nothing: the condition that an account is as the decision found it, for changes of other
    /// things. [`StoreError::Stale`](super::StoreError::Stale) unless it is,
    /// [`StoreError::NotFound`](super::StoreError::NotFound) if it was deleted.
    ExpectAccount {
        /// The account's id.
        id: AccountId,
        /// The revision that the decision was based on.
        revision: u64,
        /// Identifies the pass phrase that the decision was based on; `None` if the account had none.
        passphrase: Option<CredentialId>,
    },
    /// Inserts an application. [`StoreError::Conflict`](super::StoreError::Conflict) if the id is
    /// taken.
    InsertApplication(Box<Application>),
    /// Replaces an application. Its revision must be one more than the stored one's, and its instance
    /// the same: an application that was deleted and registered again is another one.
    UpdateApplication(Box<Application>),
    /// Deletes an application.
    DeleteApplication {
        /// The application's id.
        id: ApplicationId,
        /// The registration that the decision was based on.
        instance: Option<InstanceId>,
        /// The revision that the decision was based on.
        revision: u64,
    },
    /// Deletes an application that cannot be read. [`StoreError::Stale`](super::StoreError::Stale)
    /// if it can be read.
    DeleteDamagedApplication(ApplicationId),
    /// Sets a new enrolment ticket. [`StoreError::Conflict`](super::StoreError::Conflict) when the
    /// id or the token is taken.
    InsertTicket(EnrolmentTicket),
    /// Binds a ticket to a key. [`StoreError::Stale`](super::StoreError::Stale) unless the ticket is open: of several
    /// keys, one is bound.
    BindTicket {
        /// The ticket.
        id: TicketId,
        /// Its account.
        account: AccountId,
        /// SHA-256 of the key's SubjectPublicKeyInfo.
        thumbprint: Thumbprint,
        /// The device that gets the key; `None` if the ticket sets a pass phrase.
        device: Option<DeviceId>,
        /// When the key was registered.
        at: Timestamp,
    },
    /// Revokes a ticket. [`StoreError::Stale`](super::StoreError::Stale) when it was revoked before.
    RevokeTicket {
        /// The ticket.
        id: TicketId,
        /// Its account.
        account: AccountId,
        /// When it is revoked.
        at: Timestamp,
        /// The reason, which `ticket list` shows.
        why: RevocationReason,
    },
    /// Deletes a ticket, which may be one that cannot be read.
    /// [`StoreError::NotFound`](super::StoreError::NotFound) if the account has no ticket of that id.
    DeleteTicket {
        /// The ticket.
        id: TicketId,
        /// Its account.
        account: AccountId,
    },
    /// Revokes the open tickets of an account that have not expired, if there are any.
    RevokeOpenTickets {
        /// The account.
        account: AccountId,
        /// Only tickets of this kind; `None` for all kinds.
        kind: Option<TicketKind>,
        /// When they are revoked.
        at: Timestamp,
        /// The reason, which `ticket list` shows.
        why: RevocationReason,
    },
    /// Deletes the tickets of an account that expired before a moment, if there are any.
    ForgetTickets {
        /// The account.
        account: AccountId,
        /// The moment.
        expired_before: Timestamp,
    },
    /// A new device. [`StoreError::Conflict`](super::StoreError::Conflict) when another device has its id, or has its
    /// key or had it.
    InsertDevice(Device),
    /// The name of a device as it is from now on; the revision must be one more than the stored one's.
    UpdateDevice(Device),
    /// A connection of a device was opened or closed. Changes nothing when the device is gone.
    SeeDevice {
        /// The device.
        id: DeviceId,
        /// Its account.
        account: AccountId,
        /// When the connection was opened or closed.
        at: Timestamp,
    },
    /// Takes a device away. Its key stays removed: no device gets it again.
    DeleteDevice {
        /// The device.
        id: DeviceId,
        /// Its account.
        account: AccountId,
    },
    /// A change of peers or of their messages.
    Peer(PeerChange),
    /// A setting.
    PutSetting {
        /// The name of the setting.
        name: &'static str,
        /// The value, and its revision, which must be one more than the stored one's (1 for a new
        /// setting).
        setting: Setting,
    },
    /// Changes nothing: the condition that a setting is as the decision found it, for changes of other
    /// things. [`StoreError::Stale`](super::StoreError::Stale) unless it is.
    ExpectSetting {
        /// The name of the setting.
        name: &'static str,
        /// The revision that the decision was based on; 0 if there was no such setting.
        revision: u64,
    },
    /// A change of access tokens.
    AccessToken(AccessTokenChange),
    /// Records a completed request with an idempotency key.
    /// [`StoreError::Conflict`](super::StoreError::Conflict) if its account completed one with this
    /// key before.
    CompleteRequest(CompletedRequest),
    /// A change of alarms or of the outbox.
    Alarm(AlarmChange),
    /// Records the progress of an initialisation script.
    PutScript(ScriptProgress),
    /// Puts a sealed text in the place of one that an earlier version stored in the clear. Changes
    /// nothing if that was done before, or if what the text belongs to is gone.
    SealData {
        /// The number of the text: see [`ClearData`](super::ClearData).
        number: u64,
        /// The sealed text.
        sealed: Vec<u8>,
    },
}

impl Change {
    /// The change that comes with a new pass phrase of an account: it deletes the account's access
    /// tokens, because an attacker who knew the previous one may have created some.
    #[must_use]
    pub(crate) const fn delete_access_tokens(account: AccountId) -> Self {
        Self::AccessToken(AccessTokenChange::DeleteOf {
            account,
            expired_before: None,
        })
    }

    /// The change that comes with a new pass phrase of an account: it revokes the account's open
    /// tickets. The first pass phrase leaves tickets for devices open: no attacker knows an earlier
    /// one, and an admin may issue both kinds to a new person.
    #[must_use]
    pub(crate) fn revoke_with_passphrase(
        account: AccountId,
        had_passphrase: bool,
        now: Timestamp,
    ) -> Self {
        Self::RevokeOpenTickets {
            account,
            kind: (!had_passphrase).then_some(TicketKind::Passphrase),
            at: now,
            why: RevocationReason::PassphraseChanged,
        }
    }

    /// Whether there is an active admin after the change.
    #[must_use]
    pub(crate) fn makes_admin(&self) -> bool {
        match self {
            Self::InsertAccount(account) | Self::UpdateAccount(account) => {
                account.role == Role::Admin && account.is_active()
            }
            _ => false,
        }
    }

    /// Whether the store must not keep what the change replaces, in free space or a log: wrapped
    /// site keys, sealed OPAQUE server setups, sealed keys of the broker, and texts in the clear.
    #[must_use]
    pub fn erases(&self) -> bool {
        const ERASED: [&str; 3] = [
            site_key::SITE_KEY,
            site_key::SERVER_SETUPS,
            site_key::BROKER_KEYS,
        ];
        match self {
            Self::PutSetting { name, .. } => ERASED.contains(name),
            Self::SealData { .. } => true,
            _ => false,
        }
    }
}

/// The result of a committed change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The number of the audit entry.
    pub audit_seq: u64,
    /// The effects reported by the observer.
    pub effects: Effects,
}
