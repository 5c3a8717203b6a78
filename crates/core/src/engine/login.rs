//! What the session listener asks of the site: who may log in, and with what; sessions opened and
//! closed, each with its audit entry.
//!
//! A locked account is looked up like any other and refused only once it is proved: if its name were
//! answered as one that does not exist, who asks now and then would see that it was locked.

use std::sync::Arc;

use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::passphrase::{PassphraseRecord, ServerSetup};
use countersign_crypto::sealed_identity::SEALED_IDENTITY_LENGTH;
use countersign_proto::name::AccountName;
use countersign_proto::session::EncryptionOption;

use super::Site;
use crate::accounts::{Account, CredentialId, Kind};
use crate::audit::AuditDraft;
use crate::id::{AccountId, SessionId};
use crate::sessions::{CloseReason, CutHook, Proof, Resume, Room, SessionInfo, Suspension};
use crate::store::{Change, ChangeSet, StoreError};
use crate::timestamp::Timestamp;

/// What a person logs in with.
pub struct PersonLogin {
    /// Who.
    pub account: AccountId,
    /// The setup that the record was made under.
    pub setup: Arc<ServerSetup>,
    /// The record's name within OPAQUE.
    pub credential_id: CredentialId,
    /// OPAQUE's registration record.
    pub record: PassphraseRecord,
    /// The person's identity, sealed on the person's side.
    pub sealed_identity: [u8; SEALED_IDENTITY_LENGTH],
}

/// What a service logs in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceLogin {
    /// Who.
    pub account: AccountId,
    /// The key to agree on a secret with.
    pub agreement: AgreementPublic,
}

/// A verified login that asks for its session.
pub struct NewSession {
    /// Whose login.
    pub account: AccountId,
    /// What was proved.
    pub proof: Proof,
    /// The credential that a pass phrase was proved with, as [`PersonLogin`] named it: the account must have it
    /// still. `None` where no pass phrase was proved.
    pub credential: Option<CredentialId>,
    /// The encryption option in use.
    pub option: EncryptionOption,
    /// Where it comes from: the peer's address.
    pub peer: String,
    /// Ends the connection.
    pub cut: CutHook,
    /// How many sessions the account may have, this one included.
    pub most: usize,
}

/// What came of a verified login.
#[derive(Debug)]
pub enum Decision {
    /// It has a session.
    Opened(SessionInfo),
    /// The account, what it proved or the encryption option was taken away meanwhile.
    Refused,
    /// The account has as many sessions as it may.
    TooMany,
}

impl Site {
    /// What the person of that name logs in with; `None` when there is no such person, or the site is
    /// sealed. Whether they may log in is asked when they have proved who they are.
    ///
    /// # Errors
    /// [`StoreError`] when the store is in trouble.
    pub async fn person_for_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<PersonLogin>, StoreError> {
        let name = self.whole_name(name.clone());
        let found = self.store().passphrase_login(&name).await?;
        let (Some((account, credential)), Some(opened)) = (found, self.opened()) else {
            return Ok(None);
        };
        if account.kind != Kind::Person || credential.setup != opened.setup.id() {
            return Ok(None);
        }
        let damaged = |what: &str| StoreError::Damaged {
            problem: format!("the {what} of {name} does not read"),
        };
        Ok(Some(PersonLogin {
            account: account.id,
            setup: Arc::clone(&opened.setup),
            credential_id: credential.credential_id,
            record: PassphraseRecord::from_stored(&credential.record)
                .map_err(|_| damaged("pass phrase record"))?,
            sealed_identity: credential
                .sealed_identity
                .try_into()
                .map_err(|_| damaged("sealed identity"))?,
        }))
    }

    /// What is delivered of the person of that name; `None` as for [`Site::person_for_login`], and when there
    /// is nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the store is in trouble.
    pub async fn delivered_for_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(AccountId, DeliveredKey)>, StoreError> {
        let name = self.whole_name(name.clone());
        let found = self.store().delivered_login(&name).await?;
        Ok(found
            .filter(|(account, _)| account.kind == Kind::Person && !self.is_sealed())
            .map(|(account, credential)| (account.id, credential.key)))
    }

    /// What the owner of that key logs in with; `None` when nobody may log in with it.
    ///
    /// # Errors
    /// [`StoreError`] when the store is in trouble.
    pub async fn service_for_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<ServiceLogin>, StoreError> {
        let found = self.store().key_login(thumbprint).await?;
        Ok(found
            .filter(|(account, _)| account.kind == Kind::Service && account.is_active())
            .filter(|_| !self.is_sealed())
            .map(|(account, key)| ServiceLogin {
                account: account.id,
                agreement: key.agreement,
            }))
    }

    /// Opens a session for a verified login. Audited as `session.opened`; close every session that was opened
    /// with [`Site::close_session`], those that were cut too.
    ///
    /// # Errors
    /// [`StoreError`] when the session cannot be audited: there is none then.
    pub async fn open_session(
        &self,
        new: NewSession,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let Some(account) = self.store().account(new.account).await? else {
            return Ok(Decision::Refused);
        };
        let config = self.config();
        let info = SessionInfo {
            id: SessionId::new(now, &mut self.entropy()),
            account: account.id,
            name: account.name.clone(),
            role: account.role,
            option: Some(new.option),
            peer: new.peer,
            proof: new.proof,
            opened: now,
            expires: now.plus_seconds(config.key_lifetime.min(config.session_lifetime)),
            ends: now.plus_seconds(config.session_lifetime),
            connected: true,
            connection: 0,
        };
        // Registered first, looked at again afterwards: an admin who locks the account or sets its pass phrase meanwhile
        // either finds the session and cuts it, or is seen here.
        let registered = self.sessions().register(info.clone(), new.cut, new.most);
        if !registered {
            return Ok(Decision::TooMany);
        }
        let may_still = match self.has_still(info.account, new.credential).await {
            Ok(true) => self.may_still(&info, &account).await,
            other => other,
        };
        let admitted = match may_still {
            Ok(true) if !self.offers(new.option) => Ok(false),
            Ok(true) => self
                .audit_session(&info, "session.opened", None, now)
                .await
                .map(|()| true),
            other => other,
        };
        match admitted {
            Ok(true) => Ok(Decision::Opened(info)),
            refused => {
                self.sessions().remove(info.id, info.connection);
                refused.map(|_| Decision::Refused)
            }
        }
    }

    /// The session of that id, if its client may resume it now, with an option that is on offer.
    #[must_use]
    pub fn may_resume(
        &self,
        id: SessionId,
        option: EncryptionOption,
        now: Timestamp,
    ) -> Option<SessionInfo> {
        let info = self.sessions().find(id)?;
        (self.offers(option) && now < info.expires).then_some(info)
    }

    /// Gives a session that its client resumes the new connection; `None` when it is over, its client
    /// resumed it with a later attempt already, or the account, the key that was proved at first or the option
    /// was taken away meanwhile. The connection before, if there is one still, is told that it was replaced.
    /// Audited as `session.resumed`.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be audited: the session is over then.
    pub async fn resume_session(
        &self,
        id: SessionId,
        resume: Resume,
        now: Timestamp,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let option = resume.option;
        if !self.offers(option) {
            return Ok(None);
        }
        let Some((info, before)) = self.sessions().resume(id, resume, now) else {
            return Ok(None);
        };
        if let Some(before) = before {
            before(CloseReason::Replaced);
        }
        let admitted = match self.store().account(info.account).await {
            Ok(Some(account)) => self.may_still(&info, &account).await,
            Ok(None) => Ok(false),
            Err(trouble) => Err(trouble),
        };
        let audited = match admitted {
            // Asked again: when it was asked first, the session was not yet found by its new option.
            Ok(true) if !self.offers(option) => {
                self.close_session(&info, CloseReason::OptionDisabled, now)
                    .await?;
                return Ok(None);
            }
            Ok(true) => {
                self.audit_session(&info, "session.resumed", None, now)
                    .await
            }
            Ok(false) => {
                self.close_session(&info, CloseReason::AccountChanged, now)
                    .await?;
                return Ok(None);
            }
            Err(trouble) => Err(trouble),
        };
        if audited.is_err() {
            self.sessions().remove(info.id, info.connection);
        }
        audited.map(|()| Some(info))
    }

    /// Suspends a session whose connection was lost, until its client resumes it or it expires, if there is
    /// room; `cut` closes it should it be cut meanwhile. Of the suspended sessions of one account, the one that
    /// was suspended longest makes room.
    pub fn suspend_session(&self, info: &SessionInfo, cut: CutHook, room: Room) -> Suspension {
        self.sessions().suspend(info.id, info.connection, cut, room)
    }

    /// When a session expires whose client agrees on new keys now.
    #[must_use]
    pub fn key_expiry(&self, info: &SessionInfo, now: Timestamp) -> Timestamp {
        now.plus_seconds(self.config().key_lifetime).min(info.ends)
    }

    /// The client agreed on new keys: the session lasts as long as they do. `false` when it is over, or goes
    /// on over another connection.
    pub fn renew_session(&self, info: &SessionInfo, expires: Timestamp) -> bool {
        self.sessions().renew(info.id, info.connection, expires)
    }

    /// The session uses another option from now on, which `info` names. Audited as `session.switched`. When the option was
    /// disabled since it was chosen, the session is cut: the disabling could not find it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be audited.
    pub async fn session_switched(
        &self,
        info: &SessionInfo,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let switched = info
            .option
            .filter(|option| self.sessions().switched(info.id, info.connection, *option));
        if switched.is_some_and(|option| !self.offers(option)) {
            self.sessions().cut(info.id, CloseReason::OptionDisabled);
        }
        self.audit_session(info, "session.switched", None, now)
            .await
    }

    /// The suspended sessions that have expired: close them.
    #[must_use]
    pub fn expired_sessions(&self, now: Timestamp) -> Vec<SessionInfo> {
        self.sessions().expired(now)
    }

    /// Whether a session may use that option now: it may have been disabled while its login was under
    /// way.
    fn offers(&self, option: EncryptionOption) -> bool {
        self.options().ranked().contains(&option)
    }

    /// Whether a pass phrase that was proved is still the account's. The account's revision does not tell: setting a
    /// pass phrase leaves it as it was.
    async fn has_still(
        &self,
        account: AccountId,
        proved: Option<CredentialId>,
    ) -> Result<bool, StoreError> {
        let Some(proved) = proved else {
            return Ok(true);
        };
        let now = self.store().passphrase(account).await?;
        Ok(now.is_some_and(|now| now.credential_id == proved))
    }

    /// Whether what was proved for a session is still the account's, and the account as it was `seen` and active.
    pub(super) async fn may_still(
        &self,
        info: &SessionInfo,
        seen: &Account,
    ) -> Result<bool, StoreError> {
        let account = match info.proof {
            Proof::Passphrase => self.store().account(info.account).await?,
            Proof::Key(thumbprint) => {
                let found = self.store().key_login(&thumbprint).await?;
                found.map(|(account, _)| account)
            }
            Proof::Device(id) => match self.store().device(id).await? {
                Some(device) if device.account == info.account => {
                    self.store().account(info.account).await?
                }
                _ => None,
            },
            Proof::DeliveredKey(thumbprint) => {
                let kept = self.store().delivered_key(info.account).await?;
                let kept = kept.map(|credential| credential.key.certificate().thumbprint());
                match kept == Some(thumbprint) {
                    true => self.store().account(info.account).await?,
                    false => None,
                }
            }
        };
        Ok(account.is_some_and(|account| {
            account.id == info.account && account.is_active() && account.revision == seen.revision
        }))
    }

    /// Forgets a session that ended with its connection. Audited as `session.closed`, with the reason why
    /// it was cut if it was. A session that goes on over another connection stays.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be audited; the session is closed all the same.
    pub async fn close_session(
        &self,
        info: &SessionInfo,
        reason: CloseReason,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match self.sessions().remove(info.id, info.connection) {
            Some((info, cut)) => {
                let reason = cut.unwrap_or(reason);
                let seen = self.device_seen(&info, now).await;
                let reason = Some(reason);
                self.audit_session_with(seen, &info, "session.closed", reason, now)
                    .await
            }
            None => Ok(()),
        }
    }

    async fn audit_session(
        &self,
        info: &SessionInfo,
        event: &str,
        reason: Option<CloseReason>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.audit_session_with(None, info, event, reason, now)
            .await
    }

    /// Audits an event of a session, and makes the change that goes with it.
    pub(super) async fn audit_session_with(
        &self,
        change: Option<Change>,
        info: &SessionInfo,
        event: &str,
        reason: Option<CloseReason>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let details = match reason {
            Some(reason) => serde_json::json!({ "reason": reason }),
            None => serde_json::json!({
                "peer": info.peer,
                "option": info.option_name(),
                "proof": match info.proof {
                    Proof::Passphrase => "passphrase".to_owned(),
                    Proof::Key(thumbprint) => format!("key {thumbprint}"),
                    Proof::DeliveredKey(thumbprint) => format!("delivered key {thumbprint}"),
                    Proof::Device(id) => format!("device {id}"),
                },
            }),
        };
        let audit = AuditDraft {
            target: Some(info.id.to_string()),
            details: details.to_string(),
            ..AuditDraft::done(&info.caller(), event, now)
        };
        let set = ChangeSet::new(Vec::from_iter(change), audit);
        self.store().commit(set).await?;
        Ok(())
    }
}
