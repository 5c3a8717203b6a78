//! The login interface for the session listener: credentials for a login, and opening, resuming and
//! closing sessions with their audit entries.
//!
//! A locked account is looked up like any other and is refused only after the client has
//! authenticated. If a locked account looked like one that does not exist, an attacker who asks
//! from time to time could tell when an account was locked.

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
use crate::lockdown::Activity;
use crate::sessions::{
    CloseReason, CutHook, Proof, Resume, SessionInfo, Suspension, SuspensionLimits,
};
use crate::store::{Change, ChangeSet, StoreError};
use crate::timestamp::Timestamp;

/// The credential with which a person logs in.
pub struct PersonLogin {
    /// The person's account.
    pub account: AccountId,
    /// The server setup with which the record was made.
    pub setup: Arc<ServerSetup>,
    /// The credential identifier that OPAQUE uses for the record.
    pub credential_id: CredentialId,
    /// The OPAQUE registration record.
    pub record: PassphraseRecord,
    /// The person's identity, sealed by the person's client.
    pub sealed_identity: [u8; SEALED_IDENTITY_LENGTH],
}

/// The credential with which a service logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceLogin {
    /// The service's account.
    pub account: AccountId,
    /// The public key for the key agreement.
    pub agreement: AgreementPublic,
}

/// A verified login for which a session is to be opened.
pub struct NewSession {
    /// The account that logged in.
    pub account: AccountId,
    /// How the client authenticated.
    pub proof: Proof,
    /// The credential that was used to verify the pass phrase, from [`PersonLogin`]. The account
    /// must still have it. `None` if the client did not use a pass phrase.
    pub credential: Option<CredentialId>,
    /// The encryption option of the session.
    pub option: EncryptionOption,
    /// The client's address and port.
    pub peer: String,
    /// Closes the connection of the session.
    pub cut: CutHook,
    /// How many sessions the account may have, including this one.
    pub max_sessions: usize,
}

/// The decision on a verified login.
#[derive(Debug)]
pub enum Decision {
    /// A session was opened.
    Opened(SessionInfo),
    /// The account, the credential or the encryption option was disabled or removed during the
    /// login.
    Refused,
    /// The account has the maximum number of sessions.
    TooMany,
}

impl Site {
    /// Returns the credential of the person with this name; `None` if there is no such person, or
    /// the site is sealed. Whether the account is active is checked only after the client has
    /// authenticated.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed or the credential is damaged.
    pub async fn person_for_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<PersonLogin>, StoreError> {
        let name = self.qualified_name(name.clone());
        let found = self.store().passphrase_login(&name).await?;
        let (Some((account, credential)), Some(opened)) = (found, self.unsealed_keys()) else {
            return Ok(None);
        };
        // A record under a retired setup is worthless.
        let (Kind::Person, Some(setup)) = (account.kind, opened.setup_of(credential.setup)) else {
            return Ok(None);
        };
        let damaged = |what: &str| StoreError::Damaged {
            problem: format!("the {what} of {name} cannot be read"),
        };
        Ok(Some(PersonLogin {
            account: account.id,
            setup: Arc::clone(setup),
            credential_id: credential.credential_id,
            record: PassphraseRecord::from_stored(&credential.record)
                .map_err(|_| damaged("pass phrase record"))?,
            sealed_identity: credential
                .sealed_identity
                .try_into()
                .map_err(|_| damaged("sealed identity"))?,
        }))
    }

    /// Returns the delivered key of the person with this name; `None` as in
    /// [`Site::person_for_login`], and if the person has no delivered key.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn delivered_key_for_login(
        &self,
        name: &AccountName,
    ) -> Result<Option<(AccountId, DeliveredKey)>, StoreError> {
        let name = self.qualified_name(name.clone());
        let found = self.store().delivered_login(&name).await?;
        Ok(found
            .filter(|(account, _)| account.kind == Kind::Person && !self.is_sealed())
            .map(|(account, credential)| (account.id, credential.key)))
    }

    /// Returns the credential for the key with this thumbprint; `None` if no active service has the
    /// key, or the site is sealed.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn service_for_login(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<ServiceLogin>, StoreError> {
        let found = self.store().key_login(thumbprint).await?;
        Ok(found
            .filter(|(account, _)| account.kind == Kind::Service && account.is_active())
            .filter(|(account, _)| self.permits_account(Activity::ServiceLogin, account.id))
            .filter(|_| !self.is_sealed())
            .map(|(account, key)| ServiceLogin {
                account: account.id,
                agreement: key.agreement,
            }))
    }

    /// Opens a session for a verified login. Audited as `session.opened`. Close every opened
    /// session with [`Site::close_session`], including sessions that were cut.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed or the session cannot be audited. No session is open
    /// then.
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
        // The session is registered before the account is read again. An admin who locks the
        // account or sets its pass phrase at the same time either finds the session and cuts it, or
        // is noticed here.
        let registered = self
            .sessions()
            .register(info.clone(), new.cut, new.max_sessions);
        if !registered {
            return Ok(Decision::TooMany);
        }
        let may_still = match self.still_has(info.account, new.credential).await {
            Ok(true) => self.may_still(&info, &account, login_of(info.proof)).await,
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

    /// Returns the session with this id if its client may resume it now with this encryption
    /// option.
    #[must_use]
    pub fn may_resume(
        &self,
        id: SessionId,
        option: EncryptionOption,
        now: Timestamp,
    ) -> Option<SessionInfo> {
        let info = self.sessions().find(id)?;
        let permitted = self.permits_account(Activity::Resumption, info.account);
        (permitted && self.offers(option) && now < info.expires).then_some(info)
    }

    /// Moves a session to the connection on which its client resumes it. Returns `None` if the
    /// session has ended, the client has resumed it with a later attempt, or the account, the key
    /// or the option was disabled or removed in the meantime. The previous connection, if it still
    /// exists, is closed as replaced. Audited as `session.resumed`.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed or this cannot be audited. The session has ended then.
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
            Ok(Some(account)) => self.may_still(&info, &account, Activity::Resumption).await,
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        let audited = match admitted {
            // The first check ran before the session was registered under this option, so that a
            // change of the offer in between could not find it.
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
            Err(error) => Err(error),
        };
        if audited.is_err() {
            self.sessions().remove(info.id, info.connection);
        }
        audited.map(|()| Some(info))
    }

    /// Suspends a session whose connection was lost, until its client resumes it, the time of
    /// `limits` ends or it expires, if `limits` permit. `cut` is called if the session is cut
    /// meanwhile. If the account has too many suspended sessions, the one that was suspended first
    /// is closed.
    pub fn suspend_session(
        &self,
        info: &SessionInfo,
        cut: CutHook,
        limits: SuspensionLimits,
    ) -> Suspension {
        self.sessions()
            .suspend(info.id, info.connection, cut, limits)
    }

    /// Returns when the session expires if its client renews the keys now.
    #[must_use]
    pub fn key_expiry(&self, info: &SessionInfo, now: Timestamp) -> Timestamp {
        now.plus_seconds(self.config().key_lifetime).min(info.ends)
    }

    /// Extends a session after its client renewed the keys. Returns `false` if the session has
    /// ended or moved to another connection.
    pub fn renew_session(&self, info: &SessionInfo, expires: Timestamp) -> bool {
        self.sessions().renew(info.id, info.connection, expires)
    }

    /// Records that the session now uses another option from now on, which `info` names. Audited as
    /// `session.switched`. If the option was disabled since the client chose it, the session is cut
    /// here, because the change of the offer could not find it.
    ///
    /// # Errors
    /// [`StoreError`] if this cannot be audited.
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

    /// Returns the suspended sessions that have expired or were suspended for too long, for the caller to close.
    #[must_use]
    pub fn expired_sessions(&self, now: Timestamp) -> Vec<SessionInfo> {
        self.sessions().expired(now)
    }

    /// Returns whether the option is on offer. It may have been disabled during a login.
    fn offers(&self, option: EncryptionOption) -> bool {
        self.options().ranked().contains(&option)
    }

    /// Returns whether the account still has the pass phrase that was verified. The account's
    /// revision does not show this, because setting a pass phrase does not change it.
    async fn still_has(
        &self,
        account: AccountId,
        verified: Option<CredentialId>,
    ) -> Result<bool, StoreError> {
        let Some(verified) = verified else {
            return Ok(true);
        };
        let now = self.store().passphrase(account).await?;
        Ok(now.is_some_and(|now| now.credential_id == verified))
    }

    /// Whether what was proved for a session is still the account's, the account as it was `seen` and active, and
    /// `activity` permitted by the lockdowns.
    pub(super) async fn may_still(
        &self,
        info: &SessionInfo,
        seen: &Account,
        activity: Activity,
    ) -> Result<bool, StoreError> {
        if !self.permits_account(activity, info.account) {
            return Ok(false);
        }
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
                let stored = self.store().delivered_key(info.account).await?;
                let stored = stored.map(|credential| credential.key.certificate().thumbprint());
                match stored == Some(thumbprint) {
                    true => self.store().account(info.account).await?,
                    false => None,
                }
            }
        };
        Ok(account.is_some_and(|account| {
            account.id == info.account && account.is_active() && account.revision == seen.revision
        }))
    }

    /// Removes a session that ended with its connection. Audited as `session.closed`, with the
    /// reason why it was cut if it was. A session that moved to another connection is not removed.
    ///
    /// # Errors
    /// [`StoreError`] if this cannot be audited. The session is closed anyway.
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
                "address": info.peer,
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

/// The activity that opens a session with this proof.
pub(super) const fn login_of(proof: Proof) -> Activity {
    match proof {
        Proof::Passphrase => Activity::PersonLogin,
        Proof::Key(_) => Activity::ServiceLogin,
        Proof::DeliveredKey(_) => Activity::DeliveredKeyLogin,
        Proof::Device(_) => Activity::DeviceConnection,
    }
}
