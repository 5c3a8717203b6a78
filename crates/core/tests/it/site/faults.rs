//! Commits that fail, or whose result is lost. Afterwards the store contains the state before or
//! after the commit, and memory agrees with it.

use countersign_core::access::Caller;
use countersign_core::sessions::CloseReason;
use countersign_proto::operation::Code;
use countersign_proto::session::EncryptionOption;
use countersign_testkit::faulty::Fault;
use countersign_testkit::harness::{party, run};
use serde_json::{Value, json};

use super::consequences::Scene;

/// Returns a sequence of operations, each of which changes something.
fn script(scene: &Scene) -> Vec<(&'static str, Value)> {
    let option = EncryptionOption::HybridChaCha20Poly1305.name();
    let slot = json!({ "slot_file": scene.test.slot.to_text().expose() });
    let new_key = json!({ "secrets": [slot], "slots": [slot] });
    vec![
        ("site.config", json!({ "session_lifetime": 60 })),
        ("app.lock", json!({ "id": "ledger" })),
        ("app.unlock", json!({ "id": "ledger" })),
        ("app.delete", json!({ "id": "ledger" })),
        (
            "app.create",
            json!({ "id": "billing", "public_keys": [party().public().to_pem()] }),
        ),
        ("option.disable", json!({ "name": option, "cut": true })),
        ("site.key_recovery", json!({})),
        ("site.key_new", new_key),
        ("person.create", json!({ "name": "bob" })),
        ("person.update", json!({ "name": "bob", "new_name": "rob" })),
        ("person.lock", json!({ "name": "maria" })),
        ("person.delete", json!({ "name": "maria" })),
        (
            "key.revoke",
            json!({ "name": "robot", "thumbprint": scene.thumbprint }),
        ),
        ("service.delete", json!({ "name": "robot" })),
    ]
}

/// Returns the state of memory before the sequence and after each of its operations.
async fn without_a_fault() -> Vec<Value> {
    let scene = Scene::new().await;
    let mut states = vec![scene.memory().await];
    for (name, params) in script(&scene) {
        scene.test.admin(name, params).await;
        states.push(scene.memory().await);
    }
    states
}

#[tokio::test]
async fn memory_agrees_with_the_store_after_the_nth_commit_failed_or_lost_its_result() {
    let states = without_a_fault().await;
    assert_eq!(
        states[states.len() - 1]["maria"],
        json!(CloseReason::AccountLocked)
    );
    for fault in Fault::REPORTED {
        let mut met = 0;
        for before in 0.. {
            let (scene, store) = Scene::faulty(fault).await;
            store.break_after(before, 1);
            for (at, (name, params)) in script(&scene).into_iter().enumerate() {
                let local = Caller::admin_socket();
                let (code, _) = run(&scene.test.site, &local, name, params).await;
                if code == Code::SUCCESS {
                    continue;
                }
                met += 1;
                let what = format!("{fault:?} after {before} commits, at {name}");
                let memory = scene.memory().await;
                assert!(scene.agrees(&memory).await, "{what}: {memory}");
                let expected = match fault {
                    Fault::AnswerLost => at + 1,
                    _ => at,
                };
                assert_eq!(memory, states[expected], "{what}");
                // The site continues to work.
                let person = json!({ "name": "behind" });
                scene.test.admin("person.create", person).await;
                break;
            }
            if store.is_pending() {
                break;
            }
        }
        assert_eq!(met, states.len() - 1, "{fault:?} at every operation");
    }
}
