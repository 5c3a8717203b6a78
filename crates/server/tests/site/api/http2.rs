//! HTTP/2: with prior knowledge on this machine. The frames are written here, so that they can be wrong.

use std::collections::HashMap;
use std::process::Command;
use std::time::{Duration, Instant};

use countersign_server::clock;
use countersign_testkit::harness::{ServedSite, TestSite, time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Program;
use crate::http::trusted::on_this_machine;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    stream: u32,
    pub(super) payload: Vec<u8>,
}

/// A client that may send anything.
pub(super) struct Http2(TcpStream);

impl Http2 {
    pub(super) async fn connect(served: &ServedSite) -> Self {
        let address = served.server.http_address().unwrap();
        let mut client = Self(TcpStream::connect(address).await.unwrap());
        client
            .0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        client.send(SETTINGS, 0, 0, &[]).await;
        client
    }

    pub(super) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        // The site may have ended the connection already.
        let _ = self.0.write_all(&[&head, payload].concat()).await;
    }

    /// Sends a whole request without a body.
    pub(super) async fn request(&mut self, stream: u32, fields: &[(&str, &str)]) {
        let flags = END_STREAM | END_HEADERS;
        self.send(HEADERS, flags, stream, &literal(fields)).await;
    }

    /// The next frame; `None` at the end.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        };
        match (frame.kind, frame.flags) {
            (SETTINGS, 0) => self.send(SETTINGS, 1, 0, &[]).await,
            (PING, 0) => self.send(PING, 1, 0, &frame.payload).await,
            _ => {}
        }
        Some(frame)
    }

    /// The next frame that is not about the connection's settings and windows; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY) {
                return Some(frame);
            }
        }
    }

    /// The next whole response: its stream and its body.
    pub(super) async fn answered(&mut self) -> (u32, String) {
        let mut bodies = HashMap::<u32, Vec<u8>>::new();
        loop {
            let frame = self.frame().await.unwrap();
            assert_ne!(frame.kind, GOAWAY, "{:?}", frame.payload);
            if frame.kind == DATA {
                let body = bodies.entry(frame.stream).or_default();
                body.extend(frame.payload);
                if frame.flags & END_STREAM == END_STREAM {
                    let body = String::from_utf8(body.clone()).unwrap();
                    return (frame.stream, body);
                }
            }
        }
    }
}

impl Http2 {
    /// How long the connection lasts from this moment on, while the client answers pings.
    async fn lasted(mut self, began: Instant) -> Duration {
        let ended = tokio::spawn(async move {
            while self.next().await.is_some_and(|frame| frame.kind != GOAWAY) {}
        });
        while !ended.is_finished() {
            time::pass(Duration::from_secs(5)).await;
            time::settle().await;
        }
        clock::monotonic() - began
    }
}

/// Fields without compression (RFC 7541, section 6.2.2).
pub(super) fn literal(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            match text.len() {
                short @ 0..127 => block.push(u8::try_from(short).unwrap()),
                long => {
                    block.push(127);
                    let mut rest = long - 127;
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).unwrap() | 128);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).unwrap());
                }
            }
            block.extend(text.as_bytes());
        }
    }
    block
}

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "site.example"),
    (":path", "/api/v1/docs"),
];
/// `:status: 200` of the static table.
const OK: u8 = 0x88;
/// `:status: 400` of the static table.
const BAD_REQUEST: u8 = 0x8c;

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GET[..], more].concat()
}

#[tokio::test]
async fn a_request_of_http_2_is_answered() {
    let served = TestSite::builder().serve().await;
    let mut client = Http2::connect(&served).await;
    client.request(1, &GET).await;
    let answer = client.next().await.unwrap();
    assert_eq!(
        (answer.kind, answer.stream, answer.payload[0]),
        (HEADERS, 1, OK)
    );
    let same = with(&[("host", "site.example")]);
    client.request(3, &same).await;
    assert_eq!(client.next().await.unwrap().payload[0], OK);
    let other = with(&[("host", "other.example")]);
    client.request(5, &other).await;
    assert_eq!(client.next().await.unwrap().payload[0], BAD_REQUEST);
}

/// HEAD was answered with the body: for an event stream one without an end.
#[tokio::test]
async fn head_over_http_2_has_the_length_and_no_body() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["event.list", "self.show"]).await;
    let credential = format!("Bearer {}", robot.token);
    let mut client = Http2::connect(&served).await;
    let head = |path, accept| {
        [
            (":method", "HEAD"),
            (":scheme", "http"),
            (":authority", "site.example"),
            (":path", path),
            ("accept", accept),
            ("authorization", &*credential),
        ]
        .map(|(name, value): (&'static str, &str)| (name, value.to_owned()))
    };
    let requests = [
        head("/api/v1/events", "text/event-stream"),
        head("/api/v1/self", "application/json"),
        head("/clock?nonce=AAAAAAAAAAAAAAAAAAAAAA", "*/*"),
    ];
    for (number, request) in (0..).zip(&requests) {
        let fields = request
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        client.request(2 * number + 1, &fields).await;
        let answer = client.next().await.unwrap();
        assert_eq!((answer.kind, answer.payload[0]), (HEADERS, OK), "{number}");
        assert_eq!(answer.flags & END_STREAM, END_STREAM, "{number}");
    }
}

/// Requests that a proxy which translates them to HTTP/1.1 could read differently.
#[tokio::test]
async fn a_malformed_request_of_http_2_is_refused() {
    let served = TestSite::builder().serve().await;
    let requests = [
        with(&[("connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("keep-alive", "1")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        with(&[("X-Upper", "1")]),
        with(&[("a b", "1")]),
        with(&[("x", "1\r\nhost: other")]),
        with(&[(":path", "/other")]),
        with(&[(":unknown", "1")]),
        with(&[("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "1")]),
        with(&[("content-length", "x")]),
        GET[..3].to_vec(),
        GET[1..].to_vec(),
        vec![("x", "1"), GET[0], GET[1], GET[2], GET[3]],
        vec![GET[0], GET[1], GET[2], (":path", "")],
    ];
    for request in requests {
        let mut client = Http2::connect(&served).await;
        client.request(1, &request).await;
        let answer = client.next().await;
        let refused = answer.is_none_or(|answer| {
            let is_answer = answer.kind == HEADERS;
            !is_answer || answer.payload[0] == BAD_REQUEST
        });
        assert!(refused, "{request:?}");
    }
}

#[tokio::test]
async fn too_many_fields_of_http_2_are_refused() {
    let served = TestSite::builder().serve().await;
    let mut client = Http2::connect(&served).await;
    let names: Vec<String> = (0..70).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    client.request(1, &with(&many)).await;
    let answer = client.next().await.unwrap();
    assert_ne!((answer.kind, answer.payload[0]), (HEADERS, OK));
    // More bytes than a head may have, in parts.
    let mut client = Http2::connect(&served).await;
    let long = "x".repeat(12_000);
    client.send(HEADERS, END_STREAM, 1, &literal(&GET)).await;
    for _ in 0..64 {
        client
            .send(CONTINUATION, 0, 1, &literal(&[("x", &long)]))
            .await;
    }
    client.send(CONTINUATION, END_HEADERS, 1, &[]).await;
    let answer = client.next().await;
    assert!(answer.is_none_or(|answer| answer.kind != HEADERS || answer.payload[0] != OK));
}

/// CVE-2023-44487: each request costs the client nothing, and the server the work for it.
#[tokio::test]
async fn requests_that_are_cancelled_at_once_end_the_connection() {
    let served = TestSite::builder().serve().await;
    let mut client = Http2::connect(&served).await;
    let mut bytes = Vec::new();
    for number in 0..2_000_u32 {
        let stream = (2 * number + 1).to_be_bytes();
        let block = literal(&GET);
        let length = u32::try_from(block.len()).unwrap().to_be_bytes();
        bytes.extend([&length[1..], &[HEADERS, END_STREAM | END_HEADERS], &stream].concat());
        bytes.extend(block);
        bytes.extend([&[0, 0, 4, RST_STREAM, 0], &stream[..], &8_u32.to_be_bytes()].concat());
    }
    let (mut reader, mut writer) = client.0.into_split();
    let writing = tokio::spawn(async move {
        let _ = writer.write_all(&bytes).await;
        writer
    });
    // The site ends the connection; the client has not said goodbye.
    let mut received = Vec::new();
    let _ = reader.read_to_end(&mut received).await;
    let _ = writing.await;
    client = Http2::connect(&served).await;
    client.request(1, &GET).await;
    assert_eq!(client.next().await.unwrap().payload[0], OK);
}

#[tokio::test]
async fn a_connection_of_http_2_has_a_limited_number_of_requests() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["event.list"]).await;
    let credential = format!("Bearer {}", robot.token);
    let mut client = Http2::connect(&served).await;
    let events = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "site.example"),
        (":path", "/api/v1/events"),
        ("accept", "text/event-stream"),
        ("authorization", &credential),
    ];
    for number in 0..64 {
        client.request(2 * number + 1, &events).await;
        let answer = client.next().await.unwrap();
        assert_eq!((answer.kind, answer.payload[0]), (HEADERS, OK), "{number}");
    }
    client.request(129, &events).await;
    let refused = client.next().await.unwrap();
    // REFUSED_STREAM: the client may send it again on another connection.
    assert_eq!((refused.kind, refused.stream), (RST_STREAM, 129));
    assert_eq!(refused.payload, 7_u32.to_be_bytes());
    assert_eq!(refused.flags, 0);
    drop(client);
    time::until(async || served.site.events().streams() == 0).await;
}

/// The limits of one client closed the connection of a proxy to all clients behind it.
#[tokio::test]
async fn a_connection_of_a_proxy_carries_the_requests_of_many_clients() {
    let builder = TestSite::builder().proxies(on_this_machine(false));
    let served = builder.serve().await;
    let mut client = Http2::connect(&served).await;
    for number in 0..64 {
        client.request(2 * number + 1, &GET).await;
        let cancel = 8_u32.to_be_bytes();
        client.send(RST_STREAM, 0, 2 * number + 1, &cancel).await;
    }
    client.request(129, &GET).await;
    loop {
        let frame = client.next().await.unwrap();
        assert_ne!(frame.kind, GOAWAY);
        if frame.stream == 129 {
            assert_eq!((frame.kind, frame.payload[0]), (HEADERS, OK));
            break;
        }
    }
}

/// Flow control kept responses, and the places that they take, for as long as the client answered pings.
#[tokio::test]
async fn a_client_of_http_2_that_takes_no_response_loses_its_connection() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let credential = format!("Bearer {}", robot.token);
    let mut client = Http2::connect(&served).await;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
    let call = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "site.example"),
        (":path", "/api/v1/self"),
        ("authorization", &credential),
    ];
    let began = clock::monotonic();
    client.request(1, &call).await;
    assert_eq!(client.next().await.unwrap().payload[0], OK);
    let lasted = client.lasted(began).await.as_secs();
    assert!((60..600).contains(&lasted), "{lasted} s");
}

/// One request with a credential kept the connection for as long as the client answered pings.
#[tokio::test]
async fn a_connection_without_requests_ends() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let credential = format!("Bearer {}", robot.token);
    let mut client = Http2::connect(&served).await;
    let call = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "site.example"),
        (":path", "/api/v1/self"),
        ("authorization", &credential),
    ];
    let began = clock::monotonic();
    client.request(1, &call).await;
    assert_eq!(client.next().await.unwrap().payload[0], OK);
    assert!(client.lasted(began).await >= Duration::from_secs(600));
}

#[tokio::test]
async fn a_web_socket_needs_http_1_1() {
    let served = TestSite::builder().serve().await;
    let mut client = Http2::connect(&served).await;
    let request = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "site.example"),
        (":path", "/session"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "countersign.session.1"),
    ];
    client.request(1, &request).await;
    let answer = client.next().await;
    assert!(answer.is_none_or(|answer| answer.kind != HEADERS || answer.payload[0] != OK));
}

#[tokio::test]
async fn curl_speaks_http_2_with_prior_knowledge_to_this_machine() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let address = served.server.http_address().unwrap();
    let mut program = Command::new("curl");
    program
        .args(["-sS", "--max-time", "60", "--http2-prior-knowledge", "-H"])
        .arg(format!("authorization: Bearer {}", robot.token))
        .args(["-o", "/dev/null", "-w", "%{http_version} %{http_code}"])
        .arg(format!("http://{address}/api/v1/self"));
    let run = tokio::task::spawn_blocking(move || program.output().unwrap());
    let output = run.await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "2 200",
        "{output:?}"
    );
}
