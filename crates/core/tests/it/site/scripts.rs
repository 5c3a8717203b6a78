//! Initialisation scripts.

use countersign_core::engine::{ScriptError, ScriptOutcome};
use countersign_testkit::harness::{NOW, TestSite};
use serde_json::json;

const PEOPLE: &str = r#"
# The first people of the site.
{"id":1,"group":"person","command":"create","params":{"name":"maria","role":"admin"}}
{"id":2,"group":"person","command":"list"}
{"id":3,"group":"person","command":"create","params":{"name":"bob"}}
"#;

async fn apply(test: &TestSite, text: &str) -> Result<ScriptOutcome, ScriptError> {
    test.site.apply_script("10-people.jsonl", text, NOW).await
}

#[tokio::test]
async fn a_script_is_applied_once() {
    let test = TestSite::new().await;
    let outcome = apply(&test, PEOPLE).await.unwrap();
    assert_eq!(outcome, ScriptOutcome::Applied { operations: 3 });
    test.admin("person.show", json!({ "name": "bob" })).await;
    let again = apply(&test, PEOPLE).await.unwrap();
    assert_eq!(again, ScriptOutcome::AppliedBefore { at: NOW });
    let entry = &test.audit().await[1];
    assert_eq!(entry["actor"], "init script 10-people.jsonl");
    assert_eq!(entry["channel"], "init");
}

#[tokio::test]
async fn a_changed_script_is_reported_and_does_not_run_again() {
    let test = TestSite::new().await;
    apply(&test, PEOPLE).await.unwrap();
    let more = format!(
        "{PEOPLE}{}",
        r#"{"id":4,"group":"person","command":"create","params":{"name":"eve"}}"#
    );
    let outcome = apply(&test, &more).await.unwrap();
    assert_eq!(outcome, ScriptOutcome::ChangedSince { at: NOW });
    test.refused("person.show", json!({ "name": "eve" })).await;
}

#[tokio::test]
async fn a_failing_line_is_reported_and_the_corrected_script_continues_there() {
    let test = TestSite::new().await;
    let broken = PEOPLE.replace("\"bob\"", "\"b o b\"");
    let Err(ScriptError::Line { line, problem }) = apply(&test, &broken).await else {
        panic!("the line is not a valid operation");
    };
    assert_eq!(line, 5);
    assert!(problem.contains("name"), "{problem}");
    test.admin("person.show", json!({ "name": "maria" })).await;

    // The first two lines do not run again; maria already exists.
    let outcome = apply(&test, PEOPLE).await.unwrap();
    assert_eq!(outcome, ScriptOutcome::Applied { operations: 1 });
    test.admin("person.show", json!({ "name": "bob" })).await;
}

#[tokio::test]
async fn a_script_whose_applied_lines_changed_is_refused() {
    let test = TestSite::new().await;
    let broken = PEOPLE.replace("\"bob\"", "\"b o b\"");
    apply(&test, &broken).await.unwrap_err();
    let other = PEOPLE.replace("\"maria\"", "\"marie\"");
    let refused = apply(&test, &other).await;
    assert!(matches!(
        refused,
        Err(ScriptError::AppliedLinesChanged { lines: 2 })
    ));
}

#[tokio::test]
async fn a_line_that_is_not_json_is_reported_with_its_number() {
    let test = TestSite::new().await;
    let refused = apply(&test, "\n\nperson create maria\n").await;
    assert!(matches!(refused, Err(ScriptError::Line { line: 3, .. })));
}
