//! A site over a store that writes nothing, to run operations from untrusted input.

use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::engine::Site;
use countersign_core::operations;
use countersign_core::store::MemoryStore;
use countersign_crypto::passphrase::SetupId;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile};
use countersign_proto::operation::{Operation, Outcome};
use tokio::runtime::{Builder, Runtime};

use crate::entropy::SeededEntropy;
use crate::faulty::{Fault, FaultyStore};
use crate::new_site::{NOW, new_site, parts};

/// An unsealed site that accepts every change and stores none, so that runs do not depend on
/// earlier ones.
pub struct Decisions {
    site: Site,
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
        let mut entropy = SeededEntropy::new(0).fork("decisions");
        let slot = SlotFile::generate(&mut entropy);
        let memory = Arc::new(MemoryStore::new());
        let store = Arc::new(FaultyStore::always(memory, Fault::NotWritten));
        let parts = parts(store, operations::table().unwrap(), Box::new(entropy));
        let slots = [NewSlot::File(&slot)];
        let created = Site::create(parts, new_site(&slots), NOW);
        let site = runtime.block_on(created).unwrap();
        Self { site, runtime }
    }

    /// The id of the site's OPAQUE setup. New pass-phrase credentials have to use it.
    #[must_use]
    pub fn setup(&self) -> SetupId {
        self.site.unsealed_keys().unwrap().setup.id()
    }

    /// Runs the operation as the admin socket does and returns its outcome.
    #[must_use]
    pub fn run(&self, operation: &Operation) -> Outcome {
        let caller = Caller::admin_socket();
        let run = self.site.run(&caller, operation, NOW);
        self.runtime.block_on(run)
    }
}

#[cfg(test)]
mod tests {
    use countersign_proto::operation::{Code, Operation};

    use super::Decisions;

    #[test]
    fn a_person_can_be_created_repeatedly_and_is_never_found() {
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
