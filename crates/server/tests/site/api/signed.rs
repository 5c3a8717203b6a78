//! Requests that a service signs with its key (RFC 9421), made by an independent implementation: the
//! PyPI package `http-message-signatures`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::write_identity;
use countersign_server::clock;
use countersign_testkit::harness::{ServedSite, TestSite, python, time};
use serde_json::{Map, Value, json};

use super::client::{Program, Reply, raw, with_admin};
use crate::http::trusted::on_this_machine;

const HOST: &str = "site.example:4749";
const ALARM: &str = r#"{"to":"admins","severity":"info","text":"The tank is full."}"#;
const TARGET: &str = "/api/v1/alarms";
const WHOLE: [&str; 4] = ["@method", "@authority", "@target-uri", "content-digest"];

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/site/python")
        .join(name)
}

/// Signs requests in one run of the program.
fn signed(requests: &[Value]) -> Vec<Map<String, Value>> {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signed-requests");
    let python = python::interpreter(&to, &here("signed_requests_requirements.txt"));
    let mut program = Command::new(python)
        .arg("-B")
        .arg(here("signed_requests.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(requests).unwrap();
    program.stdin.take().unwrap().write_all(&input).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn now() -> i64 {
    clock::now().millis() / 1_000
}

/// Waits until the site serves HTTP, and for a second that begins after that: what was signed before may
/// have been accepted before the start.
async fn started(served: &ServedSite) {
    time::pass(Duration::from_secs(2)).await;
    let request = format!("GET /api/v1/self HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    assert_eq!(raw(served, request.as_bytes()).await.status, 401);
    time::pass(Duration::from_secs(2)).await;
}

/// A request of the service with this key to raise an alarm.
fn request(served: &ServedSite, identity: &Identity, nonce: &str) -> Value {
    json!({
        "method": "POST",
        "url": format!("http://{HOST}{TARGET}"),
        "host": HOST,
        "body": ALARM,
        "hash": "sha256",
        "key": write_identity(identity, None, &mut SystemEntropy).expose(),
        "keyid": identity.certificate().thumbprint().to_string(),
        "created": now(),
        "expires": now() + 60,
        "nonce": nonce,
        "tag": served.site.id().to_string(),
        "alg": true,
        "covered": WHOLE,
    })
}

fn changed(mut request: Value, changes: &Value) -> Value {
    let changes = changes.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(changes);
    request
}

/// Sends a request with these fields.
async fn send(
    served: &ServedSite,
    (method, target): (&str, &str),
    fields: &Map<String, Value>,
    body: &str,
) -> Reply {
    let mut head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in fields {
        head += &format!("{name}: {}\r\n", value.as_str().unwrap());
    }
    raw(served, format!("{head}\r\n{body}").as_bytes()).await
}

#[tokio::test]
async fn a_service_signs_requests_with_its_key() {
    let served = with_admin(TestSite::builder()).await;
    started(&served).await;
    let robot = &served.robot;
    let make = |nonce: &str, changes| changed(request(&served, robot, nonce), &changes);
    let get = json!({ "method": "GET", "url": format!("http://{HOST}/api/v1/self?"), "body": "" });
    let shown = ["@method", "@authority", "@path", "@query"];
    let requests = [
        make("1", json!({})),
        make("2", json!({ "hash": "sha512", "alg": false })),
        make(
            "3",
            json!({ "covered": ["content-digest", "@request-target", "@authority", "@method"] }),
        ),
        changed(make("4", get), &json!({ "covered": shown })),
    ];
    let signed = signed(&requests);
    for fields in &signed[..3] {
        let raised = send(&served, ("POST", TARGET), fields, ALARM).await;
        assert_eq!(raised.status, 200, "{raised:?}");
    }
    let entry = served
        .audit()
        .await
        .into_iter()
        .rfind(|entry| entry["operation"] == "alarm.raise");
    let entry = entry.unwrap();
    let thumbprint = robot.certificate().thumbprint().to_string();
    assert_eq!(
        (&entry["actor"], &entry["channel"]),
        (&json!("robot@example.org"), &json!("http"))
    );
    assert_eq!(entry["details"]["signed_with"], json!(thumbprint));
    let shown = send(&served, ("GET", "/api/v1/self?"), &signed[3], "").await;
    assert_eq!(
        (shown.status, &shown.json()["name"]),
        (200, &json!("robot@example.org"))
    );
    // The role of a service does not permit more because the request is signed.
    served
        .admin("service.lock", json!({ "name": "robot" }))
        .await;
    let again = send(&served, ("POST", TARGET), &signed[0], ALARM).await;
    assert_eq!(again.status, 401);
}

/// With the default configuration, which trusts proxies on this machine, a right request of a program on
/// this machine got 401: the site rebuilt its URI with `https`.
#[tokio::test]
async fn a_signed_request_of_this_machine_has_the_scheme_http_beside_a_trusted_proxy() {
    let served = with_admin(TestSite::builder().proxies(on_this_machine(false))).await;
    started(&served).await;
    let make = |nonce: &str, changes| changed(request(&served, &served.robot, nonce), &changes);
    let over_tls = json!({ "url": format!("https://{HOST}{TARGET}") });
    let signed = signed(&[
        make("1", json!({})),
        make("2", over_tls.clone()),
        make("3", over_tls.clone()),
        make("4", over_tls),
        make("5", json!({})),
    ]);
    let ask = async |at: usize, added: Option<(&str, &str)>| {
        let mut fields = signed[at].clone();
        fields.extend(added.map(|(name, value)| (name.to_owned(), json!(value))));
        let status = send(&served, ("POST", TARGET), &fields, ALARM).await.status;
        served.admin("penalty.forget", json!({})).await;
        status
    };
    assert_eq!(ask(0, None).await, 200);
    assert_eq!(ask(1, None).await, 401, "no proxy forwarded it");
    // A proxy that terminates TLS adds one of these.
    assert_eq!(ask(2, Some(("x-forwarded-proto", "https"))).await, 200);
    assert_eq!(ask(3, Some(("x-forwarded-for", "192.0.2.7"))).await, 200);
    let forwarded = Some(("x-forwarded-for", "192.0.2.7"));
    assert_eq!(
        ask(4, forwarded).await,
        401,
        "the client of the proxy used TLS"
    );
}

/// Each of these requests gets the same 401, and has no effect.
#[tokio::test]
async fn a_wrong_signature_is_refused() {
    let served = with_admin(TestSite::builder()).await;
    started(&served).await;
    let robot = &served.robot;
    let other = Identity::generate(&mut SystemEntropy);
    let make = |changes| changed(request(&served, robot, &changes_id(&changes)), &changes);
    let thumbprint = other.certificate().thumbprint().to_string();
    let wrong = [
        // The key, its id and the site.
        make(json!({ "key": write_identity(&other, None, &mut SystemEntropy).expose() })),
        request(&served, &other, "unknown"),
        make(json!({ "keyid": thumbprint })),
        make(json!({ "keyid": "robot" })),
        make(json!({ "tag": "another site" })),
        // The time.
        make(json!({ "created": now() - 61, "expires": now() + 60 })),
        make(json!({ "created": now() + 120, "expires": now() + 180 })),
        make(json!({ "expires": now() + 301 })),
        make(json!({ "created": now() - 10, "expires": now() - 5 })),
        // What is covered.
        make(json!({ "covered": ["@method", "@authority", "@target-uri"] })),
        make(json!({ "covered": ["@method", "@authority", "content-digest"] })),
        make(json!({ "covered": ["@authority", "@target-uri", "content-digest"] })),
        make(json!({ "covered": ["@method", "@path", "content-digest"] })),
        // What was sent is another request.
        make(json!({ "method": "PUT" })),
        make(json!({ "url": format!("http://{HOST}/api/v1/alarms/over") })),
        make(json!({ "url": format!("http://{HOST}{TARGET}?a=1") })),
        make(json!({ "url": format!("https://{HOST}{TARGET}") })),
        make(json!({ "url": format!("http://other.example{TARGET}"), "host": "other.example" })),
        make(json!({ "body": ALARM.replace("full", "empty") })),
        make(json!({ "nonce": "" })),
        make(json!({ "nonce": "n".repeat(129) })),
    ];
    let right = make(json!({ "nonce": "once" }));
    let mut fields = signed(&[wrong.as_slice(), &[right]].concat());
    let right = fields.pop().unwrap();
    let raised = async || {
        let listed = served.admin("alarm.list", json!({})).await;
        listed["entries"].as_array().unwrap().len()
    };
    for (at, fields) in fields.iter().enumerate() {
        let refused = send(&served, ("POST", TARGET), fields, ALARM).await;
        assert_eq!(refused.status, 401, "{at}: {}", wrong[at]);
        assert_eq!(refused.code(), "not_authenticated");
        // The source gets no penalty in this test.
        served.admin("penalty.forget", json!({})).await;
    }
    assert_eq!(raised().await, 0);
    assert_eq!(
        send(&served, ("POST", TARGET), &right, ALARM).await.status,
        200
    );
    let replayed = send(&served, ("POST", TARGET), &right, ALARM).await;
    assert_eq!(replayed.status, 401, "the nonce was used");
    assert_eq!(raised().await, 1);
    // Two credentials, or half of one.
    let mut both = right.clone();
    both.insert("authorization".to_owned(), json!("Bearer cst_1"));
    assert_eq!(
        send(&served, ("POST", TARGET), &both, ALARM).await.status,
        400
    );
    let mut half = right.clone();
    half.remove("Signature");
    assert_eq!(
        send(&served, ("POST", TARGET), &half, ALARM).await.status,
        401
    );
}

/// A signed request is a login: the key of a service needs no earlier session or token.
#[tokio::test]
async fn a_lockdown_of_logins_refuses_signed_requests_and_tokens_go_on() {
    let served = with_admin(TestSite::builder()).await;
    started(&served).await;
    let program = Program::robot(&served, &["alarm.raise"]).await;
    let fields = signed(&[request(&served, &served.robot, "one")]).remove(0);
    let level = json!({ "level": "logins" });
    served.admin("lockdown.site", level).await;
    let refused = send(&served, ("POST", TARGET), &fields, ALARM).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "lockdown"));
    assert_eq!(program.call("POST", "/alarms", ALARM).await.status, 200);
    served.admin("lockdown.lift", json!({ "site": true })).await;
    let raised = send(&served, ("POST", TARGET), &fields, ALARM).await;
    assert_eq!(raised.status, 200, "{raised:?}");
}

/// `If-Match` and `Idempotency-Key` change what a request does. What carries the request could remove,
/// add or change them, as the signature did not cover them.
#[tokio::test]
async fn a_signature_covers_the_precondition_and_the_idempotency_key() {
    let served = with_admin(TestSite::builder()).await;
    started(&served).await;
    let make = |nonce: &str, changes| changed(request(&served, &served.robot, nonce), &changes);
    let fields = json!({ "Idempotency-Key": "once" });
    let with_key = [WHOLE.as_slice(), &["idempotency-key"]].concat();
    let with_condition = [WHOLE.as_slice(), &["if-match"]].concat();
    let requests = [
        make("1", json!({ "fields": fields, "covered": with_key })),
        make("2", json!({ "fields": fields })),
        make("3", json!({ "fields": { "If-Match": "\"1\"" } })),
        make(
            "4",
            json!({ "fields": { "If-Match": "\"1\"" }, "covered": with_condition }),
        ),
        make("5", json!({ "fields": fields, "covered": with_key })),
        make("6", json!({})),
    ];
    let signed = signed(&requests);
    let ask =
        async |fields: &Map<String, Value>| send(&served, ("POST", TARGET), fields, ALARM).await;
    assert_eq!(ask(&signed[0]).await.status, 200);
    assert_eq!(ask(&signed[1]).await.status, 401, "the key is not covered");
    assert_eq!(
        ask(&signed[2]).await.status,
        401,
        "the condition is not covered"
    );
    // It is covered; raising an alarm has no precondition.
    assert_eq!(ask(&signed[3]).await.status, 400);
    let mut another = signed[4].clone();
    another.insert("Idempotency-Key".to_owned(), json!("twice"));
    assert_eq!(ask(&another).await.status, 401);
    another.remove("Idempotency-Key");
    assert_eq!(ask(&another).await.status, 401);
    let mut added = signed[5].clone();
    added.insert("Idempotency-Key".to_owned(), json!("once"));
    assert_eq!(ask(&added).await.status, 401);
    let replayed = ask(&signed[4]).await;
    assert_eq!(
        replayed.field("idempotency-replayed"),
        "true",
        "{replayed:?}"
    );
}

/// A nonce for each set of changes.
fn changes_id(changes: &Value) -> String {
    let text = changes.to_string();
    data_encoding::HEXLOWER.encode(&countersign_crypto::hash::sha256(text.as_bytes())[..8])
}
