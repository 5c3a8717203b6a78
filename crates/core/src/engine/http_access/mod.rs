//! Callers over HTTP: which credential permits what, and when it was used last.
//!
//! Grants are cached, so that a request costs one hash and no read of the store. A change of a
//! credential or of its account makes the grant void, also for callers that hold it already. So a
//! credential has one grant: of two that were read at once, the second is dropped, not cached.

mod last_use;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::last_use::Used;
use super::Site;
use crate::access::{Caller, Channel, HttpCredential, HttpGrant};
use crate::access_tokens::{AccessTokenHash, AccessTokenSecret};
use crate::id::AccountId;
use crate::store::{AccessTokenChange, CompletedRequest, StoreError};
use crate::throttle::Source;
use crate::timestamp::Timestamp;
use countersign_crypto::certificate::{Certificate, Thumbprint};
use countersign_crypto::sign::VerifyingKey;

/// The maximum number of cached grants, unless more of them are in use.
const MAX_GRANTS: usize = 4_096;
/// How often a token is read again because an account changed meanwhile.
const MAX_READS: usize = 16;

/// The grants of credentials over HTTP.
#[derive(Default)]
pub(super) struct HttpAccess(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    tokens: HashMap<AccessTokenHash, Arc<HttpGrant>>,
    /// The grants of keys of services, with the key that verifies a signature.
    keys: HashMap<Thumbprint, (Arc<HttpGrant>, VerifyingKey)>,
    /// The grants of devices, by their key.
    devices: HashMap<Thumbprint, Arc<HttpGrant>>,
    /// Counts changes, so that a grant that was read before a change is not cached after it.
    changes: u64,
    /// The last use of each token and device since the last write, with the number of uses.
    used: HashMap<Used, (Timestamp, u64)>,
    /// When last uses were written last.
    written: Option<Timestamp>,
}

impl HttpAccess {
    /// Makes the grants of an account void.
    pub(super) fn account_changed(&self, account: AccountId) {
        self.remove(|grant| grant.account == account);
    }

    /// Makes all grants void.
    pub(super) fn clear(&self) {
        self.remove(|_| true);
    }

    /// Caches a grant. `false` if something changed since it was read, or the key has one already:
    /// read again.
    fn put_key(
        &self,
        key: Thumbprint,
        grant: &(Arc<HttpGrant>, VerifyingKey),
        changes: u64,
    ) -> bool {
        let mut entries = self.entries();
        if entries.changes != changes || entries.keys.contains_key(&key) {
            return false;
        }
        if entries.keys.len() >= MAX_GRANTS {
            let mut unused = entries.keys.iter();
            let unused = unused.find(|(_, (grant, _))| is_unused(grant));
            let unused = unused.map(|(key, _)| *key);
            entries.keys.remove(&unused.unwrap_or(key));
        }
        entries.keys.insert(key, grant.clone());
        true
    }

    /// As [`Self::put_key`].
    fn put_device(&self, key: Thumbprint, grant: &Arc<HttpGrant>, changes: u64) -> bool {
        let mut entries = self.entries();
        if entries.changes != changes || entries.devices.contains_key(&key) {
            return false;
        }
        if entries.devices.len() >= MAX_GRANTS {
            let mut unused = entries.devices.iter();
            let unused = unused.find(|(_, grant)| is_unused(grant));
            let unused = unused.map(|(key, _)| *key);
            entries.devices.remove(&unused.unwrap_or(key));
        }
        entries.devices.insert(key, Arc::clone(grant));
        true
    }

    /// Makes void what a change of access tokens takes away.
    pub(super) fn tokens_changed(&self, change: &AccessTokenChange) {
        match (change, change.account()) {
            // A use takes nothing away.
            (AccessTokenChange::Used(_) | AccessTokenChange::Insert(_), _) => {}
            (_, Some(account)) => self.account_changed(account),
            (_, None) => self.clear(),
        }
    }

    fn remove(&self, is_changed: impl Fn(&HttpGrant) -> bool) {
        let mut entries = self.entries();
        entries.changes += 1;
        let stays = |grant: &HttpGrant| {
            let changed = is_changed(grant);
            if changed {
                grant.make_void();
            }
            !changed
        };
        entries.tokens.retain(|_, grant| stays(grant));
        entries.keys.retain(|_, (grant, _)| stays(grant));
        entries.devices.retain(|_, grant| stays(grant));
    }

    /// As [`Self::put_key`].
    fn put(&self, hash: AccessTokenHash, grant: &Arc<HttpGrant>, changes: u64) -> bool {
        let mut entries = self.entries();
        if entries.changes != changes || entries.tokens.contains_key(&hash) {
            return false;
        }
        if entries.tokens.len() >= MAX_GRANTS {
            // An arbitrary one: clients cannot predict the order of the hash map.
            let mut unused = entries.tokens.iter();
            let unused = unused.find(|(_, grant)| is_unused(grant));
            let unused = unused.map(|(hash, _)| *hash);
            entries.tokens.remove(&unused.unwrap_or(hash));
        }
        entries.tokens.insert(hash, grant.clone());
        true
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // The maps are consistent whenever the lock is free, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    /// Returns the caller whose access token this is; `None` for an unknown, expired or revoked
    /// token, and for a token of an account that is locked or disabled. Answer all of these alike.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn token_caller(
        &self,
        token: &AccessTokenSecret,
        now: Timestamp,
    ) -> Result<Option<Caller>, StoreError> {
        let grant = self.grant(&token.hash()).await?;
        Ok(grant.and_then(|grant| self.token_used(grant, now)))
    }

    /// Like [`Site::token_caller`], for a token whose grant is cached: it costs one hash. `None` says
    /// nothing of the token.
    #[must_use]
    pub fn cached_token_caller(&self, token: &AccessTokenSecret, now: Timestamp) -> Option<Caller> {
        let hash = token.hash();
        let grant = self.http_access().entries().tokens.get(&hash).cloned();
        self.token_used(grant?, now)
    }

    /// The caller with the grant of a token, which is used at `now`.
    fn token_used(&self, grant: Arc<HttpGrant>, now: Timestamp) -> Option<Caller> {
        if !grant.is_valid(now) {
            return None;
        }
        if let HttpCredential::Token(id) = grant.credential {
            self.http_access().use_of(Used::Token(id), now);
        }
        Some(Caller::over_http(grant))
    }

    /// Returns the grant of the key of a service, and the key that verifies its signatures; `None`
    /// for a key that no active service has. The grant is not a caller before a signature was
    /// verified: see [`Site::key_caller`].
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn key_grant(
        &self,
        thumbprint: Thumbprint,
    ) -> Result<Option<(Arc<HttpGrant>, VerifyingKey)>, StoreError> {
        let access = self.http_access();
        for _ in 0..MAX_READS {
            let (cached, changes) = {
                let entries = access.entries();
                (entries.keys.get(&thumbprint).cloned(), entries.changes)
            };
            if cached.is_some() {
                return Ok(cached);
            }
            let found = self.store().key_login(&thumbprint).await?;
            let found = found.filter(|(account, _)| account.is_active());
            let Some((account, key)) = found else {
                return Ok(None);
            };
            let certificate = Certificate::from_der(&key.certificate);
            let certificate = certificate.map_err(|error| StoreError::Damaged {
                problem: format!("the certificate of a key cannot be read: {error}"),
            })?;
            let owner = (account.id, account.name.to_string(), account.role);
            let credential = HttpCredential::Key(thumbprint);
            let grant = Arc::new(HttpGrant::new(credential, owner, None, None));
            let grant = (grant, certificate.signing());
            if access.put_key(thumbprint, &grant, changes) {
                return Ok(Some(grant));
            }
        }
        Err(changing())
    }

    /// Like [`Site::key_grant`], for a key whose grant is cached: it costs no read of the store. `None`
    /// says nothing of the key.
    #[must_use]
    pub fn cached_key_grant(
        &self,
        thumbprint: Thumbprint,
    ) -> Option<(Arc<HttpGrant>, VerifyingKey)> {
        self.http_access().entries().keys.get(&thumbprint).cloned()
    }

    /// Returns the device with this key as a caller over HTTP, after its handshake has shown that it
    /// has the key; `None` for a key that no device of an active account has. The use of the key of a
    /// device that was revoked, from `source`, raises an alarm.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn device_caller(
        &self,
        key: Thumbprint,
        source: Option<Source>,
    ) -> Result<Option<Caller>, StoreError> {
        let access = self.http_access();
        for _ in 0..MAX_READS {
            let (cached, changes) = {
                let entries = access.entries();
                (entries.devices.get(&key).cloned(), entries.changes)
            };
            if let Some(grant) = cached {
                return Ok(Some(Caller::over_http(grant)));
            }
            let found = self.store().device_login(&key).await?;
            let found = found.filter(|(account, _)| account.is_active());
            let Some((account, device)) = found else {
                if let Some(source) = source {
                    self.report_revoked(&key, source).await?;
                }
                return Ok(None);
            };
            let owner = (account.id, account.name.to_string(), account.role);
            let credential = HttpCredential::Device(device.id);
            let grant = Arc::new(HttpGrant::new(credential, owner, None, None));
            if access.put_device(key, &grant, changes) {
                return Ok(Some(Caller::over_http(grant)));
            }
        }
        Err(changing())
    }

    /// Like [`Site::device_caller`], for a device whose grant is cached: it costs no read of the
    /// store. `None` says nothing of the key.
    #[must_use]
    pub fn cached_device_caller(&self, key: Thumbprint) -> Option<Caller> {
        let grant = self.http_access().entries().devices.get(&key).cloned();
        grant.map(Caller::over_http)
    }

    /// Returns the caller that signed a request with the key of this grant.
    #[must_use]
    pub fn key_caller(grant: Arc<HttpGrant>) -> Caller {
        Caller::over_http(grant)
    }

    /// The grant of the token with this hash. What was read before a change is not used after it.
    async fn grant(&self, hash: &AccessTokenHash) -> Result<Option<Arc<HttpGrant>>, StoreError> {
        let access = self.http_access();
        for _ in 0..MAX_READS {
            let (cached, changes) = {
                let entries = access.entries();
                (entries.tokens.get(hash).cloned(), entries.changes)
            };
            if let Some(grant) = cached {
                return Ok(Some(grant));
            }
            let Some(grant) = self.token_grant(hash).await? else {
                return Ok(None);
            };
            let grant = Arc::new(grant);
            if access.put(*hash, &grant, changes) {
                return Ok(Some(grant));
            }
        }
        Err(changing())
    }

    async fn token_grant(&self, hash: &AccessTokenHash) -> Result<Option<HttpGrant>, StoreError> {
        let found = self.store().access_token_login(hash).await?;
        let found = found.filter(|(account, _)| account.is_active());
        Ok(found.map(|(account, token)| {
            HttpGrant::new(
                HttpCredential::Token(token.id),
                (account.id, account.name.to_string(), account.role),
                Some(token.operations),
                Some(token.expires),
            )
        }))
    }

    /// The current grant of a credential; `None` if it permits nothing any more.
    pub(super) async fn grant_of(
        &self,
        credential: HttpCredential,
    ) -> Result<Option<Arc<HttpGrant>>, StoreError> {
        match credential {
            HttpCredential::Token(id) => match self.store().access_token(id).await? {
                Some(token) => self.grant(&token.token_hash).await,
                None => Ok(None),
            },
            HttpCredential::Key(key) => {
                let found = self.key_grant(key).await?;
                Ok(found.map(|(grant, _)| grant))
            }
            HttpCredential::Device(id) => match self.store().device(id).await? {
                Some(device) => {
                    let caller = self.device_caller(device.thumbprint, None).await?;
                    Ok(caller.and_then(|caller| caller.grant))
                }
                None => Ok(None),
            },
        }
    }

    /// Returns a number that rises when a credential over HTTP, or an account, is changed or deleted.
    #[must_use]
    pub fn http_access_changes(&self) -> u64 {
        self.http_access().entries().changes
    }

    /// Returns whether the account exists.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn has_account(&self, account: AccountId) -> Result<bool, StoreError> {
        Ok(self.store().account(account).await?.is_some())
    }

    pub(super) fn http_access(&self) -> &HttpAccess {
        &self.0.http_access
    }

    /// Returns the completed request of an account with this idempotency key.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn completed_request(
        &self,
        account: AccountId,
        key: &[u8; 32],
    ) -> Result<Option<CompletedRequest>, StoreError> {
        self.store().completed_request(account, key).await
    }
}

/// Whether no caller and no event stream holds the grant. One that is in use stays in the cache, so
/// that a change makes it void. It is called under the lock under which callers get it.
fn is_unused(grant: &Arc<HttpGrant>) -> bool {
    Arc::strong_count(grant) == 1
}

fn changing() -> StoreError {
    StoreError::Unavailable {
        problem: "accounts changed each time the credential was read; repeat the request"
            .to_owned(),
    }
}

impl Caller {
    /// Returns the caller that a grant over HTTP stands for.
    pub(super) fn over_http(grant: Arc<HttpGrant>) -> Self {
        Self {
            account: Some(grant.account),
            name: grant.name.clone(),
            role: grant.role,
            channel: Channel::Http,
            session: None,
            peer: None,
            grant: Some(grant),
        }
    }
}
