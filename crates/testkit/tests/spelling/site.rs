//! Operations at a site, and the dump of a person.

use countersign_core::access::Caller;
use countersign_proto::operation::{Code, Operation};
use countersign_testkit::harness::TestSite;
use serde_json::{Value, json};

use super::speller::Speller;

/// Runs an operation from a line of JSON in a random spelling.
async fn run(test: &TestSite, by: &mut Speller, command: &str, params: &Value) -> Value {
    let line = json!({ "id": 1, "group": "person", "command": command, "params": params });
    let operation: Operation = serde_json::from_str(&by.value(&line)).unwrap();
    let caller = Caller::admin_socket();
    let outcome = test.site.run(&caller, &operation, test.now()).await;
    assert_eq!(outcome.code, Code::SUCCESS, "{}", outcome.data);
    serde_json::from_str(outcome.data.get()).unwrap()
}

#[tokio::test]
async fn operations_and_dumps_are_the_same_in_every_spelling() {
    let test = TestSite::new().await;
    for seed in 0..24 {
        let by = &mut Speller::new(seed);
        let name = json!({ "name": "maria" });
        let person = json!({
            "name": "maria", "full_name": "Mária \u{1f40e} / \"Lind\" \\", "email": "maria/x@example.org",
        });
        let created = run(&test, by, "create", &person).await;
        assert_eq!(created["full_name"], person["full_name"]);
        let dump = run(&test, by, "dump", &name).await;
        run(&test, by, "delete", &name).await;
        let loaded = json!({ "dump": by.value(&dump) });
        run(&test, by, "load", &loaded).await;
        assert_eq!(run(&test, by, "dump", &name).await, dump);
        run(&test, by, "delete", &name).await;
    }
}
