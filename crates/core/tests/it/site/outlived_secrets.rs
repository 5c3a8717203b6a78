//! Pass phrases and delivered keys that are being stored while an admin sets a new pass phrase.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use countersign_core::access::Caller;
use countersign_core::store::MemoryStore;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_proto::operation::Code;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, TestSite, run};
use serde_json::{Value, json};

use crate::site::accounts::passphrase::{prepared, register};
use crate::site::accounts::proof::{PHRASE, make_proof, person};

const SET: &str = "person.passphrase_finish";

/// Stores a secret of maria in her own session, in which the old pass phrase was proved. An admin sets another pass
/// phrase at each step of that, which must be the last secret.
async fn race(operation: &str, params: impl AsyncFn(&TestSite, &Caller) -> Value) {
    let mut context = Context::from_waker(Waker::noop());
    let mut refused = 0;
    for polls in 1.. {
        let store = MemoryStore::new();
        let steps = FaultyStore::new(Arc::new(store.reopened()), Fault::Fails);
        let test = TestSite::builder().memory(store, Arc::new(steps));
        let test = test.build().await;
        let maria = person(&test, "maria", "member").await;
        make_proof(&test.site, &maria, PHRASE, NOW).await;
        let params = params(&test, &maria.caller).await;
        let mut giving = pin!(run(&test.site, &maria.caller, operation, params));
        if (0..polls).any(|_| giving.as_mut().poll(&mut context).is_ready()) {
            assert!(refused > 2, "{operation} has steps before it is written");
            return;
        }
        let admin = Caller::admin_socket();
        register(&test.site, &admin, "person", Some("maria"), "another").await;
        let (code, _) = giving.await;
        let audited = test.audited().await;
        let done = |line: &&String| {
            let mut names = [operation, SET].into_iter();
            names.any(|name| **line == format!("{name} maria@example.org done"))
        };
        let last = audited.iter().rfind(done).unwrap();
        assert!(last.starts_with(SET), "after {polls} steps: {last}");
        refused += usize::from(code != Code::SUCCESS);
    }
}

/// A thief who knew the old pass phrase stored a key under it at the moment of the new pass phrase. The key stayed, as
/// the secret of a login of its own.
// DEV-70
#[tokio::test]
async fn a_delivered_key_is_not_written_after_a_new_pass_phrase() {
    race("self.deliver_key", async |_, _| {
        let identity = Identity::generate(&mut SystemEntropy);
        let passphrase = PHRASE.to_owned().into();
        let key = DeliveredKey::new(&identity, &passphrase, &mut SystemEntropy);
        json!({ "certificate": key.certificate().to_pem(), "key": key.encrypted_key_pem() })
    })
    .await;
}

/// The same with a pass phrase of the thief, which replaced that of the admin.
// DEV-70
#[tokio::test]
async fn a_pass_phrase_is_not_written_after_another_one() {
    race("self.passphrase_finish", async |test, caller| {
        let prepared = prepared(&test.site, caller, "self", None, "of a thief");
        prepared.await.unwrap()
    })
    .await;
}
