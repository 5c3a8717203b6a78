//! The examples of refusals in the description.

use countersign_core::access::Role;
use countersign_core::engine::rest::RestMethod;
use countersign_core::engine::{Answer, Entry};
use countersign_server::limits::Limits;
use countersign_testkit::harness::{PASSPHRASE, ServedSite, TestSite};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::client::{Program, Reply};

const PERSON: &str = r#"{"name":"nora"}"#;

/// An operation that runs until its client is gone, and one that fails.
fn entries(started: &mpsc::UnboundedSender<()>) -> Vec<Entry> {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let entry = |command, path| {
        let entry = Entry::new("test", command).summary("Is part of a test.");
        entry.allow(&Role::ALL).rest(RestMethod::Post, path)
    };
    let started = started.clone();
    vec![
        entry("wait", "/wait").handler(move |_, _: Nothing| {
            let _ = started.send(());
            async { std::future::pending::<Result<Answer<()>, _>>().await }
        }),
        entry("fail", "/fail").handler(|_, _: Nothing| async {
            let number: u8 = "none".parse().unwrap();
            Ok(Answer::new(number))
        }),
    ]
}

/// The refusals that the requests of the examples get, by the names of their responses.
async fn refusals(
    served: &ServedSite,
    running: &mut mpsc::UnboundedReceiver<()>,
) -> Vec<(&'static str, Reply)> {
    let operator = served.log_in("operator", PASSPHRASE).await.unwrap();
    let names = [
        "person.create",
        "person.list",
        "person.show",
        "person.update",
    ];
    let admin = Program::maria(served, &operator, &names.map(str::to_owned)).await;
    let robot = Program::robot(served, &["self.show", "test.wait", "test.fail"]).await;
    let other = Program::robot(served, &["test.wait"]).await;
    let create = async |fields: &[(&str, &str)], body: &str| {
        admin.call_with("POST", "/persons", fields, body).await
    };
    let mut found = vec![
        (
            "BadRequest",
            admin.call("GET", "/persons?limit=0", "").await,
        ),
        ("Forbidden", robot.call("POST", "/persons", PERSON).await),
        (
            "NotFound",
            admin.call("GET", "/persons/nora@example.org", "").await,
        ),
        ("Internal", robot.call("POST", "/fail", "").await),
    ];
    let many = [("x-many", "1"); 65];
    found.push((
        "HeadTooLarge",
        robot.call_with("GET", "/self", &many, "").await,
    ));
    // No byte of the body is sent.
    let long = [
        ("content-type", "application/json"),
        ("content-length", "1048577"),
    ];
    found.push(("PayloadTooLarge", create(&long, "").await));
    let untyped = create(&[("content-length", "2")], "").await;
    found.push(("UnsupportedMediaType", untyped));
    let maria = r#"{"name":"maria"}"#;
    found.push(("Conflict", create(&[], maria).await));
    let once = [("idempotency-key", "once")];
    assert_eq!(create(&once, PERSON).await.status, 201);
    found.push(("KeyReused", create(&once, r#"{"name":"nils"}"#).await));
    let shown = admin.call("GET", "/persons/maria@example.org", "").await;
    let tag = shown.field("etag");
    let change = async |full_name: &str| {
        let (fields, body) = (
            [("if-match", tag.as_str())],
            json!({ "full_name": full_name }),
        );
        let path = "/persons/maria@example.org";
        admin
            .call_with("PATCH", path, &fields, &body.to_string())
            .await
    };
    assert_eq!(change("Maria").await.status, 200);
    found.push(("PreconditionFailed", change("M.").await));
    let mut waiting = Vec::new();
    for program in [&robot, &other] {
        let address = served.server.http_address().unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = program.request("POST", "/wait", &[], "");
        socket.write_all(request.as_bytes()).await.unwrap();
        running.recv().await.unwrap();
        waiting.push(socket);
    }
    let third = Program::robot(served, &["self.show"]).await;
    found.push(("TooManyRequests", third.call("GET", "/self", "").await));
    let listed = served.admin("token.list", json!({})).await;
    let newest = listed["entries"].as_array().unwrap().last().unwrap();
    served
        .admin("token.revoke", json!({ "id": newest["id"] }))
        .await;
    found.push(("Unauthorized", third.call("GET", "/self", "").await));
    served.admin("site.seal", json!({})).await;
    found.push(("Unavailable", admin.call("GET", "/persons", "").await));
    found
}

/// The examples were invented: the site said something else.
#[tokio::test]
async fn the_examples_of_refusals_are_what_the_site_says() {
    let (started, mut running) = mpsc::unbounded_channel();
    let limits = Limits {
        operations_in_flight: 2,
        ..Limits::default()
    };
    let site = TestSite::builder().operations(move || entries(&started));
    let site = site.person("operator", "admin").person("maria", "member");
    let served = site.limits(limits).serve().await;
    let anonymous = Program {
        served: &served,
        token: String::new(),
    };
    let described = anonymous.call("GET", "/openapi.json", "").await.json();
    let responses = described["components"]["responses"].as_object().unwrap();
    let (mut compared, mut differences) = (vec!["RequestTimeout"], Vec::new());
    for (name, reply) in refusals(&served, &mut running).await {
        let mut example = responses[name]["content"]["application/problem+json"]["example"].clone();
        let mut problem = reply.json();
        for problem in [&mut example, &mut problem] {
            problem["request_id"] = Value::Null;
        }
        if name == "PreconditionFailed" {
            // It names the tag of this site.
            problem["detail"] = example["detail"].clone();
        }
        if problem != example {
            differences.push(format!("{name}: {problem}, not {example}"));
        }
        compared.push(name);
        let fields = responses[name]["headers"].as_object().unwrap();
        for field in fields.keys().filter(|_| name != "Conflict") {
            if reply.field(field).is_empty() {
                differences.push(format!("{name} has no {field}"));
            }
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    let mut all: Vec<&str> = responses.keys().map(String::as_str).collect();
    all.sort_unstable();
    compared.sort_unstable();
    assert_eq!(compared, all);
}
