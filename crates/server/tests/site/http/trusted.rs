//! Trusted proxies, and the independence of the listeners.

use std::net::SocketAddr;
use std::time::Duration;

use countersign_core::throttle::PenaltyLimits;
use countersign_server::Proxies;
use countersign_server::limits::Limits;
use countersign_testkit::harness::ServedSite;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::operations::site;

pub(crate) fn on_this_machine(trust_forwarded: bool) -> Proxies {
    Proxies {
        addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        trust_forwarded,
    }
}

/// The status of a request for the key statement with these header fields; `None` if the connection was rejected.
pub(crate) async fn introduced(address: SocketAddr, fields: &str) -> String {
    asked(address, "GET /.well-known/countersign", fields, "").await
}

pub(super) async fn asked(address: SocketAddr, what: &str, fields: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let asked = format!(
        "{what} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}content-length: {length}\r\n\r\n{body}"
    );
    let mut answer = Vec::new();
    let _ = socket.write_all(asked.as_bytes()).await;
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned()
}

/// Sends malformed data to the session port until its source has a penalty.
async fn misbehave(served: &ServedSite) {
    let address = served.server.session_address().unwrap();
    for _ in 0..17 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let _ = socket.write_all(&[0xff; 64]).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    }
    let listed = served.admin("penalty.list", json!({})).await;
    assert_eq!(listed["entries"][0]["source"], "127.0.0.1");
    assert!(served.try_robot().await.is_err());
}

/// 16 malformed connections to the session port from the address of a proxy closed HTTP for all of the proxy's
/// clients, for 15 s, then 30 s, up to an hour.
#[tokio::test]
async fn penalties_of_the_session_port_do_not_close_http_for_a_proxy() {
    for trust_forwarded in [false, true] {
        let served = site()
            .proxies(on_this_machine(trust_forwarded))
            .serve()
            .await;
        misbehave(&served).await;
        let address = served.server.http_address().unwrap();
        assert_eq!(introduced(address, "").await, "200");
        let client = "x-forwarded-for: 203.0.113.7\r\n";
        assert_eq!(introduced(address, client).await, "200");
    }
}

/// For a source that is not a proxy, a penalty holds at both listeners: it has no second budget of failures at the
/// other one.
#[tokio::test]
async fn penalties_close_both_listeners_for_other_sources() {
    let served = site().serve().await;
    misbehave(&served).await;
    let address = served.server.http_address().unwrap();
    assert_eq!(introduced(address, "").await, "");
}

/// 256 idle connections to the session port had the same effect without any abuse.
#[tokio::test]
async fn idle_connections_do_not_close_http_for_a_proxy() {
    let limits = Limits {
        unauthenticated_per_source: 8,
        connections_per_source: 8,
        ..Limits::default()
    };
    let served = site()
        .limits(limits)
        .proxies(on_this_machine(false))
        .serve()
        .await;
    let session = served.server.session_address().unwrap();
    let mut idle = Vec::new();
    for _ in 0..12 {
        idle.push(TcpStream::connect(session).await.unwrap());
    }
    assert!(served.try_robot().await.is_err());
    let address = served.server.http_address().unwrap();
    assert_eq!(introduced(address, "").await, "200");
}

/// A proxy gets no penalty for forwarded garbage and for unverified requests.
#[tokio::test]
async fn a_proxy_is_never_penalized() {
    let served = site().proxies(on_this_machine(true)).serve().await;
    let address = served.server.http_address().unwrap();
    let chains = [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-for: 127.0.0.1\r\nx-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-for: unknown, 127.0.0.1\r\n",
        "",
    ];
    for number in 0..40 {
        let fields = chains[number % chains.len()];
        let status = asked(address, "POST /authenticate", fields, "{}").await;
        assert_eq!(status, "401");
        let mut socket = TcpStream::connect(address).await.unwrap();
        let _ = socket.write_all(b"\x16\x03\x01 no HTTP\r\n\r\n").await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    }
    let listed = served.admin("penalty.list", json!({})).await;
    assert_eq!(listed["entries"], json!([]));
}

/// The address that a second proxy appended was taken for the client, so that the first proxy was penalized.
#[tokio::test]
async fn a_client_behind_two_proxies_counts_for_itself() {
    let served = site().proxies(on_this_machine(true)).serve().await;
    let address = served.server.http_address().unwrap();
    let guesser = "x-forwarded-for: 203.0.113.7, 127.0.0.1\r\n";
    for _ in 0..32 {
        assert_eq!(
            asked(address, "POST /authenticate", guesser, "{}").await,
            "401"
        );
    }
    assert_eq!(
        asked(address, "POST /authenticate", guesser, "{}").await,
        "503"
    );
    let other = "x-forwarded-for: 203.0.113.8, 127.0.0.1\r\n";
    assert_eq!(
        asked(address, "POST /authenticate", other, "{}").await,
        "401"
    );
    let listed = served.admin("penalty.list", json!({})).await;
    assert_eq!(listed["entries"][0]["source"], "203.0.113.7");
    assert_eq!(introduced(address, "").await, "200");
}

/// Limits and proxies change without a restart, and open connections stay open.
#[tokio::test]
async fn limits_and_proxies_are_changed_while_the_server_runs() {
    let served = site().serve().await;
    let session = served.robot().await;
    let limits = Limits {
        sessions_per_account: 1,
        suspended_sessions_per_account: 0,
        unauthenticated_timeout: Duration::from_secs(20),
        penalties: PenaltyLimits {
            threshold: 8,
            ..PenaltyLimits::default()
        },
        ..Limits::default()
    };
    served.server.reload(limits, on_this_machine(false));
    assert!(served.try_robot().await.is_err());
    let address = served.server.session_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _ = socket.write_all(&[0xff; 64]).await;
    let _ = socket.read_to_end(&mut Vec::new()).await;
    let listed = served.admin("penalty.list", json!({})).await;
    assert_eq!(listed["entries"][0]["source"], "127.0.0.1");
    let http = served.server.http_address().unwrap();
    assert_eq!(introduced(http, "").await, "200");
    drop(session);
}
