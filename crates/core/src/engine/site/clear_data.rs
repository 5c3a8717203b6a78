//! Seals what an earlier version stored in the clear, before the site is unsealed.

use serde_json::json;

use crate::access::Caller;
use crate::applications::AuthData;
use crate::audit::AuditDraft;
use crate::engine::Site;
use crate::peers::SealedText;
use crate::site_key::RootSecret;
use crate::store::{Change, ChangeSet, ClearDatum, ClearOwner, StoreError};
use crate::timestamp::Timestamp;

/// The most texts that are sealed in one transaction, so that other changes do not wait long.
const MAX_SEALED_AT_ONCE: u32 = 256;

impl Site {
    /// Seals everything that the store holds in the clear. After a failure the rest is sealed when
    /// the site is unsealed again.
    pub(super) async fn seal_clear_data(
        &self,
        root: &RootSecret,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        loop {
            let clear = self.store().clear_data(MAX_SEALED_AT_ONCE).await?;
            if clear.is_empty() {
                return Ok(());
            }
            let changes: Vec<_> = clear
                .iter()
                .map(|datum| Change::SealData {
                    number: datum.number,
                    sealed: self.sealed(root, datum),
                })
                .collect();
            let audit = AuditDraft {
                details: json!({ "texts": changes.len() }).to_string(),
                ..AuditDraft::done(&Caller::site(), "site.data_sealed", now)
            };
            self.store().commit(ChangeSet::new(changes, audit)).await?;
        }
    }

    fn sealed(&self, root: &RootSecret, datum: &ClearDatum) -> Vec<u8> {
        let entropy = &mut self.entropy();
        let text = datum.text.expose();
        match &datum.owner {
            ClearOwner::Application(id) => AuthData::seal_text(root, id, text, entropy),
            ClearOwner::Message(id) => SealedText::seal_text(root, *id, text, entropy),
        }
    }
}
