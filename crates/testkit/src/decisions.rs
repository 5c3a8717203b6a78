//! A site's decisions over a store that forgets everything, for operations that nobody trusts.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::account::{Account, Kind};
use countersign_core::application::{Application, ApplicationId};
use countersign_core::audit::{AuditEntry, AuditSearch, ChainHead};
use countersign_core::caller::Caller;
use countersign_core::content::Content;
use countersign_core::credential::{DeliveredKeyCredential, KeyCredential, PassphraseCredential};
use countersign_core::id::AccountId;
use countersign_core::store::{
    ChangeSet, Committed, DamagedAccount, DamagedApplication, Effects, Observer, Page,
    ScriptProgress, Setting, Store, StoreCopy, StoreError,
};
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::passphrase::SetupId;
use countersign_proto::name::AccountName;
use countersign_proto::operation::{Operation, Outcome};
use tokio::runtime::{Builder, Runtime};

use crate::entropy::SeededEntropy;
use crate::harness::TestSite;

/// An open site that takes every change and remembers none, so that what came before never matters.
pub struct Decisions {
    test: TestSite,
    runtime: Runtime,
}

impl Default for Decisions {
    fn default() -> Self {
        Self::new()
    }
}

impl Decisions {
    /// The site `example.org`.
    #[must_use]
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        let entropy = SeededEntropy::new(0).fork("decisions");
        let test = TestSite::builder()
            .store(Arc::new(Forgetful))
            .entropy(entropy);
        let test = runtime.block_on(test.build());
        Self { test, runtime }
    }

    /// The id of the OPAQUE setup that credentials have to be made under.
    #[must_use]
    pub fn setup(&self) -> SetupId {
        self.test.site.opened().unwrap().setup.id()
    }

    /// What the admin socket would answer.
    #[must_use]
    pub fn run(&self, operation: &Operation) -> Outcome {
        let caller = Caller::admin_socket();
        let run = self.test.site.run(&caller, operation, self.test.now());
        self.runtime.block_on(run)
    }
}

struct Forgetful;

#[async_trait]
impl Store for Forgetful {
    async fn account(&self, _: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(None)
    }

    async fn account_by_name(&self, _: &AccountName) -> Result<Option<Account>, StoreError> {
        Ok(None)
    }

    async fn accounts(
        &self,
        _: Kind,
        _: &Page<String>,
    ) -> Result<Vec<Result<Account, DamagedAccount>>, StoreError> {
        Ok(Vec::new())
    }

    async fn damaged_account(
        &self,
        _: Kind,
        _: &str,
    ) -> Result<Option<DamagedAccount>, StoreError> {
        Ok(None)
    }

    async fn passphrase(&self, _: AccountId) -> Result<Option<PassphraseCredential>, StoreError> {
        Ok(None)
    }

    async fn passphrase_login(
        &self,
        _: &AccountName,
    ) -> Result<Option<(Account, PassphraseCredential)>, StoreError> {
        Ok(None)
    }

    async fn delivered_key(
        &self,
        _: AccountId,
    ) -> Result<Option<DeliveredKeyCredential>, StoreError> {
        Ok(None)
    }

    async fn delivered_login(
        &self,
        _: &AccountName,
    ) -> Result<Option<(Account, DeliveredKeyCredential)>, StoreError> {
        Ok(None)
    }

    async fn key_login(
        &self,
        _: &Thumbprint,
    ) -> Result<Option<(Account, KeyCredential)>, StoreError> {
        Ok(None)
    }

    async fn keys_of(&self, _: AccountId) -> Result<Vec<KeyCredential>, StoreError> {
        Ok(Vec::new())
    }

    async fn application(&self, _: &ApplicationId) -> Result<Option<Application>, StoreError> {
        Ok(None)
    }

    async fn applications(
        &self,
        _: &Page<String>,
    ) -> Result<Vec<Result<Application, DamagedApplication>>, StoreError> {
        Ok(Vec::new())
    }

    async fn damaged_application(
        &self,
        _: &ApplicationId,
    ) -> Result<Option<DamagedApplication>, StoreError> {
        Ok(None)
    }

    async fn setting(&self, _: &str) -> Result<Option<Setting>, StoreError> {
        Ok(None)
    }

    async fn script(&self, _: &str) -> Result<Option<ScriptProgress>, StoreError> {
        Ok(None)
    }

    async fn audit(&self, _: &Page<u64>) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(Vec::new())
    }

    async fn audit_search(&self, _: &AuditSearch) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(Vec::new())
    }

    async fn audit_head(&self) -> Result<ChainHead, StoreError> {
        Ok(ChainHead::EMPTY)
    }

    async fn commit(&self, _: ChangeSet) -> Result<Committed, StoreError> {
        Ok(Committed {
            audit_seq: 1,
            effects: Effects::default(),
        })
    }

    fn observe(&self, _: Arc<dyn Observer>) {}

    async fn copy(&self) -> Result<StoreCopy, StoreError> {
        let content = Content::of(Vec::new());
        Ok(StoreCopy { bytes: 0, content })
    }

    async fn flaws(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use countersign_proto::operation::{Code, Operation};

    use super::Decisions;

    #[test]
    fn a_person_may_be_made_again_and_again_and_is_never_found() {
        let decisions = Decisions::new();
        let operation = |command: &str, params: &str| {
            let params = serde_json::from_str(params).unwrap();
            decisions.run(&Operation::new(1, "person", command, params))
        };
        for _ in 0..2 {
            let dump = concat!(
                r#"{"dump":"{\"format\":\"countersign person\",\"version\":1,\"person\":"#,
                r#"{\"name\":\"maria\",\"full_name\":\"\",\"email\":\"\",\"role\":\"member\","#,
                r#"\"state\":\"active\",\"created\":\"2026-01-01T00:00:00Z\"}}"}"#
            );
            let loaded = operation("load", dump);
            assert_eq!(loaded.code, Code::SUCCESS, "{}", loaded.data);
        }
        let shown = operation("show", r#"{"name":"maria"}"#);
        assert_eq!(shown.code, Code::NOT_FOUND);
    }
}
