//! Operations of an embedding application, which are not in the table of the command line.

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
    /// The seats.
    name: Option<String>,
}

/// A disruptive operation and one that is not.
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
fn an_unknown_operation_is_asked_about_if_the_site_lists_it_as_disruptive() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = runtime.block_on(TestSite::builder().operations(own).serve());
    let mut folder = Running::folder();
    let key = key_file::write_identity(&served.robot, None, &mut SystemEntropy);
    folder.write("robot.key", key.expose());
    folder.uri = served.uri.to_string();
    let output = folder.call_as_robot(&["seats", "show"]);
    assert_eq!(output.code, 0, "{}", output.err);
    let output = folder.call_as_robot(&["seats", "free", "name=stalls"]);
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(
        output.err.contains("seats free stalls: Works on seats"),
        "{}",
        output.err
    );
    let output = folder.call_as_robot(&["seats", "free", "name=stalls", "--yes"]);
    assert_eq!(output.code, 0, "{}", output.err);
    runtime.block_on(served.stop());
}
