//! The form of requests: what is refused before an operation is called.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_core::access::Role;
use countersign_core::engine::rest::RestMethod;
use countersign_core::engine::{Answer, Entry};
use countersign_core::throttle::PenaltyLimits;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{TestSite, time};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::client::{Program, Reply, raw, with_admin};

const RAISE: &str = r#"{"to":"admins","severity":"info","text":"The tank is full."}"#;

#[tokio::test]
async fn a_body_that_is_not_json_or_too_long_is_refused() {
    let limits = Limits {
        params_bytes: 1_000,
        ..Limits::default()
    };
    let served = with_admin(TestSite::builder().limits(limits)).await;
    let robot = Program::robot(&served, &["alarm.raise", "self.show"]).await;
    let post = async |fields: &str, body: &[u8]| {
        let head = format!(
            "POST /api/v1/alarms HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             authorization: Bearer {}\r\n{fields}\r\n",
            robot.token
        );
        raw(&served, &[head.as_bytes(), body].concat()).await
    };
    let length = |body: &str| format!("content-length: {}\r\n", body.len());
    let json = "content-type: application/json\r\n";
    let body = RAISE.as_bytes();
    for kind in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/jsonx\r\n",
        // These were taken, and read as UTF-8.
        "content-type: application/json; charset=latin1\r\n",
        "content-type: application/json;v=1; Charset=\"utf-16\"\r\n",
    ] {
        let refused = post(&format!("{kind}{}", length(RAISE)), body).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (415, "unsupported_media_type")
        );
    }
    let zipped = format!("{json}content-encoding: gzip\r\n{}", length(RAISE));
    assert_eq!(post(&zipped, body).await.status, 415);
    let right = format!(
        "content-type: Application/JSON; charset=utf-8\r\n{}",
        length(RAISE)
    );
    assert_eq!(post(&right, body).await.status, 200);
    let chunked = format!("{json}transfer-encoding: chunked\r\n");
    let chunks = format!("{:x}\r\n{RAISE}\r\n0\r\n\r\n", RAISE.len());
    assert_eq!(post(&chunked, chunks.as_bytes()).await.status, 200);

    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(1_000));
    let refused = post(&format!("{json}{}", length(&long)), long.as_bytes()).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (413, "too_large")
    );
    let chunks = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    assert_eq!(post(&chunked, chunks.as_bytes()).await.status, 413);
    let not_utf8 = post(&format!("{json}content-length: 1\r\n"), &[0xff]).await;
    assert_eq!(not_utf8.status, 400);
    let with_body = robot.call("GET", "/self", "{}").await;
    assert_eq!(
        (with_body.status, with_body.code().as_str()),
        (400, "invalid_request")
    );
}

/// Forms with which two parties read one stream of bytes as different requests. The HTTP library repaired
/// some of them and answered others without a body, and the test looked at the status alone.
#[tokio::test]
async fn a_request_that_two_parties_could_read_differently_is_refused() {
    // Malformed heads lead to a penalty.
    let penalties = PenaltyLimits {
        threshold: 1_000_000,
        ..PenaltyLimits::default()
    };
    let limits = Limits {
        penalties,
        ..Limits::default()
    };
    let served = with_admin(TestSite::builder().limits(limits)).await;
    let robot = Program::robot(&served, &["alarm.raise", "self.show"]).await;
    let second = robot.request("GET", "/self", &[], "");
    let of = |line: &str, fields: &str, body: &str| {
        let token = &robot.token;
        format!(
            "{line}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             {fields}\r\n{body}{second}"
        )
    };
    let post =
        |fields: &str, body: &str| of("POST /api/v1/alarms HTTP/1.1\r\nhost: a", fields, body);
    let (length, chunk) = (
        RAISE.len(),
        format!("{:x}\r\n{RAISE}\r\n0\r\n\r\n", RAISE.len()),
    );
    let (sized, chunked) = (
        format!("content-length: {length}\r\n"),
        "transfer-encoding: chunked\r\n",
    );
    let without_host = |line: &str| of(line, &sized, RAISE);
    let refused = [
        post(&format!("{sized}content-length: 1\r\n"), RAISE),
        post(&format!("{sized}{sized}"), RAISE),
        post(&format!("content-length: {length}, {length}\r\n"), RAISE),
        post("content-length: +5\r\n", RAISE),
        post("content-length: 0x5\r\n", RAISE),
        post(&format!("content-length : {length}\r\n"), RAISE),
        post("transfer-encoding: gzip\r\n", &chunk),
        post("transfer-encoding: chunked, identity\r\n", &chunk),
        post("transfer-encoding: xchunked\r\n", &chunk),
        post(&format!("{chunked}{sized}"), &chunk),
        post(&format!("{sized}{chunked}"), &chunk),
        post(&format!("{chunked}{chunked}"), &chunk),
        of("POST /api/v1/alarms HTTP/1.0\r\nhost: a", chunked, &chunk),
        post("x: y\r\n z: folded\r\ncontent-length: 0\r\n", ""),
        post(&format!("x: y\n{sized}"), RAISE),
        post(&format!("{}\n", sized.trim_end()), RAISE),
        without_host("POST /api/v1/alarms HTTP/1.1"),
        without_host("POST /api/v1/alarms HTTP/1.1\r\nhost: a\r\nhost: a"),
        without_host("POST /api/v1/alarms HTTP/1.1\r\nhost: a\r\nhost: b"),
        without_host("POST /api/v1/alarms HTTP/1.1\r\nhost:"),
        without_host("POST /api/v1/alarms HTTP/1.1\r\nhost: a, b"),
        without_host("POST http://b/api/v1/alarms HTTP/1.1\r\nhost: a"),
        "GET /api/v1/self HTTP/1.1\r\nhost: a\r\n\r\n".replace("/api", "/api\u{0}"),
        "GET  /api/v1/self HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        "GET /api/v1/self HTTP/9.9\r\nhost: a\r\n\r\n".to_owned(),
    ];
    let is_refused = |request: &str, answer: &Reply| {
        let found = (answer.status, answer.code());
        assert_eq!(found, (400, "malformed".to_owned()), "{request}");
        let (closes, length) = (answer.field("connection"), answer.field("content-length"));
        let whole = answer.body.len().to_string();
        assert_eq!((closes.as_str(), length), ("close", whole), "{request}");
        assert!(
            !answer.body.contains("HTTP/1.1 ") && !answer.body.contains(&robot.token),
            "a second request was read: {request}"
        );
    };
    for request in refused {
        let answer = raw(&served, request.as_bytes()).await;
        is_refused(&request, &answer);
        // After another request of the connection.
        let first = "OPTIONS /clock HTTP/1.1\r\nhost: a\r\n\r\n";
        let answer = raw(&served, format!("{first}{request}").as_bytes()).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        is_refused(&request, &Reply::of(answer.body.as_bytes()));
    }
    // The head is valid, so that the operation refuses the content.
    let broken = post(chunked, &chunk.replacen("\r\n", "\n", 1));
    let answer = raw(&served, broken.as_bytes()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "invalid_request")
    );
    assert!(!answer.body.contains("HTTP/1.1 "), "{answer:?}");
    let listed = served.admin("alarm.list", json!({})).await;
    assert_eq!(listed["entries"], json!([]));
    let absolute = of(
        "POST http://A/api/v1/alarms HTTP/1.1\r\nhost: a",
        chunked,
        &chunk,
    );
    let answer = raw(&served, absolute.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("HTTP/1.1 200"), "{answer:?}");
}

/// Malformed heads were answered by the HTTP library: they counted neither as responses nor, with a
/// problem, for the client.
#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let long = "x".repeat(64 * 1_024);
    let answer = robot
        .call_with("GET", "/self", &[("x-long", &long)], "")
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (431, "malformed"));
    let many: Vec<(&str, &str)> = (0..65).map(|_| ("x-many", "1")).collect();
    let answer = robot.call_with("GET", "/self", &many, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (431, "malformed"));
    let query = format!("/self?{}", "a=1&".repeat(129));
    assert_eq!(robot.call("GET", &query, "").await.status, 400);
}

/// The same request was repeated from memory for 24 hours, and carried out again after a restart.
#[tokio::test]
async fn a_request_that_changed_nothing_keeps_no_idempotency_key() {
    let site = TestSite::builder().operations(|| vec![does_nothing()]);
    let served = with_admin(site).await;
    let robot = Program::robot(&served, &["test.nothing"]).await;
    let fields = [("idempotency-key", "one")];
    for body in ["", "{}"] {
        let answer = robot.call_with("POST", "/nothing", &fields, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.field("idempotency-replayed"), "");
    }
}

/// The page sent a reader of a problem to the site's log, which had its id at the level `debug` alone.
#[tokio::test]
async fn the_log_has_the_id_of_a_refused_request() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false);
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let site = TestSite::builder().operations(|| vec![panics()]);
    let served = with_admin(site).await;
    let robot = Program::robot(&served, &["self.show", "test.panic"]).await;
    let refused = robot.call("POST", "/alarms", RAISE).await;
    assert_eq!(refused.code(), "not_permitted");
    let line = log.line_with(&refused.field("request-id"));
    for part in [
        "INFO",
        "POST",
        "alarm.raise",
        "robot",
        "403",
        "not_permitted",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let failed = robot.call("POST", "/panic", "").await;
    assert_eq!((failed.status, failed.code().as_str()), (500, "internal"));
    let line = log.line_with(&failed.field("request-id"));
    assert!(
        line.contains("ERROR") && line.contains("test.panic"),
        "{line}"
    );
}

/// A client that sends its body a byte a time is not waited for.
#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["alarm.raise"]).await;
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let fields = [("expect", "100-continue")];
    let whole = robot.request("POST", "/alarms", &fields, RAISE);
    let (part, _) = whole.split_at(whole.len() - 1);
    socket.write_all(part.as_bytes()).await.unwrap();
    // The server asks for the body when it begins to wait for it: the request is authenticated.
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut asked = [0; CONTINUE.len()];
    socket.read_exact(&mut asked).await.unwrap();
    assert_eq!(asked, CONTINUE);
    time::pass(Duration::from_secs(31)).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// An operation that finds nothing to change.
fn does_nothing() -> Entry {
    Entry::new("test", "nothing")
        .summary("Changes nothing.")
        .allow(&Role::ALL)
        .rest(RestMethod::Post, "/nothing")
        .handler(|_, _: Nothing| async { Ok(Answer::new(())) })
}

fn panics() -> Entry {
    Entry::new("test", "panic")
        .summary("Fails.")
        .allow(&Role::ALL)
        .rest(RestMethod::Post, "/panic")
        .handler(|_, _: Nothing| async {
            let number: u8 = "none".parse().unwrap();
            Ok(Answer::new(number))
        })
}

/// The log of the site.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn line_with(&self, part: &str) -> String {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let found = log.lines().find(|line| line.contains(part));
        found
            .unwrap_or_else(|| panic!("no line has {part}: {log}"))
            .to_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn waits(started: mpsc::UnboundedSender<()>) -> Entry {
    Entry::new("test", "wait")
        .summary("Runs for ever.")
        .allow(&Role::ALL)
        .rest(RestMethod::Post, "/wait")
        .handler(move |_, _: Nothing| {
            let _ = started.send(());
            async { std::future::pending::<Result<Answer<()>, _>>().await }
        })
}

#[tokio::test]
async fn an_account_has_a_limit_on_requests_that_run() {
    let (started, mut running) = mpsc::unbounded_channel();
    let limits = Limits {
        operations_in_flight: 2,
        ..Limits::default()
    };
    let site = TestSite::builder().operations(move || vec![waits(started.clone())]);
    let served = site.limits(limits).serve().await;
    let robot = Program::robot(&served, &["test.wait", "self.show"]).await;
    let other = Program::robot(&served, &["test.wait"]).await;
    let address = served.server.http_address().unwrap();
    let mut waiting = Vec::new();
    for program in [&other, &robot] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = program.request("POST", "/wait", &[], "");
        socket.write_all(request.as_bytes()).await.unwrap();
        running.recv().await.unwrap();
        waiting.push(socket);
    }
    let refused = robot.call("GET", "/self", "").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "busy"));
    assert_eq!(refused.field("retry-after"), "1");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("limits.operations_in_flight"), "{detail}");
    // A client that is gone makes room.
    drop(waiting.pop());
    time::until(async || robot.call("GET", "/self", "").await.status == 200).await;
}

fn large() -> Entry {
    Entry::new("test", "large")
        .summary("Returns more than the buffers of a connection hold.")
        .allow(&Role::ALL)
        .rest(RestMethod::Post, "/large")
        .handler(|_, _: Nothing| async { Ok(Answer::new("x".repeat(32 << 20))) })
}

/// A response that its client did not read was counted no more once it was made: an account had as many
/// of them in memory as connections.
#[tokio::test]
async fn an_account_whose_responses_are_not_read_gets_no_more_of_them() {
    let site = TestSite::builder().operations(|| vec![large()]);
    let served = site.serve().await;
    let robot = Program::robot(&served, &["test.large", "self.show"]).await;
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = robot.request("POST", "/large", &[], "");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    socket.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let refused = robot.call("GET", "/self", "").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "busy"));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("limits.unsent_bytes"), "{detail}");
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() > 32 << 20);
    time::until(async || robot.call("GET", "/self", "").await.status == 200).await;
}

#[tokio::test]
async fn pages_of_other_origins_may_call_if_an_admin_named_them() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let (named, other) = ("https://tools.example.org", "https://evil.example");
    let ask = async |origin: &str| {
        robot
            .call_with("GET", "/self", &[("origin", origin)], "")
            .await
    };
    assert_eq!(ask(named).await.field("access-control-allow-origin"), "");
    served
        .admin("site.config", json!({ "web_origins": [named] }))
        .await;
    let allowed = ask(named).await;
    assert_eq!(allowed.field("access-control-allow-origin"), named);
    assert_eq!(allowed.field("vary"), "origin");
    for refused in [other, "null", "https://tools.example.org.evil.example", "*"] {
        let refused = ask(refused).await;
        assert_eq!(refused.field("access-control-allow-origin"), "");
        assert_eq!(refused.field("access-control-allow-credentials"), "");
    }
    let fields = [
        ("origin", named),
        ("access-control-request-method", "PATCH"),
    ];
    let asked = robot.call_with("OPTIONS", "/self", &fields, "").await;
    assert_eq!(asked.status, 204);
    assert_eq!(
        asked.field("access-control-allow-methods"),
        "GET, HEAD, OPTIONS"
    );
    assert_eq!(asked.field("access-control-allow-origin"), named);
    let (code, data) = served
        .refused("site.config", json!({ "web_origins": ["*"] }))
        .await;
    assert_eq!(data["field"], "web_origins[0]", "{code:?} {data}");
}

/// The body was read before anything had checked whether the sender may call the operation: 256 requests of
/// a weak token kept 256 MiB and all places of its account.
#[tokio::test]
async fn a_sender_without_permission_is_refused_before_its_body_arrives() {
    let served = with_admin(TestSite::builder()).await;
    let weak = Program::robot(&served, &["self.show"]).await;
    let head = format!(
        "POST /api/v1/alarms HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000000\r\n\r\n",
        weak.token
    );
    // No byte of the body is sent.
    let refused = raw(&served, head.as_bytes()).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "not_permitted")
    );
}

/// A list that its client does not read counted once it was made, so 256 lists were made at once.
#[tokio::test]
async fn lists_of_one_account_wait_for_room() {
    let limits = Limits {
        unsent_bytes: 4_096,
        ..Limits::default()
    };
    let served = with_admin(TestSite::builder().limits(limits)).await;
    let robot = Program::robot(&served, &["event.list"]).await;
    let calls = (0..20).map(|_| robot.call("GET", "/events", ""));
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test]
async fn the_description_and_its_page_need_no_credential() {
    let served = TestSite::builder().serve().await;
    let get = async |path: &str, fields: &str| {
        let request =
            format!("GET /api/v1{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
        raw(&served, request.as_bytes()).await
    };
    let document = get("/openapi.json", "").await;
    assert_eq!(
        (document.status, &document.json()["openapi"]),
        (200, &json!("3.1.0"))
    );
    let tag = document.field("etag");
    let known = get("/openapi.json", &format!("if-none-match: {tag}\r\n")).await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let page = get("/docs", "").await;
    assert_eq!(page.field("content-type"), "text/html; charset=utf-8");
    assert!(
        page.field("content-security-policy")
            .starts_with("default-src 'none'")
    );
    assert!(page.body.contains("<code>/persons/{name}</code>"));
    assert_eq!(
        get("/docs/style.css", "").await.field("content-type"),
        "text/css; charset=utf-8"
    );
    assert_eq!(get("/docs/../docs", "").await.status, 404);
}
