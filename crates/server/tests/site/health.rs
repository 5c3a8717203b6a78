//! Health and metrics on their own listener.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use countersign_server::Server;
use countersign_testkit::harness::{TestSite, python, time};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// A site with a health listener.
struct Watched {
    test: TestSite,
    server: Server,
}

impl Watched {
    async fn new() -> Self {
        let test = TestSite::builder().file().build().await;
        let free = "127.0.0.1:0".parse().unwrap();
        let server = Server::builder(test.site.clone())
            .http(Some(free))
            .health(Some(free))
            .database(&test.folder().join("site.db"))
            .admin_socket(&test.folder().join("admin.sock"))
            .start()
            .await
            .unwrap();
        Self { test, server }
    }

    async fn connect(&self) -> TcpStream {
        let address = self.server.health_address().unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    /// The status, the head and the body of a response.
    async fn ask(&self, request: &str) -> (u16, String, String) {
        let mut socket = self.connect().await;
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head[9..12].parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let (status, _, body) = self.ask(&request).await;
        (status, body)
    }

    /// Whether the site is ready, and the names of the checks that fail.
    async fn readiness(&self) -> (u16, Vec<String>) {
        let (status, body) = self.get("/readyz").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["ready"], status == 200);
        let checks = body["checks"].as_array().unwrap().iter();
        let failed = checks.filter(|check| check["ok"] == false);
        let names = failed.map(|check| check["check"].as_str().unwrap().to_owned());
        (status, names.collect())
    }
}

#[tokio::test]
async fn a_site_is_ready_while_it_is_unsealed_and_live_always() {
    let watched = Watched::new().await;
    assert_eq!(watched.get("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(watched.readiness().await, (200, vec![]));
    let sealed = watched.test.admin("site.seal", json!({})).await;
    assert!(!sealed.to_string().contains("error"));
    assert_eq!(
        watched.readiness().await,
        (503, vec!["site_key".to_owned()])
    );
    assert_eq!(watched.get("/livez").await.0, 200);
    let (status, page) = watched.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(
        page.contains("countersign_ready{check=\"site_key\"} 0\n"),
        "{page}"
    );
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_and_head_has_no_body() {
    let watched = Watched::new().await;
    for (request, status) in [
        ("POST /metrics", 405),
        ("DELETE /livez", 405),
        ("GET /", 404),
        ("GET /api/v1/self", 404),
        ("GET /metrics/..", 404),
        ("POST /authenticate", 404),
    ] {
        let request = format!("{request} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(watched.ask(&request).await.0, status, "{request}");
    }
    let (status, head, body) = watched
        .ask("HEAD /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-type: text/plain; version=0.0.4"));
    assert!(head.contains("connection: close"));
    let long = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(9_000)
    );
    assert_eq!(watched.ask(&long).await.0, 431);
}

/// Connections that send nothing would keep a monitoring system from the site.
#[tokio::test]
async fn clients_that_send_nothing_make_room() {
    let watched = Watched::new().await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(watched.connect().await);
    }
    let asked = watched.get("/livez");
    let mut asked = std::pin::pin!(asked);
    let answered = loop {
        tokio::select! {
            answered = &mut asked => break answered,
            () = time::pass(Duration::from_secs(6)) => {}
        }
    };
    assert_eq!(answered.0, 200);
}

/// Labels come from the table and from the protocol, never from a client. The parser is the one of the PyPI
/// package `prometheus-client`.
#[tokio::test]
async fn the_metrics_are_in_the_format_of_prometheus_and_name_no_account() {
    let watched = Watched::new().await;
    let test = &watched.test;
    let _maria = test.person("maria", "admin").await;
    let mut admin = UnixStream::connect(test.folder().join("admin.sock"))
        .await
        .unwrap();
    let lines = [("site", "status"), ("person", "show"), ("no", "such")].map(|(group, command)| {
        let line = json!({ "id": 1, "group": group, "command": command, "params": {} });
        format!("{line}\n")
    });
    admin.write_all(lines.concat().as_bytes()).await.unwrap();
    admin.shutdown().await.unwrap();
    // The site closes the connection when it has answered all.
    admin.read_to_end(&mut Vec::new()).await.unwrap();
    let (_, page) = watched.get("/metrics").await;
    for private in [
        "maria",
        "example.org",
        "127.0.0.1",
        &test.site.id().to_string(),
    ] {
        assert!(!page.contains(private), "{private}: {page}");
    }
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics");
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site");
    let interpreter = python::interpreter(&to, &here.join("metrics_requirements.txt"));
    let mut parser = Command::new(interpreter)
        .arg("-B")
        .arg(here.join("metrics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut parser.stdin.take().unwrap(), page.as_bytes()).unwrap();
    let parsed = parser.wait_with_output().unwrap();
    assert!(parsed.status.success(), "{page}");
    let read: Value = serde_json::from_slice(&parsed.stdout).unwrap();
    let sample = |name: &str| {
        read[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {read}"))
    };
    assert_eq!(sample("countersign_ready{check=site_key}"), 1.0);
    assert_eq!(sample("countersign_sessions{state=open}"), 1.0);
    let unknown = "countersign_operations_total{operation=unknown,outcome=unknown_operation}";
    assert_eq!(sample(unknown), 1.0);
    let status = "countersign_operations_total{operation=site.status,outcome=success}";
    assert_eq!(sample(status), 1.0);
    let count = "countersign_operation_seconds_count{operation=site.status}";
    assert_eq!(sample(count), 1.0);
    let last = "countersign_operation_seconds_bucket{le=+Inf,operation=site.status}";
    assert_eq!(sample(last), 1.0);
    assert!(sample("countersign_audit_entries_total") >= 1.0);
    assert!(sample("countersign_disk_free_bytes") > 0.0);
}
