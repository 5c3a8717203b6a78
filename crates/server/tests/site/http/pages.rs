//! What a page of an attacker makes the browser of its reader send must not have the address of the
//! reader refused.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use countersign_server::limits::Limits;
use countersign_server::{HttpTls, Server};
use countersign_testkit::harness::{ServedSite, time};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::trusted::{asked, on_this_machine};
use crate::operations::site;

/// More than the site takes to report.
const SOON: Duration = Duration::from_secs(60);

/// [SES-92]: a page that a person looked at sent requests to the site, and so had the address of the whole
/// office penalized. A page from a name of the attacker that leads to the site chooses the method too.
#[tokio::test]
async fn pages_bring_no_penalty_upon_the_address_of_their_reader() {
    let served = site().serve().await;
    let session = served.server.session_address().unwrap();
    let address = served.server.http_address().unwrap();
    let long = "x".repeat(9_000);
    for _ in 0..40 {
        for field in [
            "origin: https://evil.example\r\n",
            "sec-fetch-site: cross-site\r\n",
        ] {
            for what in ["POST /authenticate", "GET /authenticate?authRequest=x"] {
                assert_eq!(asked(address, what, field, "{}").await, "403");
            }
            for what in ["POST /", "X /"] {
                assert_eq!(asked(session, what, field, &long).await, "");
            }
        }
        let mut socket = TcpStream::connect(session).await.unwrap();
        let _ = socket.write_all(b"\x16\x03\x01\x02\x00\x01").await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
    let listed = served.admin("penalty.list", json!({})).await;
    assert_eq!(listed["entries"], json!([]));
    // The same requests by another program count.
    for _ in 0..32 {
        asked(address, "POST /authenticate", "", "{}").await;
    }
    let listed = served.admin("penalty.list", json!({})).await;
    assert_eq!(listed["entries"][0]["source"], "127.0.0.1");
}

/// The first message of a TLS handshake with a client that verifies these signatures.
async fn client_hello(signatures: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut program = Command::new("openssl");
    program.args(["s_client", "-sigalgs", signatures, "-connect", &address]);
    let streams = program.stdin(Stdio::null()).stdout(Stdio::null());
    let mut client = streams.stderr(Stdio::null()).spawn().unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut record = vec![0; 5];
    socket.read_exact(&mut record).await.unwrap();
    let length = u16::from_be_bytes([record[3], record[4]]);
    record.resize(5 + usize::from(length), 0);
    socket.read_exact(&mut record[5..]).await.unwrap();
    drop(socket);
    client.wait().unwrap();
    record
}

/// Sends these bytes on so many connections, and returns what the last one got.
async fn send(address: SocketAddr, bytes: &[u8], times: u32) -> Vec<u8> {
    let mut answer = Vec::new();
    for _ in 0..times {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let _ = socket.write_all(bytes).await;
        answer = rest(socket).await;
    }
    answer
}

async fn rest(mut socket: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    answer
}

/// A site with all of its ports.
struct Ports {
    served: ServedSite,
    /// The device port, the peer port and an HTTP listener with TLS.
    with_tls: [SocketAddr; 3],
    session: SocketAddr,
    http: SocketAddr,
    _server: Server,
}

impl Ports {
    async fn open() -> Self {
        let served = site().serve().await;
        let here = Some("127.0.0.1:0".parse().unwrap());
        let server = Server::builder(served.site.clone())
            .device(here)
            .http(here)
            .http_tls(HttpTls::Site)
            .peer(here);
        let server = server.start().await.unwrap();
        served.admin("peer.start", json!({})).await;
        Self {
            with_tls: [
                server.device_address().unwrap(),
                server.http_address().unwrap(),
                served.site.endpoints().peer_listener.unwrap(),
            ],
            session: served.server.session_address().unwrap(),
            http: served.server.http_address().unwrap(),
            served,
            _server: server,
        }
    }

    fn all(&self) -> impl Iterator<Item = SocketAddr> {
        let without = [self.session, self.http];
        self.with_tls.into_iter().chain(without)
    }
}

async fn penalties(served: &ServedSite) -> Value {
    let listed = served.admin("penalty.list", json!({})).await;
    listed["entries"].clone()
}

/// [SES-93]: 16 images of a page, with URIs of the peer port, the device port or the HTTP listener with TLS,
/// had the address of the whole office refused at all ports. With `https:` the site also computed a key
/// agreement for each, since browsers do not verify signatures of Ed25519.
#[tokio::test]
async fn pages_bring_no_penalty_upon_their_readers_at_ports_with_tls() {
    let ports = Ports::open().await;
    let hello = client_hello("ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256").await;
    for address in ports.with_tls {
        for bytes in [b"GET /image HTTP/1.1\r\nhost: a\r\n\r\n", hello.as_slice()] {
            assert_eq!(send(address, bytes, 100).await, b"");
        }
        assert_eq!(penalties(&ports.served).await, json!([]), "{address}");
    }
    // A record of the handshake with other bytes counts.
    let malformed = [&b"\x16\x03\x01\0\x40"[..], &[0xff; 64]].concat();
    send(ports.with_tls[0], &malformed, 16).await;
    assert_eq!(penalties(&ports.served).await[0]["source"], "127.0.0.1");
}

/// What a browser sends for a page to a TURN server, and to a candidate of ICE over TCP. The page
/// chooses the name.
fn stun() -> [Vec<u8>; 2] {
    let message = |kind: u8| {
        let head = [&[0, kind, 0, 8][..], b"\x21\x12\xa4\x42", &[7; 12]].concat();
        [&head[..], b"\0\x06\0\x04a\n\na"].concat()
    };
    let check = message(1);
    let length = u16::try_from(check.len()).unwrap().to_be_bytes();
    [message(3), [&length[..], &check].concat()]
}

/// [SES-92], [SES-93], [SES-94]: a page named ports of the site as TURN servers and as candidates of
/// WebRTC. The browser then sent STUN, which was malformed or no login.
#[tokio::test]
async fn pages_with_webrtc_bring_no_penalty_upon_their_readers() {
    let ports = Ports::open().await;
    for address in ports.all() {
        for bytes in stun() {
            let answer = send(address, &bytes, 100).await;
            let expected = if address == ports.http {
                &b"HTTP/1.1 400 "[..]
            } else {
                b""
            };
            assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty());
        }
        assert_eq!(penalties(&ports.served).await, json!([]), "{address}");
    }
}

/// [SES-95]: a page made the browser open connections in advance. It sent nothing on them, and the
/// site ended all after 30 s: 32 of them had the address of the reader refused at all ports.
#[tokio::test]
async fn connections_on_which_nothing_came_bring_no_penalty() {
    let ports = Ports::open().await;
    for address in ports.all() {
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // The server has accepted all others when it answers the last one.
        send(address, b"GET /\r\n\r\n", 1).await;
        ports.served.admin("penalty.forget", json!({})).await;
        // The client closes half of them, and the server the others.
        silent.truncate(50);
        time::settle().await;
        assert_eq!(penalties(&ports.served).await, json!([]), "{address}");
        time::pass(Limits::default().unauthenticated_timeout).await;
        for socket in silent {
            rest(socket).await;
        }
        assert_eq!(penalties(&ports.served).await, json!([]), "{address}");
    }
    // A connection on which one byte came counts.
    let mut socket = TcpStream::connect(ports.with_tls[0]).await.unwrap();
    socket.write_all(b"\x16").await.unwrap();
    send(ports.with_tls[0], b"GET /\r\n\r\n", 1).await;
    time::settle().await;
    time::pass(Limits::default().unauthenticated_timeout).await;
    rest(socket).await;
    assert_eq!(penalties(&ports.served).await[0]["source"], "127.0.0.1");
}

/// [SES-94]: the same with `https:` and a listener without TLS. The first message of a handshake has an LF
/// without CR, and so was a malformed request.
#[tokio::test]
async fn pages_bring_no_penalty_upon_their_readers_at_a_listener_without_tls() {
    let served = site().serve().await;
    let address = served.server.http_address().unwrap();
    let hello = client_hello("ecdsa_secp256r1_sha256:ed25519").await;
    let answer = send(address, &hello, 100).await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "));
    assert_eq!(penalties(&served).await, json!([]));
    send(address, b"GET /\n\n", 16).await;
    assert_eq!(penalties(&served).await[0]["source"], "127.0.0.1");
}

/// [SES-96]: URIs have hosts that are none for the site, such as `a{b.example`, and a page can name
/// them.
#[tokio::test]
async fn pages_bring_no_penalty_upon_their_readers_with_strange_hosts() {
    let served = site().serve().await;
    let address = served.server.http_address().unwrap();
    for host in ["a{b.evil.example:4750", "a\"b", "a`b", ""] {
        let request = format!("GET /image HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let answer = send(address, request.as_bytes(), 50).await;
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{host}");
    }
    assert_eq!(penalties(&served).await, json!([]));
}

/// [SES-100]: at a listener without TLS a browser marks neither an image nor what a page of the same origin asks for
/// with GET. 40 images of a page that named ticket requests had the address of the reader refused at all ports, and
/// so had requests of a page, from a name that leads to the site, with a wrong credential.
#[tokio::test]
async fn pages_bring_no_penalty_upon_their_readers_with_images_and_credentials() {
    let served = site().serve().await;
    let address = served.server.http_address().unwrap();
    let image = "GET /authenticate?authRequest=x";
    let credential = "authorization: Bearer cst_x\r\n";
    let refused = asked(address, image, "", "").await;
    served.admin("penalty.forget", json!({})).await;
    let language = "accept-language: en\r\n";
    for _ in 0..40 {
        assert_eq!(asked(address, image, language, "").await, refused);
        for (what, field) in [
            ("GET /api/v1/self", language),
            ("POST /api/v1/persons", "origin: http://evil.example\r\n"),
        ] {
            let fields = format!("{credential}{field}");
            assert_eq!(asked(address, what, &fields, "{}").await, "401");
        }
    }
    assert_eq!(penalties(&served).await, json!([]));
    // A browser marks each POST, so these are not of a page.
    for _ in 0..40 {
        asked(address, "POST /authenticate", language, "{}").await;
    }
    assert_eq!(penalties(&served).await[0]["source"], "127.0.0.1");
}

/// [SES-100]: behind a proxy that terminates TLS, each client was one without TLS. A field that any program sends
/// switched the penalties off, and the lines for fail2ban.
#[tokio::test]
async fn a_client_with_tls_at_a_proxy_has_no_excuse_in_its_fields() {
    let served = site().proxies(on_this_machine(true)).serve().await;
    let address = served.server.http_address().unwrap();
    let credential = "authorization: Bearer cst_x\r\n";
    // A credential over plain HTTP is refused before it is verified.
    for (number, scheme, status) in [
        (1, "x-forwarded-proto: https\r\n", "503"),
        (2, "x-forwarded-proto: http\r\n", "403"),
        (3, "", "401"),
    ] {
        let client = format!("x-forwarded-for: 203.0.113.{number}\r\n{scheme}{credential}");
        for (what, field) in [
            ("GET /authenticate?authRequest=x", "accept-language: en\r\n"),
            ("GET /api/v1/self", "accept-language: en\r\n"),
            ("POST /api/v1/persons", "origin: x\r\n"),
        ] {
            let fields = format!("{client}{field}");
            for _ in 0..40 {
                asked(address, what, &fields, "{}").await;
            }
        }
        let last = asked(address, "GET /api/v1/self", &client, "").await;
        assert_eq!(last, status, "{scheme}");
    }
    let listed = penalties(&served).await;
    let mut listed = listed.as_array().unwrap().iter();
    assert!(listed.any(|entry| entry["source"] == "203.0.113.1"));
}

/// [SES-100]: 130 images of a page brought no penalty upon the reader, and an alarm to all admins, with a line of the
/// log, that named the reader's address and asked to block it.
#[tokio::test]
async fn no_alarm_names_the_reader_of_a_page() {
    let served = site().maria().serve().await;
    let address = served.server.http_address().unwrap();
    let (maria, robot) = (served.maria().await, served.robot().await);
    let mut events = maria.events();
    for _ in 0..130 {
        let image = "GET /authenticate?authRequest=x";
        asked(address, image, "accept-language: en\r\n", "").await;
    }
    for _ in 0..100 {
        let params = serde_json::value::to_raw_value(&json!({ "name": "maria" })).unwrap();
        robot.outcome("person", "delete", params).await.unwrap();
    }
    let event = tokio::time::timeout(SOON, events.next())
        .await
        .unwrap()
        .unwrap();
    let data: Value = serde_json::from_str(event.data.get()).unwrap();
    assert_eq!(data["actor"], "robot@example.org");
}
