//! A setting of a site's database from any bytes, the one that the first byte selects. The site opens, or says
//! that its database is damaged; and it is unsealed, or is not.

use std::cell::RefCell;
use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::audit::AuditDraft;
use countersign_core::engine::{Site, Table};
use countersign_core::store::{Change, ChangeSet, MemoryStore, Setting, Settings, Store};
use countersign_crypto::site_key_slots::{NewSlot, SlotFile, SlotSecret};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::new_site::{NOW, new_site, parts};
use tokio::runtime::{Builder, Runtime};

const NAMES: [&str; 7] = [
    "site_key",
    "config",
    "server_setups",
    "broker_keys",
    "encryption_options",
    "runtime_settings",
    "lockdowns",
];

struct Stored {
    runtime: Runtime,
    store: MemoryStore,
    slot: SlotFile,
}

thread_local! {
    static STORED: RefCell<Stored> = RefCell::new(Stored::new());
}

pub(super) fn run(input: &[u8]) {
    let Some((first, value)) = input.split_first() else {
        return;
    };
    let name = NAMES[usize::from(*first) % NAMES.len()];
    STORED.with_borrow(|stored| stored.runtime.block_on(stored.open_with(name, value)));
}

impl Stored {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut entropy = SeededEntropy::new(0).fork("stored settings");
        let slot = SlotFile::generate(&mut entropy);
        let store = MemoryStore::new();
        let site = parts(Arc::new(store.reopened()), Table::new(), Box::new(entropy));
        let slots = [NewSlot::File(&slot)];
        let created = Site::create(site, new_site(&slots), NOW);
        runtime.block_on(created).unwrap();
        Self {
            runtime,
            store,
            slot,
        }
    }

    /// Opens the site with another value of a setting, and takes the value back.
    async fn open_with(&self, name: &'static str, value: &[u8]) {
        let was = self.store.setting(name).await.unwrap();
        let revision = was.as_ref().map_or(0, |was| was.revision);
        self.put(name, value.to_vec(), revision + 1).await;
        let opened = Site::open(parts(
            Arc::new(self.store.reopened()),
            Table::new(),
            Box::new(SeededEntropy::new(1)),
        ));
        if let Ok(site) = opened.await {
            let secret = SlotSecret::File(&self.slot);
            let _ = site.unseal(&Caller::site(), secret, NOW).await;
        }
        match was {
            Some(was) => {
                let stored = self.store.setting(name).await.unwrap().unwrap();
                self.put(name, was.value, stored.revision + 1).await;
            }
            None => self.store.remove_setting(name),
        }
        // What is written meanwhile would otherwise grow for ever.
        self.store.forge_audit(Vec::clear);
        self.store.forge_signatures(Vec::clear);
    }

    async fn put(&self, name: &'static str, value: Vec<u8>, revision: u64) {
        let setting = Setting { value, revision };
        let audit = AuditDraft::done(&Caller::site(), "site.setting", NOW);
        let set = ChangeSet::new(vec![Change::PutSetting { name, setting }], audit);
        self.store.commit(set).await.unwrap();
    }
}
