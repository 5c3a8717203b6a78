//! The store in memory under the contract of stores.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::store::{MemoryStore, Store};
use countersign_testkit::contract::StoreUnderTest;

struct Memory(MemoryStore);

#[async_trait]
impl StoreUnderTest for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.reopened())
    }

    async fn alter_audit(&self, seq: u64) {
        self.0.forge_audit(|entries| {
            let altered = entries.iter_mut().find(|entry| entry.seq == seq);
            altered.unwrap().draft.target = Some("other".to_owned());
        });
    }

    async fn remove_audit(&self, seq: u64) {
        self.0
            .forge_audit(|entries| entries.retain(|entry| entry.seq != seq));
    }
}

countersign_testkit::keeps_the_contract!(Memory(MemoryStore::new()));
