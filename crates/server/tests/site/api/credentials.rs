//! Who may call over HTTP.

use std::net::{IpAddr, Ipv4Addr};

use countersign_core::access_tokens::AccessTokenSecret;
use countersign_crypto::entropy::SystemEntropy;
use countersign_server::Proxies;
use countersign_testkit::harness::{ServedSite, TestSite, time};
use serde_json::json;

use super::client::{Program, Reply, raw};

async fn get(served: &ServedSite, fields: &str) -> Reply {
    let request =
        format!("GET /api/v1/self HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
    raw(served, request.as_bytes()).await
}

#[tokio::test]
async fn a_request_without_a_valid_credential_gets_401_and_a_challenge() {
    let served = TestSite::builder().serve().await;
    let none = get(&served, "").await;
    assert_eq!(
        (none.status, none.code().as_str()),
        (401, "not_authenticated")
    );
    assert_eq!(
        none.field("www-authenticate"),
        "Bearer realm=\"countersign\""
    );
    let robot = Program::robot(&served, &["self.show"]).await;
    let revoked = {
        let listed = served.admin("token.list", json!({})).await;
        let id = listed["entries"][0]["id"].clone();
        served.admin("token.revoke", json!({ "id": id })).await;
        robot.token
    };
    let unknown = AccessTokenSecret::generate(&mut SystemEntropy).to_text();
    let wrong = [
        format!("Bearer {revoked}"),
        format!("Bearer {}", unknown.expose()),
        "Bearer cst_1".to_owned(),
        "Bearer".to_owned(),
        "Basic bWFyaWE6bWFyaWE=".to_owned(),
        String::new(),
    ];
    let mut bodies = Vec::new();
    for credential in wrong {
        let refused = get(&served, &format!("authorization: {credential}\r\n")).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (401, "not_authenticated")
        );
        let challenge = "Bearer realm=\"countersign\", error=\"invalid_token\"";
        assert_eq!(refused.field("www-authenticate"), challenge);
        let mut body = refused.json();
        body["request_id"].take();
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the refusals do not tell the reason");
    let twice = format!("authorization: Bearer {}\r\n", unknown.expose()).repeat(2);
    assert_eq!(get(&served, &twice).await.status, 400);
}

/// A source that guesses gets a penalty, which refuses its valid tokens too until it ends.
#[tokio::test]
async fn a_source_that_sends_wrong_tokens_gets_a_penalty() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    assert_eq!(robot.call("GET", "/self", "").await.status, 200);
    let mut refused = 0;
    loop {
        let unknown = AccessTokenSecret::generate(&mut SystemEntropy).to_text();
        let field = format!("authorization: Bearer {}\r\n", unknown.expose());
        let reply = get(&served, &field).await;
        if reply.status != 401 {
            break;
        }
        refused += 1;
        assert!(refused < 10_000, "no penalty");
    }
    time::until(async || {
        let audited = served.audited().await;
        audited
            .iter()
            .any(|entry| entry.starts_with("http.request"))
    })
    .await;
}

/// A trusted proxy that names no client got no penalty, and its wrong credentials were counted nowhere.
#[tokio::test]
async fn wrong_credentials_through_a_proxy_that_names_no_client_are_audited() {
    let proxies = Proxies {
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        trust_forwarded: false,
    };
    let served = TestSite::builder().proxies(proxies).serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    for _ in 0..64 {
        let unknown = AccessTokenSecret::generate(&mut SystemEntropy).to_text();
        let field = format!("authorization: Bearer {}\r\n", unknown.expose());
        assert_eq!(get(&served, &field).await.status, 401);
    }
    assert_eq!(robot.call("GET", "/self", "").await.status, 200);
    served.site.write_all_counted().await.unwrap();
    let mut entries = served.audit().await.into_iter();
    let failed = entries.find(|entry| entry["operation"] == "http.request");
    let failed = failed.unwrap();
    assert_eq!(
        (&failed["actor"], &failed["outcome"]),
        (&json!("127.0.0.1"), &json!("failed"))
    );
    assert_eq!(failed["details"]["through"], "trusted proxy");
}

/// What may be read on its way is not accepted: here a proxy that is not trusted for the scheme.
#[tokio::test]
async fn a_proxy_that_names_plain_http_is_refused() {
    let proxies = Proxies {
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        trust_forwarded: true,
    };
    let served = TestSite::builder().proxies(proxies).serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let call = async |scheme: &str| {
        let fields = [
            ("x-forwarded-proto", scheme),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        robot.call_with("GET", "/self", &fields, "").await
    };
    assert_eq!(call("https").await.status, 200);
    let refused = call("http").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "tls_required")
    );
    let fields = [("x-forwarded-for", "192.0.2.7")];
    assert_eq!(
        robot.call_with("GET", "/self", &fields, "").await.status,
        200
    );
}

#[tokio::test]
async fn a_lockdown_refuses_requests_before_their_credential() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show", "site.status"]).await;
    served
        .admin("lockdown.site", json!({ "level": "logins" }))
        .await;
    assert_eq!(robot.call("GET", "/self", "").await.status, 200);
    served
        .admin("lockdown.site", json!({ "level": "all" }))
        .await;
    let refused = robot.call("GET", "/self", "").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "lockdown"));
    assert!(!refused.field("retry-after").is_empty());
    assert_eq!(get(&served, "").await.status, 503);
    served.admin("lockdown.lift", json!({ "site": true })).await;
    assert_eq!(robot.call("GET", "/self", "").await.status, 200);
}

/// Unknown paths and methods are public, so they need no credential; no path tells of an account.
#[tokio::test]
async fn paths_and_methods_are_answered_before_the_credential() {
    let served = TestSite::builder().maria().serve().await;
    let ask = async |method: &str, path: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        raw(&served, request.as_bytes()).await
    };
    for path in [
        "/api/v1",
        "/api/v1/",
        "/api/v1/person",
        "/api/v1/persons/",
        "/api/v1/persons/../self",
        "/api/v1//self",
    ] {
        let unknown = ask("GET", path).await;
        assert_eq!(
            (unknown.status, unknown.code().as_str()),
            (404, "unknown_path"),
            "{path}"
        );
    }
    let wrong = ask("PUT", "/api/v1/persons/maria").await;
    assert_eq!(
        (wrong.status, wrong.code().as_str()),
        (405, "method_not_allowed")
    );
    assert_eq!(wrong.field("allow"), "GET, HEAD, PATCH, DELETE, OPTIONS");
    let options = ask("OPTIONS", "/api/v1/persons/maria").await;
    assert_eq!(
        (options.status, options.field("allow")),
        (204, wrong.field("allow"))
    );
    let (existing, missing) = (
        ask("GET", "/api/v1/persons/maria").await,
        ask("GET", "/api/v1/persons/bob").await,
    );
    assert_eq!((existing.status, missing.status), (401, 401));
}
