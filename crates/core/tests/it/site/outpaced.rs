//! Protective operations while another caller changes their object in a loop.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use countersign_core::access::Caller;
use countersign_core::store::MemoryStore;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::PartyKey;
use countersign_proto::operation::{Code, Outcome};
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, TestSite, operation, run};
use serde_json::{Value, json};

/// The changes that an account makes in a burst.
const BURST: u32 = 64;

fn party() -> String {
    let identity = Identity::generate(&mut SystemEntropy);
    PartyKey::new(identity.into()).public().to_pem()
}

/// A site whose operations can be left at each read and each commit, with a person, a service and an application.
async fn site() -> TestSite {
    let store = MemoryStore::new();
    let steps = FaultyStore::new(Arc::new(store.reopened()), Fault::Fails);
    let test = TestSite::builder().memory(store, Arc::new(steps));
    let test = test.build().await;
    test.starts_peer_server().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    test.admin(
        "app.create",
        json!({ "id": "billing", "public_keys": [party()] }),
    )
    .await;
    test
}

/// Runs an operation, with a change of its object before each of its steps, until the burst is over.
async fn outpaced(name: &str, params: &Value, change: (&str, impl Fn(u32) -> Value)) {
    let test = site().await;
    let admin = Caller::admin_socket();
    let called = operation(name, params);
    let mut protecting = pin!(test.site.run(&admin, &called, NOW));
    let mut context = Context::from_waker(Waker::noop());
    let mut changes = 0;
    let outcome = loop {
        match protecting.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => break outcome,
            Poll::Pending if changes < BURST => {
                changes += 1;
                let (change, params) = (change.0, (change.1)(changes));
                let (code, data) = run(&test.site, &admin, change, params).await;
                assert_eq!(code, Code::SUCCESS, "{change}: {data}");
            }
            Poll::Pending => {}
        }
    };
    assert_eq!(outcome.code, Code::SUCCESS, "{name}: {}", outcome.data);
    assert_eq!(changes, BURST, "{name} has a step for each change");
}

/// A stolen token that changed the full name of a person in a loop made the lock, the deletion and the tickets of that
/// person fail: 13 of 13 tickets, and 27 of 27 deletions.
// OPS-18
#[tokio::test]
async fn a_loop_of_changes_does_not_keep_a_person_from_what_protects_it() {
    let rename = |number| json!({ "name": "maria", "full_name": format!("Maria {number}") });
    let (name, person) = (json!({ "name": "maria" }), json!({ "person": "maria" }));
    for (operation, params) in [
        ("person.lock", &name),
        ("person.disable", &name),
        ("person.delete", &name),
        (
            "person.update",
            &json!({ "name": "maria", "role": "admin" }),
        ),
        (
            "person.set_data",
            &json!({ "name": "maria", "emails": ["m@example.org"] }),
        ),
        ("ticket.issue", &person),
        (
            "ticket.issue",
            &json!({ "person": "maria", "kind": "passphrase" }),
        ),
        ("peer.ticket", &person),
    ] {
        outpaced(operation, params, ("person.update", rename)).await;
    }
}

/// The same with the settings of an application.
// OPS-18
#[tokio::test]
async fn a_loop_of_changes_does_not_keep_an_application_from_what_protects_it() {
    let id = json!({ "id": "billing" });
    let change = |number| json!({ "id": "billing", "settings": { "keys_last": 60_000 + number } });
    for (operation, params) in [
        ("app.lock", &id),
        ("app.delete", &id),
        (
            "app.rotate_key",
            &json!({ "id": "billing", "public_key": party() }),
        ),
        (
            "app.update",
            &json!({ "id": "billing", "settings": { "groups": ["finance"] } }),
        ),
    ] {
        outpaced(operation, params, ("app.update", change)).await;
    }
}

/// Runs an operation for maria, who leaves her name to another person before this step. Returns the steps too.
async fn renamed_before(step: usize, name: &str) -> (TestSite, Outcome, usize) {
    let test = site().await;
    test.admin("person.create", json!({ "name": "victim" }))
        .await;
    let admin = Caller::admin_socket();
    let called = operation(name, &json!({ "name": "maria" }));
    let mut steps = 0;
    let outcome = {
        let mut protecting = pin!(test.site.run(&admin, &called, NOW));
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(outcome) = protecting.as_mut().poll(&mut context) {
                break outcome;
            }
            if steps == step {
                for (name, new_name) in [("maria", "gone"), ("victim", "maria")] {
                    let renaming = json!({ "name": name, "new_name": new_name });
                    // Maria may be deleted by now.
                    run(&test.site, &admin, "person.update", renaming).await;
                }
            }
            steps += 1;
        }
    };
    (test, outcome, steps)
}

/// While an account was deleted, it left its name to another one, and the next attempt would have deleted that.
// OPS-18
#[tokio::test]
async fn a_further_attempt_is_for_the_account_of_the_first_alone() {
    for name in ["person.lock", "person.disable", "person.delete"] {
        let (_, _, steps) = renamed_before(usize::MAX, name).await;
        let mut conflicts = 0;
        // The name leads to the victim if it has it from the beginning, and maria is gone at the last step.
        for step in 0..steps {
            let (test, outcome, _) = renamed_before(step, name).await;
            if outcome.code == Code::SUCCESS {
                continue;
            }
            conflicts += 1;
            assert_eq!(outcome.code, Code::CONFLICT, "{name}: {}", outcome.data);
            for person in ["maria", "gone"] {
                let shown = test.admin("person.show", json!({ "name": person })).await;
                assert_eq!(shown["state"], "active", "{name}");
            }
        }
        assert!(conflicts > 0, "{name}, {steps} steps");
    }
}

/// Only what takes something away has no limit: a loop of other changes kept the lock of an account from its commit.
// OPS-18
#[tokio::test]
async fn changes_of_accounts_and_applications_have_a_rate_and_their_lock_has_none() {
    let test = site().await;
    let root = test.person("root", "admin").await;
    let call =
        async |name: &str, params: Value| run(&test.site, &root.caller, name, params).await.0;
    for number in 0..BURST / 2 {
        let (name, params) = match number % 2 {
            0 => (
                "person.update",
                json!({ "name": "maria", "full_name": format!("Maria {number}") }),
            ),
            _ => (
                "app.update",
                json!({ "id": "billing", "settings": { "keys_last": 60_000 + number } }),
            ),
        };
        assert_eq!(call(name, params).await, Code::SUCCESS);
    }
    assert_eq!(
        call("person.lock", json!({ "name": "maria" })).await,
        Code::SUCCESS
    );
    for (name, params) in [
        (
            "person.update",
            json!({ "name": "maria", "full_name": "M" }),
        ),
        (
            "person.set_data",
            json!({ "name": "maria", "emails": ["m@example.org"] }),
        ),
        ("person.unlock", json!({ "name": "maria" })),
        (
            "app.update",
            json!({ "id": "billing", "settings": { "keys_last": 60_000 } }),
        ),
        (
            "app.rotate_key",
            json!({ "id": "billing", "public_key": party() }),
        ),
    ] {
        assert_eq!(call(name, params).await, Code::BUSY, "{name}");
    }
    assert_eq!(
        call("app.lock", json!({ "id": "billing" })).await,
        Code::SUCCESS
    );
    assert_eq!(
        call("person.delete", json!({ "name": "maria" })).await,
        Code::SUCCESS
    );
}
