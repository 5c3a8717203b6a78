//! Health and metrics on their own listener.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign_client::device::{DeviceConnection, DeviceConnector, enrol};
use countersign_client::{Client, LoginAs};
use countersign_core::access::{Caller, Role};
use countersign_core::engine::rest::RestMethod;
use countersign_core::engine::{Answer, Entry};
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::name::AccountName;
use countersign_proto::operation::Code;
use countersign_proto::uri::SiteUri;
use countersign_server::{Server, clock};
use countersign_testkit::harness::{Builder, PASSPHRASE, TestSite, python, run_at, time};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

/// A site with a health listener.
struct Watched {
    test: TestSite,
    server: Server,
}

impl Watched {
    async fn new() -> Self {
        Self::of(TestSite::builder()).await
    }

    async fn of(builder: Builder) -> Self {
        let test = builder.file().build().await;
        let folder = test.folder().to_owned();
        Self::observing(test, &folder).await
    }

    /// A site that observes the disk of this folder.
    async fn observing(test: TestSite, folder: &Path) -> Self {
        let free = "127.0.0.1:0".parse().unwrap();
        let server = Server::builder(test.site.clone())
            .session(free)
            .http(Some(free))
            .device(Some(free))
            .health(Some(free))
            .database(&folder.join("site.db"))
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
        asked(self.connect().await, request).await
    }

    /// The status and the body of a request to the API with this token.
    async fn api(&self, token: &str, path: &str) -> (u16, String) {
        let address = self.server.http_address().unwrap();
        let request = format!(
            "GET /api/v1{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n\r\n"
        );
        let socket = TcpStream::connect(address).await.unwrap();
        let (status, _, body) = asked(socket, &request).await;
        (status, body)
    }

    /// The token of a service `robot` that names these operations.
    async fn token(&self, operations: &[&str]) -> String {
        let identity = Identity::generate(&mut SystemEntropy);
        self.test.create_service("robot", &identity).await;
        let params = json!({ "service": "robot", "operations": operations });
        let created = self.now("token.create", params).await;
        created["token"].as_str().unwrap().to_owned()
    }

    /// Runs an operation as the local admin at the time of the server's clock.
    async fn now(&self, name: &str, params: Value) -> Value {
        let caller = Caller::admin_socket();
        let (code, data) = run_at(&self.test.site, &caller, name, params, clock::now()).await;
        assert_eq!(code, Code::SUCCESS, "{name}: {data}");
        data
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let (status, _, body) = self.ask(&request).await;
        (status, body)
    }

    /// Whether the site is ready, and the names of the checks that fail.
    async fn readiness(&self) -> (u16, Vec<String>) {
        readiness(self.get("/readyz").await)
    }
}

/// The status, the head and the body of the response to a request.
async fn asked(mut socket: TcpStream, request: &str) -> (u16, String, String) {
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// The status of a response of `/readyz`, and the names of the checks that fail.
fn readiness((status, body): (u16, String)) -> (u16, Vec<String>) {
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["ready"], status == 200);
    let checks = body["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["ok"] == false);
    let names = failed.map(|check| check["check"].as_str().unwrap().to_owned());
    (status, names.collect())
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

fn only(check: &str) -> (u16, Vec<String>) {
    (503, vec![check.to_owned()])
}

/// Of six documented checks, one was seen to fail.
#[tokio::test]
async fn a_site_whose_database_cannot_be_read_is_not_ready() {
    let watched = Watched::new().await;
    let change = |statement: &str| {
        let database = watched.test.database();
        let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])";
        let mut python = Command::new("python3");
        let python = python.args(["-c", script]).arg(database).arg(statement);
        assert!(python.status().unwrap().success());
    };
    assert_eq!(watched.readiness().await, (200, vec![]));
    change("ALTER TABLE delivery RENAME TO lost");
    time::pass(Duration::from_secs(2)).await;
    assert_eq!(watched.readiness().await, only("database"));
    change("ALTER TABLE lost RENAME TO delivery");
    time::pass(Duration::from_secs(2)).await;
    assert_eq!(watched.readiness().await, (200, vec![]));
}

#[tokio::test]
async fn a_site_whose_disk_is_full_is_not_ready() {
    let test = TestSite::builder().file().build().await;
    // A file system without free space.
    let watched = Watched::observing(test, Path::new("/proc")).await;
    assert_eq!(watched.readiness().await, only("disk"));
}

#[tokio::test]
async fn a_site_that_lost_a_listener_is_not_ready() {
    let mut watched = Watched::new().await;
    assert_eq!(watched.readiness().await, (200, vec![]));
    let address = watched.server.http_address().unwrap();
    shut_down(address);
    let ended = watched.server.ended().await;
    assert_eq!(ended.task, "the HTTP listener");
    assert_eq!(watched.readiness().await, only("listeners"));
}

/// Makes `accept` fail on the listener of this process with this address.
fn shut_down(address: SocketAddr) {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers = descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let numbers: Vec<i32> = numbers.collect();
    let listener = numbers.into_iter().find_map(|number| {
        let copy = pidfd_getfd(&this, number, PidfdGetfdFlags::empty()).ok()?;
        let listener = std::net::TcpListener::from(copy);
        (listener.local_addr().ok()? == address).then_some(listener)
    });
    rustix::net::shutdown(listener.unwrap(), rustix::net::Shutdown::Both).unwrap();
}

fn waits(begun: Arc<Notify>, go_on: Arc<Notify>) -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    Entry::new("test", "wait")
        .summary("Runs until the test says so.")
        .allow(&Role::ALL)
        .rest(RestMethod::Get, "/wait")
        .handler(move |_, _: Nothing| {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            async move {
                begun.notify_one();
                go_on.notified().await;
                Ok(Answer::new(()))
            }
        })
}

/// The listener ended first when the server stopped, so that no monitoring saw the check `running` fail.
#[tokio::test]
async fn a_site_that_is_stopping_says_so_until_it_has_stopped() {
    let [begun, go_on] = [(); 2].map(|()| Arc::new(Notify::new()));
    let (begins, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    let operations = move || vec![waits(begins.clone(), goes_on.clone())];
    let watched = Watched::of(TestSite::builder().operations(operations)).await;
    let token = watched.token(&["test.wait"]).await;
    let Watched {
        test: _test,
        server,
    } = watched;
    let health = server.health_address().unwrap();
    let http = server.http_address().unwrap();
    let mut caller = TcpStream::connect(http).await.unwrap();
    let request = format!(
        "GET /api/v1/wait HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\n\r\n"
    );
    caller.write_all(request.as_bytes()).await.unwrap();
    // Otherwise the server may stop before it has read the request.
    begun.notified().await;
    let stopping = tokio::spawn(server.stop());
    let ask = async || {
        let socket = TcpStream::connect(health).await.unwrap();
        let (status, _, body) = asked(socket, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").await;
        readiness((status, body))
    };
    time::until(async || ask().await.0 == 503).await;
    let stops = vec!["listeners".to_owned(), "running".to_owned()];
    assert_eq!(ask().await, (503, stops));
    go_on.notify_one();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stopping.await.unwrap();
    time::until(async || TcpStream::connect(health).await.is_err()).await;
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

/// Uses the site over each channel, and returns the texts that tell about it: names, ids, keys and secrets.
/// The session and the connection stay open.
async fn traffic(watched: &Watched) -> (Vec<String>, Client, DeviceConnection) {
    let test = &watched.test;
    let mut private = Vec::new();
    // A session, which a person opens and another one is refused.
    let uri: SiteUri = test.site.endpoints().uri.unwrap().parse().unwrap();
    let log_in = async |passphrase: &str| {
        let phrase = passphrase.to_owned().into();
        Client::connect(&uri, LoginAs::person("maria".parse().unwrap(), phrase)).await
    };
    let session = log_in(PASSPHRASE).await.unwrap();
    let shown: Value = session.call("self", "show", &json!({})).await.unwrap();
    private.extend(["id", "session", "name"].map(|field| shown[field].clone()));
    assert!(log_in("a wrong pass phrase").await.is_err());
    // A token, and a wrong one.
    let token = watched.token(&["self.show", "alarm.raise"]).await;
    let (status, body) = watched.api(&token, "/self").await;
    assert_eq!(status, 200, "{body}");
    let robot: Value = serde_json::from_str(&body).unwrap();
    private.extend([robot["id"].clone(), robot["keys"][0]["thumbprint"].clone()]);
    assert_eq!(watched.api("cst_wrong", "/self").await.0, 401);
    let tokens = test.admin("token.list", json!({})).await;
    private.push(tokens["entries"][0]["id"].clone());
    private.push(token.into());
    // A device.
    let issued = watched
        .now("ticket.issue", json!({ "person": "maria" }))
        .await;
    let ticket: EnrolmentTicket = issued["uri"].as_str().unwrap().parse().unwrap();
    let key = Arc::new(DeviceIdentity::generate(&mut SystemEntropy));
    let maria: AccountName = "maria@example.org".parse().unwrap();
    let name = "lighthouse".parse().unwrap();
    let enrolment = enrol(&ticket, maria.clone(), &key, name).await.unwrap();
    let connector = DeviceConnector::from_enrolment(&enrolment, key);
    let device = connector.connect(maria).await.unwrap();
    let listed: Value = device.call("device", "list", &json!({})).await.unwrap();
    let listed = &listed["entries"][0];
    private.extend(["id", "name", "thumbprint"].map(|field| listed[field].clone()));
    private.push(issued["id"].clone());
    // An application, by a name that is not there.
    let app = test.refused("app.show", json!({ "id": "warehouse" })).await;
    assert_eq!(app.1["code"], "not_found");
    let mut texts = vec!["warehouse".to_owned(), "example.org".to_owned()];
    texts.extend(private.iter().map(|text| text.as_str().unwrap().to_owned()));
    (texts, session, device)
}

/// Labels come from the table and from the protocol, never from a client. The parser is the one of the PyPI
/// package `prometheus-client`. The page was read before any client had called.
#[tokio::test]
async fn the_metrics_are_in_the_format_of_prometheus_and_name_no_account() {
    let watched = Watched::of(TestSite::builder().maria()).await;
    let test = &watched.test;
    let (mut private, _session, _device) = traffic(&watched).await;
    private.extend(["maria", "robot", "127.0.0.1"].map(str::to_owned));
    private.push(test.site.id().to_string());
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
    for private in &private {
        assert!(private.len() > 4, "{private}");
        assert!(!page.contains(private), "{private}: {page}");
    }
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics");
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site/python");
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
    for called in ["self.show", "device.list"] {
        let name = format!("countersign_operations_total{{operation={called},outcome=success}}");
        assert!(sample(&name) >= 1.0, "{called}");
    }
    assert_eq!(sample("countersign_http_responses_total{status=401}"), 1.0);
    assert!(sample("countersign_audit_entries_total") >= 1.0);
    assert!(sample("countersign_disk_free_bytes") > 0.0);
}
