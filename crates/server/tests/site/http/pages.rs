//! What a page of an attacker makes the browser of its reader send must not have the address of the
//! reader refused.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use countersign_server::{HttpTls, Server};
use countersign_testkit::harness::ServedSite;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::trusted::asked;
use crate::operations::site;

/// [SES-92]: a page that a person looked at sent requests to the site, and so had the address of the whole
/// office penalized.
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
            assert_eq!(asked(session, "POST /", field, &long).await, "");
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
        answer.clear();
        let _ = socket.read_to_end(&mut answer).await;
    }
    answer
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
    let served = site().serve().await;
    let here = Some("127.0.0.1:0".parse().unwrap());
    let server = Server::builder(served.site.clone())
        .device(here)
        .http(here)
        .http_tls(HttpTls::Site)
        .peer(here);
    let server = server.start().await.unwrap();
    served.admin("peer.start", json!({})).await;
    let hello = client_hello("ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256").await;
    for address in [
        server.device_address().unwrap(),
        server.http_address().unwrap(),
        served.site.endpoints().peer_listener.unwrap(),
    ] {
        for bytes in [b"GET /image HTTP/1.1\r\nhost: a\r\n\r\n", hello.as_slice()] {
            assert_eq!(send(address, bytes, 100).await, b"");
        }
        assert_eq!(penalties(&served).await, json!([]), "{address}");
    }
    // Other bytes count.
    send(server.device_address().unwrap(), &[0xff; 64], 16).await;
    assert_eq!(penalties(&served).await[0]["source"], "127.0.0.1");
    drop(server);
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
