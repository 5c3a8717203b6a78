//! Sessions over WebSockets through a trusted proxy.

use countersign_client::{Client, ConnectError, Connector, LoginAs};
use countersign_proto::session::LoginError;
use countersign_server::Proxies;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{PASSPHRASE, ServedSite, time};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::http::trusted::{introduced, on_this_machine};
use crate::operations::site;
use crate::sessions::web_socket::{bridge_with, refused, request};

const MESSAGE: usize = 16 * 1024;

/// Names a client as a proxy does.
fn name(request: &mut Request, client: &'static str) {
    let client = HeaderValue::from_static(client);
    request.headers_mut().insert("x-forwarded-for", client);
}

/// Logs the service in through a proxy that names no client.
async fn robot_through_proxy(served: &ServedSite) -> Result<Client, ConnectError> {
    let uri = bridge_with(served, MESSAGE, |_| {}).await;
    served.robot_by(&Connector::new(&uri)).await
}

/// A request with a token authenticated the connection. The session that began on it waited for an
/// eviction that could not come any more, and panicked.
// SES-87
#[tokio::test]
async fn a_session_may_begin_on_the_connection_of_a_request_with_a_credential() {
    let served = site().serve().await;
    let params = json!({ "service": "robot", "operations": ["self.show"] });
    let created = served.admin("token.create", params).await;
    let token = created["token"].as_str().unwrap();
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let call = format!(
        "GET /api/v1/self HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    socket.write_all(call.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    // The body is an object of members without objects.
    while reply.last() != Some(&b'}') {
        assert!(socket.read_buf(&mut reply).await.unwrap() > 0);
    }
    assert!(reply.starts_with(b"HTTP/1.1 200"));
    let (mut socket, _) = client_async(request(address), socket).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(frame))) => {
                assert_eq!(frame.unwrap().code, CloseCode::Unsupported);
                break;
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// All clients of a proxy counted as one client, which locked its owner out of a name or freed the
/// guesses of all.
// SES-91
#[tokio::test]
async fn a_proxy_that_names_no_client_opens_no_session() {
    for trust_forwarded in [false, true] {
        let proxies = on_this_machine(trust_forwarded);
        let served = site().proxies(proxies).serve().await;
        for (field, value) in [
            ("x-forwarded-for", "unknown"),
            ("forwarded", "for=203.0.113.7"),
            ("via", "1.1 proxy"),
            ("x-real-ip", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
        ] {
            let status = refused(&served, |request| {
                let value = HeaderValue::from_static(value);
                request.headers_mut().insert(field, value);
            });
            assert_eq!(status.await, 403, "{field}");
        }
        // A client on this machine.
        robot_through_proxy(&served).await.unwrap();
    }
    let served = site().proxies(on_this_machine(false)).serve().await;
    let status = refused(&served, |request| name(request, "203.0.113.7")).await;
    assert_eq!(status, 403);
}

/// Also with clients that a proxy names, sessions took the places of requests through it, and were
/// evicted as one group.
// SES-91
#[tokio::test]
async fn a_session_counts_for_the_client_that_the_proxy_names() {
    let limits = Limits {
        connections_per_source: 2,
        proxied_connections: 1,
        proxied_sessions: 1,
        ..Limits::default()
    };
    let served = site()
        .limits(limits)
        .proxies(on_this_machine(true))
        .serve()
        .await;
    let guest = bridge_with(&served, MESSAGE, |request| name(request, "203.0.113.7")).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(served.robot_by(&Connector::new(&guest)).await.unwrap());
    }
    let listed = served.admin("session.list", json!({})).await;
    for session in listed["entries"].as_array().unwrap() {
        let address = session["address"].as_str().unwrap();
        assert!(address.starts_with("203.0.113.7:"), "{address}");
    }
    let third = refused(&served, |request| name(request, "203.0.113.7")).await;
    assert_eq!(third, 503);
    let other = bridge_with(&served, MESSAGE, |request| name(request, "203.0.113.8")).await;
    open.push(served.robot_by(&Connector::new(&other)).await.unwrap());
    // The one place of requests is free.
    let address = served.server.http_address().unwrap();
    assert_eq!(introduced(address, "").await, "200");
}

/// One member closed HTTP for all: 1,024 sessions took every place of the proxy's connections.
#[tokio::test]
async fn an_account_has_a_share_of_the_sessions_without_a_named_client() {
    let limits = Limits {
        proxied_connections: 1,
        // An account has an eighth of them.
        proxied_sessions: 8,
        ..Limits::default()
    };
    let served = site()
        .maria()
        .limits(limits)
        .proxies(on_this_machine(false))
        .serve()
        .await;
    let first = robot_through_proxy(&served).await.unwrap();
    let second = robot_through_proxy(&served).await;
    assert!(matches!(second, Err(ConnectError::Login(LoginError::Busy))));
    let uri = bridge_with(&served, MESSAGE, |_| {}).await;
    let maria = LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
    Connector::new(&uri).connect(maria).await.unwrap();
    let address = served.server.http_address().unwrap();
    assert_eq!(introduced(address, "").await, "200");
    // Its sessions over TCP do not count.
    served.robot().await;
    first.close().await.unwrap();
    time::until(async || robot_through_proxy(&served).await.is_ok()).await;
}

/// A client that is no proxy cannot choose its source.
// SES-91
#[tokio::test]
async fn without_proxies_each_source_opens_sessions() {
    let served = site().proxies(Proxies::default()).serve().await;
    let uri = bridge_with(&served, MESSAGE, |request| name(request, "203.0.113.7")).await;
    let session = served.robot_by(&Connector::new(&uri)).await.unwrap();
    let listed = served.admin("session.list", json!({})).await;
    let address = listed["entries"][0]["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    drop(session);
}
