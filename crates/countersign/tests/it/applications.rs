//! Applications that call each other: a site, `app call`, and a provider behind the provider's layer, each
//! in a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::routing::{get, post};
use axum::{Extension, Router};
use countersign_http_auth::{Application, AuthenticatedApp, Provider, Site, V1Application, V1Site};
use serde_json::json;

use crate::running::Running;

/// Creates a site with `billing`, which may call `ledger`. The file `site.pub` has the site's keys.
fn applications() -> Running {
    let site = Running::new();
    register_applications(&site);
    site
}

/// Registers both applications at a site and writes their keys and the site's keys into its folder.
pub(crate) fn register_applications(site: &Running) {
    let output = site.run(&["broker", "show", "--out", "site.pub"]);
    assert_eq!(output.code, 0, "{}", output.err);
    for id in ["ledger", "billing"] {
        site.create_application(id);
    }
    let allowed = site.run(&["app", "update", "billing", "--allow", "ledger"]);
    assert_eq!(allowed.code, 0, "{}", allowed.err);
}

/// Serves `ledger` until the runtime ends. Returns its URL.
pub(crate) fn serve(site: &Running, runtime: &tokio::runtime::Runtime) -> String {
    let read = |name: &str| std::fs::read_to_string(site.path(name)).unwrap();
    let http = format!("http://{}", site.http());
    let known = Site::from_pem("local", http.parse().unwrap(), &read("site.pub")).unwrap();
    let own = Application::from_pem("ledger", &read("ledger.key"), None).unwrap();
    let provider = Provider::builder(own, known).build().unwrap();
    let who = |Extension(app): Extension<AuthenticatedApp>| async move { app.id };
    let echo = |body: String| async move { body };
    let service = Router::new()
        .route("/who", get(who))
        .route("/echo", post(echo))
        .layer(provider);
    listen(service, runtime)
}

fn listen(service: Router, runtime: &tokio::runtime::Runtime) -> String {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, service).await });
    format!("http://{address}")
}

#[test]
fn an_application_calls_another_one_which_learns_its_id() {
    let site = applications();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ledger = serve(&site, &runtime);
    let http = format!("http://{}", site.http());
    let call = |name: &str, key: &str, more: &[&str]| {
        let known = ["app", "call", "--site", &site.uri, "--http", &http];
        let as_whom = ["--as", name, "--key", key, "--to", "ledger"];
        site.run(&[&known[..], &as_whom[..], more].concat())
    };
    let who = format!("{ledger}/who");
    let output = call("billing", "billing.key", &[&who]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (0, "billing"),
        "{}",
        output.err
    );

    let (echo, content) = (format!("{ledger}/echo"), site.path("sent.txt"));
    std::fs::write(&content, "12.50").unwrap();
    let sent: &Path = &content;
    let words = ["-X", "POST", "--content", sent.to_str().unwrap(), &echo];
    let output = call("billing", "billing.key", &words);
    assert_eq!(
        (output.code, output.out.as_str()),
        (0, "12.50"),
        "{}",
        output.err
    );

    // With the key of another application it is rejected, and ledger has no permission to call any.
    let output = call("billing", "ledger.key", &[&who]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (4, ""),
        "{}",
        output.err
    );
    let output = call("ledger", "ledger.key", &[&who]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (5, ""),
        "{}",
        output.err
    );
    assert!(
        output.err.contains("does not allow the call"),
        "{}",
        output.err
    );
    let missing = format!("{ledger}/nothing");
    let output = call("billing", "billing.key", &[&missing]);
    assert_eq!(output.code, 1);
    assert!(output.err.contains("404"), "{}", output.err);
}

/// `app call` supported only v2, and reported that an RSA key has no seed.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the site and the consumer in other processes read the same clock"
)]
fn an_application_of_v1_calls_another_one() {
    let site = Running::new();
    let made = site.run(&["broker", "new-v1-key"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let shown = site.run(&["broker", "show"]);
    std::fs::write(site.path("site.pem"), &shown.out).unwrap();
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/keys");
    let file = |name: &str| format!("{keys}/{name}.pem");
    for (id, name, callees) in [
        ("ledger", "provider", &[][..]),
        ("billing", "consumer", &["--allow", "ledger"]),
    ] {
        let public = file(&format!("{name}.pub"));
        let words = [
            "app",
            "create",
            id,
            "--public-key",
            &public,
            "--edition",
            "serveros-v1",
        ];
        let output = site.run(&[&words[..], callees].concat());
        assert_eq!(output.code, 0, "{}", output.err);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let key = std::fs::read_to_string(file("provider.key")).unwrap();
    let own = V1Application::from_pem("ledger", &key.into()).unwrap();
    let (_, from) = shown.out.split_once("-----BEGIN PUBLIC KEY-----").unwrap();
    let http = format!("http://{}", site.http());
    let public = format!("-----BEGIN PUBLIC KEY-----{from}");
    let known = V1Site::from_pem(http.parse().unwrap(), &public).unwrap();
    let who = |Extension(app): Extension<AuthenticatedApp>| async move { app.id };
    // The provider has run for a minute: it rejects a ticket signed in the second of its start as older.
    let started = Arc::new(AtomicBool::new(false));
    let runs = started.clone();
    let provider = Provider::builder(own, known).clock(move || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let before = if runs.load(Ordering::Relaxed) { 0 } else { 60 };
        u64::try_from(now.as_millis()).unwrap() - before * 1_000
    });
    let provider = provider.build();
    started.store(true, Ordering::Relaxed);
    let ledger = listen(
        Router::new().route("/who", get(who)).layer(provider),
        &runtime,
    );

    let (key, who) = (file("consumer.key"), format!("{ledger}/who"));
    let words = [
        "app", "call", "--site", &site.uri, "--http", &http, "--as", "billing", "--key", &key,
    ];
    let call = |more: &[&str]| site.run(&[&words[..], &["--to", "ledger"], more, &[&who]].concat());
    let output = call(&["--edition", "serveros-v1", "--site-public-key", "site.pem"]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (0, "billing"),
        "{}",
        output.err
    );
    let output = call(&[]);
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(
        output.err.contains("--edition serveros-v1"),
        "{}",
        output.err
    );
}

#[test]
fn an_admin_sees_why_an_application_gets_no_ticket() {
    let site = applications();
    let ticket = |from: &str, to: &str| site.run(&["app", "ticket", from, to, "--json"]).json();
    let granted = ticket("billing", "ledger");
    assert_eq!(
        (&granted["granted"], &granted["lasts"], &granted["suite"]),
        (&json!(true), &json!(3_600_000), &json!("xwing-aes256gcm"))
    );
    let denied = ticket("ledger", "billing");
    assert_eq!(denied["granted"], json!(false));
    let why = denied["why_not"].as_str().unwrap();
    assert!(why.contains("app update ledger --allow billing"), "{why}");
    assert_eq!(site.run(&["app", "lock", "ledger", "--yes"]).code, 0);
    assert_eq!(ticket("billing", "ledger")["why_not"], "ledger is locked");
    assert_eq!(site.run(&["app", "ticket", "billing", "unknown"]).code, 6);
}

/// The hint recommended `--may-call`, which removed earlier permissions; `--auth-data null` reported
/// "Changed" and changed nothing; a long number was rounded.
#[test]
fn an_update_adds_and_removes_permissions_and_shows_the_result() {
    let site = applications();
    let update = |more: &[&str]| site.run(&[&["app", "update", "billing"][..], more].concat());
    let output = update(&["--allow-group", "finance,audit"]);
    assert_eq!(
        (output.code, output.out.lines().collect::<Vec<_>>()),
        (
            0,
            vec![
                "Changed billing.",
                "may call  ledger",
                "may call group  finance",
                "may call group  audit"
            ]
        ),
        "{}",
        output.err
    );
    let output = update(&["--disallow", "ledger", "--disallow-group", "audit"]);
    assert_eq!(
        output.out.lines().collect::<Vec<_>>(),
        ["Changed billing.", "may call group  finance"]
    );
    assert_eq!(update(&["--allow", "ledgre"]).code, 6);
    let auth_data = r#"{"id":123456789012345678901234567890}"#;
    assert_eq!(update(&["--auth-data", auth_data]).code, 0);
    let shown = || site.run(&["app", "show", "billing", "--json"]).out;
    assert!(
        shown().contains("123456789012345678901234567890"),
        "{}",
        shown()
    );
    assert_eq!(update(&["--auth-data", "null"]).code, 0);
    assert!(shown().contains(r#""auth_data": null"#), "{}", shown());
}
