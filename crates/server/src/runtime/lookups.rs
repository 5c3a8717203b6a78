//! Lookups for login attempts: settings, credentials, and sessions to resume.

use std::sync::{Arc, PoisonError};

use countersign_core::accounts::CredentialId;
use countersign_core::id::SessionId;
use countersign_core::sessions::SessionInfo;
use countersign_core::store::StoreError;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::name::AccountName;
use countersign_proto::session::SessionRefusal as ProtocolRefusal;
use countersign_proto::session::server::{
    AccountTag, Authenticated, DeliveredCredential, FindSession, PersonCredential, ServerSettings,
    ServiceCredential,
};
use countersign_proto::site_identity::KeyEventLog;

use crate::clock;
use crate::runtime::shared::{Shared, log_trouble};

impl Shared {
    /// The settings of login attempts; `None` while the site is sealed. They are cached until the site's
    /// keys, its encryption options or the packet size change.
    pub(crate) fn login_settings(&self) -> Option<Arc<ServerSettings>> {
        let opened = self.site.unsealed_keys()?;
        let options = self.site.options();
        let max_packet = self.limits().max_packet;
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match &*settings {
            Some((of, settings))
                if Arc::ptr_eq(of, &opened)
                    && settings.options == options
                    && settings.max_packet == max_packet =>
            {
                Some(settings.clone())
            }
            _ => {
                let made = Arc::new(ServerSettings {
                    key: opened.key.clone(),
                    key_events: Arc::new(KeyEventLog::new(&opened.events)?),
                    setup: opened.decoy_setup.clone(),
                    decoy: opened.decoy.clone(),
                    zone: self.site.zone(),
                    options,
                    max_packet,
                    static_keys: self.known.clone(),
                });
                *settings = Some((opened, made.clone()));
                Some(made)
            }
        }
    }

    /// The credential of a person for a login attempt, and its id. `None` if there is none.
    pub(crate) async fn person(
        &self,
        name: &AccountName,
    ) -> Result<Option<(PersonCredential, CredentialId)>, StoreError> {
        let found = log_trouble(self.site.person_for_login(name).await)?;
        Ok(found.map(|login| {
            let credential = PersonCredential {
                account: AccountTag(*login.account.as_bytes()),
                setup: login.setup,
                credential_id: login.credential_id.0.to_vec(),
                record: login.record,
                sealed_identity: login.sealed_identity,
            };
            (credential, login.credential_id)
        }))
    }

    /// The delivered key of a person for a login attempt. `None` if there is none.
    pub(crate) async fn delivered(
        &self,
        name: &AccountName,
    ) -> Result<Option<DeliveredCredential>, StoreError> {
        let found = log_trouble(self.site.delivered_key_for_login(name).await)?;
        Ok(found.map(|(account, key)| DeliveredCredential {
            account: AccountTag(*account.as_bytes()),
            key,
        }))
    }

    /// The credential of a service for a login attempt. `None` if there is none.
    pub(crate) async fn service(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<ServiceCredential>, StoreError> {
        let found = log_trouble(self.site.service_for_login(thumbprint).await)?;
        Ok(found.map(|login| ServiceCredential {
            account: AccountTag(*login.account.as_bytes()),
            agreement: login.agreement,
        }))
    }

    /// Verifies a client that resumes its session and writes the reply to `out`. Returns the session's
    /// current state and the number of the attempt.
    ///
    /// # Errors
    /// The client may not resume the session.
    pub(crate) fn resuming(
        &self,
        find: FindSession,
        out: &mut Vec<u8>,
    ) -> Result<(Authenticated, SessionInfo, u64), ProtocolRefusal> {
        let (id, option) = (SessionId::from_bytes(find.session().0), find.option());
        let secret = self.resumptions.secret(id);
        let mut resumes = None;
        let claim = |attempt| {
            let session = self.site.may_resume(id, option, clock::now());
            let session = session.filter(|_| self.resumptions.claim(id, attempt))?;
            let account = AccountTag(*session.account.as_bytes());
            resumes = Some((session, attempt));
            Some(account)
        };
        let authenticated = find.answer(secret.as_ref(), claim, &mut SystemEntropy, out)?;
        let (session, attempt) = resumes.ok_or(ProtocolRefusal::NotAuthenticated)?;
        Ok((authenticated, session, attempt))
    }
}
