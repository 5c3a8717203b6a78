//! An application's own operations, called with the command line, which does not have them in its table.

use countersign_core::access::Role;
use countersign_core::engine::{Answer, Entry};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::key_file;
use countersign_testkit::harness::TestSite;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::running::Running;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Seats {
    /// Which ones.
    name: Option<String>,
}

/// One operation that takes something away, and one that does not.
fn own() -> Vec<Entry> {
    let entry = |command| {
        Entry::new("seats", command)
            .summary("Works on seats.")
            .allow(&[Role::Service])
    };
    let answer = |_, seats: Seats| async { Ok(Answer::new(seats.name)) };
    vec![
        entry("show").handler(answer),
        entry("free").disruptive().handler(answer),
    ]
}

#[test]
fn an_operation_that_the_program_does_not_know_is_asked_about_as_its_site_tells() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = runtime.block_on(TestSite::builder().operations(own).serve());
    let mut folder = Running::folder();
    let key = key_file::write_identity(&served.robot, None, &mut SystemEntropy);
    folder.write("robot.key", key.expose());
    folder.uri = served.uri.to_string();
    let said = folder.call_as_robot(&["seats", "show"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let said = folder.call_as_robot(&["seats", "free", "name=stalls"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(
        said.err.contains("seats free stalls: Works on seats"),
        "{}",
        said.err
    );
    let said = folder.call_as_robot(&["seats", "free", "name=stalls", "--yes"]);
    assert_eq!(said.code, 0, "{}", said.err);
    runtime.block_on(served.stop());
}
