//! The local admin socket.

use countersign_testkit::harness::ServedSite;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::operations::site;

async fn ask(served: &ServedSite, lines: &str) -> Vec<Value> {
    let mut socket = UnixStream::connect(&served.admin_socket).await.unwrap();
    socket.write_all(lines.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answers = Vec::new();
    let mut reader = BufReader::new(socket).lines();
    while let Some(line) = reader.next_line().await.unwrap() {
        answers.push(serde_json::from_str(&line).unwrap());
    }
    answers
}

#[tokio::test]
async fn each_operation_gets_a_result_line() {
    let served = site().serve().await;
    let lines = concat!(
        r#"{"id":7,"group":"site","command":"status"}"#,
        "\n",
        r#"{"id":8,"group":"person","command":"create","params":{"name":"ada"}}"#,
        "\n",
        "this is not JSON\n",
        r#"{"id":9,"group":"person","command":"show","params":{"name":"ada"}}"#,
        "\n",
    );
    let answers = ask(&served, lines).await;
    let codes: Vec<_> = answers
        .iter()
        .map(|answer| (answer["id"].as_u64(), answer["code"].as_u64()))
        .collect();
    assert_eq!(
        codes,
        [
            (Some(7), Some(0)),
            (Some(8), Some(0)),
            (Some(0), Some(1)),
            (Some(9), Some(0))
        ]
    );
    assert_eq!(answers[0]["data"]["uri"], served.uri.to_string());
    assert_eq!(answers[3]["data"]["name"], "ada@example.org");
}

/// A line may be any JSON encoding: with escapes, white space, and members in any order.
#[tokio::test]
async fn a_line_is_read_in_every_json_encoding() {
    let served = site().serve().await;
    let lines = concat!(
        "\t{ \"command\" : \"\\u0063reate\",\"p\\u0061rams\":{\"name\":\"\\u0061da\", ",
        "\"email\":\"a\\/b@example.org\"} , \"group\":\"person\" ,\"\\u0069d\":8 } \r\n",
    );
    let answers = ask(&served, lines).await;
    assert_eq!(answers[0]["id"], 8);
    assert_eq!(
        answers[0]["data"]["email"], "a/b@example.org",
        "{}",
        answers[0]
    );
}

#[tokio::test]
async fn only_the_owner_may_open_the_socket() {
    let served = site().serve().await;
    let mode = std::fs::metadata(&served.admin_socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let path = served.admin_socket.clone();
    served.server.stop().await;
    assert!(!path.exists(), "a stopped site removes its socket");
}

/// Every user of the socket was `local admin`: root and the site's own user could not be distinguished.
#[tokio::test]
async fn the_audit_log_names_the_user_of_the_admin_socket() {
    let served = site().serve().await;
    let line = r#"{"id":8,"group":"person","command":"create","params":{"name":"ada"}}"#;
    ask(&served, &format!("{line}\n")).await;
    let of_ada = serde_json::json!({ "operation": "person.create" });
    let listed = served.admin("audit.list", of_ada).await;
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(
        listed["entries"][0]["actor"],
        format!("local admin (uid {uid})")
    );
}
