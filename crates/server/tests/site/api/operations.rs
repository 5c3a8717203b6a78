//! Operations over HTTP.

use std::sync::{Arc, Mutex};

use countersign_core::access::Role;
use countersign_core::content::{Content, ContentBroken};
use countersign_core::engine::rest::RestMethod;
use countersign_core::engine::{Answer, Entry};
use countersign_testkit::harness::{ServedSite, TestSite};
use futures_util::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::client::{Program, Reply};

/// The operations that an admin can call over HTTP.
fn names(served: &ServedSite) -> Vec<String> {
    let offered = served.site.table().entries().filter(|entry| {
        let access = entry.access();
        let roles = [access.roles(), access.own_roles()];
        entry.rest().route().is_some() && roles.iter().any(|roles| roles.contains(&Role::Admin))
    });
    offered.map(|entry| entry.name().to_owned()).collect()
}

/// A program of the admin `maria` whose token names the operations of these groups.
async fn admin<'a>(served: &'a ServedSite, groups: &[&str]) -> Program<'a> {
    let names = names(served).into_iter();
    let named = names.filter(|name| groups.iter().any(|group| name.starts_with(group)));
    let named: Vec<String> = named.collect();
    Program::maria(served, &served.maria().await, &named).await
}

#[tokio::test]
async fn a_person_is_created_read_changed_and_deleted() {
    let served = TestSite::builder().maria().serve().await;
    let admin = admin(&served, &["person."]).await;
    let created = admin
        .call("POST", "/persons", r#"{"name":"bob","full_name":"Bob"}"#)
        .await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.field("location"), "/api/v1/persons/bob@example.org");
    assert_eq!(created.field("cache-control"), "no-store");
    let shown = admin.call("GET", "/persons/bob@example.org", "").await;
    assert_eq!(
        (shown.status, &shown.json()["full_name"]),
        (200, &json!("Bob"))
    );
    let same = served.admin("person.show", json!({ "name": "bob" })).await;
    assert_eq!(shown.json(), same);
    let head = admin.call("HEAD", "/persons/bob", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.field("content-length"), shown.body.len().to_string());
    let changed = admin
        .call("PATCH", "/persons/bob", r#"{"full_name":"Robert"}"#)
        .await;
    assert_eq!(
        (changed.status, &changed.json()["full_name"]),
        (200, &json!("Robert"))
    );
    assert_eq!(
        admin.call("POST", "/persons/bob/lock", "").await.status,
        200
    );
    let listed = admin.call("GET", "/persons?limit=1", "").await.json();
    assert_eq!(listed["entries"][0]["state"], "locked");
    let after = format!("/persons?after={}", listed["next"].as_str().unwrap());
    let further = admin.call("GET", &after, "").await.json();
    assert_eq!(further["entries"][0]["name"], "maria@example.org");
    assert_eq!(admin.call("DELETE", "/persons/bob", "").await.status, 200);
    let gone = admin.call("GET", "/persons/bob", "").await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "not_found"));
    assert_eq!(gone.json()["field"], "name");
}

#[tokio::test]
async fn a_refusal_has_the_status_and_code_of_its_kind() {
    let served = TestSite::builder().maria().serve().await;
    let admin = admin(&served, &["person."]).await;
    let cases = [
        (
            "POST",
            "/persons",
            r#"{"name":"maria"}"#,
            409,
            "conflict",
            "name",
        ),
        (
            "POST",
            "/persons",
            r#"{"name":"no spaces"}"#,
            400,
            "invalid_params",
            "name",
        ),
        (
            "POST",
            "/persons",
            r#"{"nmae":"x"}"#,
            400,
            "invalid_params",
            "nmae",
        ),
        ("POST", "/persons", "{}", 400, "invalid_params", "name"),
        ("POST", "/persons", "[]", 400, "invalid_params", ""),
        ("POST", "/persons", "{", 400, "invalid_params", ""),
        (
            "GET",
            "/persons?limit=ten",
            "",
            400,
            "invalid_params",
            "limit",
        ),
        (
            "GET",
            "/persons?limit=10&limit=11",
            "",
            400,
            "invalid_params",
            "limit",
        ),
        (
            "GET",
            "/persons?unknown=1",
            "",
            400,
            "invalid_params",
            "unknown",
        ),
        ("GET", "/persons/unknown", "", 404, "not_found", "name"),
        (
            "PATCH",
            "/persons/maria",
            r#"{"name":"bob"}"#,
            400,
            "invalid_params",
            "name",
        ),
        (
            "GET",
            "/persons/..%2f..%2fetc",
            "",
            400,
            "invalid_params",
            "name",
        ),
        ("GET", "/broker", "", 403, "not_permitted", ""),
    ];
    for (method, path, body, status, code, field) in cases {
        let reply = admin.call(method, path, body).await;
        let found = (reply.status, reply.code());
        assert_eq!(
            found,
            (status, code.to_owned()),
            "{method} {path} {body}: {reply:?}"
        );
        assert_eq!(
            reply.json()["field"].as_str().unwrap_or_default(),
            field,
            "{reply:?}"
        );
    }
}

/// A token could read the configuration and the preferences only with the right to change them.
#[tokio::test]
async fn preferences_and_configuration_are_read_without_the_right_to_change_them() {
    let served = TestSite::builder().maria().serve().await;
    let names = ["site.config_show", "alarm.preferences_show"].map(str::to_owned);
    let admin = Program::maria(&served, &served.maria().await, &names).await;
    for (path, operation, params) in [
        ("/site/config", "site.config", json!({})),
        (
            "/alarm-preferences?person=maria",
            "alarm.preferences",
            json!({ "person": "maria" }),
        ),
    ] {
        let shown = admin.call("GET", path, "").await;
        assert_eq!(shown.status, 200, "{shown:?}");
        assert_eq!(shown.json(), served.admin(operation, params).await);
        let path = path.split('?').next().unwrap();
        let refused = admin.call("PATCH", path, "{}").await;
        assert_eq!(refused.status, 403, "{refused:?}");
    }
}

/// The content before the break.
const BEFORE: &str = "0123456789";

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn echo() -> Entry {
    Entry::new("echo", "content")
        .summary("Returns its content.")
        .allow(&Role::ALL)
        .takes_content()
        .gives_content()
        .rest(RestMethod::Post, "/echo")
        .handler(|context, _: Nothing| async move {
            let content = context.content()?;
            Ok(Answer::new(()).with(content))
        })
}

/// Returns content that breaks when the receiver gets a message.
fn breaks(when: Arc<Mutex<Option<oneshot::Receiver<()>>>>) -> Entry {
    Entry::new("echo", "breaks")
        .summary("Returns content that breaks.")
        .allow(&Role::ALL)
        .gives_content()
        .rest(RestMethod::Get, "/breaks")
        .handler(move |_, _: Nothing| {
            let when = when.lock().unwrap().take().unwrap();
            async move {
                let first = futures_util::stream::iter([Ok(BEFORE.as_bytes().to_vec())]);
                let then = futures_util::stream::once(async move {
                    let _ = when.await;
                    Err(ContentBroken("a test".to_owned()))
                });
                let content = Content::new(first.chain(Box::pin(then)));
                Ok(Answer::new(()).with(content))
            }
        })
}

#[tokio::test]
async fn content_is_the_body_in_both_directions() {
    let served = TestSite::builder()
        .operations(|| vec![echo()])
        .serve()
        .await;
    let robot = Program::robot(&served, &["echo.content"]).await;
    let text = "0123456789".repeat(20_000);
    let echoed = robot.call("POST", "/echo", &text).await;
    assert_eq!(
        (echoed.status, echoed.field("content-type").as_str()),
        (200, "application/octet-stream")
    );
    assert_eq!(echoed.content().unwrap(), text);
    assert_eq!(echoed.field("transfer-encoding"), "chunked");
}

/// The test accepted a response without a head, and one that lost a part of the content.
#[tokio::test]
async fn content_that_breaks_ends_the_connection_before_the_last_chunk() {
    let (go_on, broken) = oneshot::channel();
    let broken = Arc::new(Mutex::new(Some(broken)));
    let served = TestSite::builder()
        .operations(move || vec![breaks(broken.clone())])
        .serve()
        .await;
    let robot = Program::robot(&served, &["echo.breaks"]).await;
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = robot.request("GET", "/breaks", &[], "");
    socket.write_all(request.as_bytes()).await.unwrap();
    // Otherwise the connection may end before its head was sent.
    let mut answer = Vec::new();
    while !answer.ends_with(BEFORE.as_bytes()) {
        let mut byte = [0];
        socket.read_exact(&mut byte).await.unwrap();
        answer.extend(byte);
    }
    go_on.send(()).unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    let reply = Reply::of(&[answer, rest].concat());
    assert_eq!(reply.status, 200);
    assert_eq!(reply.content(), Err(BEFORE.to_owned()));
}
