//! Sessions over WebSockets: the same client, through a bridge that puts its bytes into messages.

use std::net::SocketAddr;

use countersign_client::{CallError, Connector, LoginAs};
use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::operation::Code;
use countersign_proto::session::{Goodbye, LoginError};
use countersign_proto::uri::SiteUri;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{PASSPHRASE, ServedSite, time};
use futures_util::{SinkExt, StreamExt};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::operations::{PIECE, site};

/// A request to open a session at the HTTP listener.
pub(crate) fn request(address: SocketAddr) -> Request {
    request_of(&format!("ws://{address}/session"))
}

fn request_of(url: &str) -> Request {
    let mut request = url.into_client_request().unwrap();
    let protocol = HeaderValue::from_static("countersign.session.1");
    let fields = request.headers_mut();
    fields.insert("sec-websocket-protocol", protocol);
    request
}

async fn open(served: &ServedSite) -> WebSocketStream<TcpStream> {
    let address = served.server.http_address().unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    client_async(request(address), socket).await.unwrap().0
}

/// The status of the response to a request that opens no WebSocket.
pub(crate) async fn refused(served: &ServedSite, change: impl FnOnce(&mut Request)) -> u16 {
    let address = served.server.http_address().unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    let mut request = request(address);
    change(&mut request);
    match client_async(request, socket).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

/// The status of the response to a request with this URL and origin.
pub(crate) async fn open_at(url: &str, origin: Option<&str>) -> u16 {
    let mut request = request_of(url);
    if let Some(origin) = origin {
        let origin = HeaderValue::from_str(origin).unwrap();
        request.headers_mut().insert("origin", origin);
    }
    let address = request.uri().authority().unwrap().as_str();
    let socket = TcpStream::connect(address).await.unwrap();
    match client_async(request, socket).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

/// The URI of a bridge: it puts what arrives into messages of at most `most` bytes.
async fn bridge(served: &ServedSite, most: usize) -> SiteUri {
    bridge_with(served, most, |_| {}).await
}

/// A bridge whose requests to open WebSockets are changed.
pub(crate) async fn bridge_with(
    served: &ServedSite,
    most: usize,
    change: impl Fn(&mut Request) + Send + 'static,
) -> SiteUri {
    let address = served.server.http_address().unwrap();
    let make = move || {
        let mut request = request(address);
        change(&mut request);
        request
    };
    bridge_by(make, *served.uri.site_key(), most).await
}

/// A bridge to the WebSocket at this URL.
pub(crate) async fn bridge_to(url: String, site_key: SitePublicKey, most: usize) -> SiteUri {
    bridge_by(move || request_of(&url), site_key, most).await
}

/// A bridge that opens WebSockets with these requests.
async fn bridge_by(
    make: impl Fn() -> Request + Send + 'static,
    site_key: SitePublicKey,
    most: usize,
) -> SiteUri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let request = make();
            tokio::spawn(async move {
                let address = request.uri().authority().unwrap().as_str();
                let socket = TcpStream::connect(address).await.unwrap();
                let (socket, _) = client_async(request, socket).await.unwrap();
                let (mut to_site, mut from_site) = socket.split();
                let (mut from_client, mut to_client) = client.into_split();
                let sending = async {
                    let mut buffer = vec![0; most];
                    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                        let message = Message::binary(buffer[..length].to_vec());
                        if to_site.send(message).await.is_err() {
                            return;
                        }
                    }
                    let _ = to_site.close().await;
                };
                let receiving = async {
                    while let Some(Ok(message)) = from_site.next().await {
                        if let Message::Binary(bytes) = message
                            && to_client.write_all(&bytes).await.is_err()
                        {
                            return;
                        }
                    }
                    let _ = to_client.shutdown().await;
                };
                tokio::join!(sending, receiving);
            });
        }
    });
    SiteUri::new("127.0.0.1", port, site_key).unwrap()
}

fn maria() -> LoginAs {
    LoginAs::person("maria".parse().unwrap(), PASSPHRASE.to_owned().into())
}

// SES-87
#[tokio::test]
async fn a_session_over_a_web_socket_is_the_same_session() {
    let served = site().maria().serve().await;
    // One byte in each message, and several packets in one.
    for most in [1, 16 * 1024] {
        let uri = bridge(&served, most).await;
        let client = Connector::new(&uri).connect(maria()).await.unwrap();
        let me: Value = client.call("self", "show", &json!({})).await.unwrap();
        assert_eq!(me["name"], "maria@example.org");
        let missing = client.call::<_, Value>("no", "such", &json!({})).await;
        assert!(matches!(missing, Err(CallError::Failed { code, .. })
            if code == Code::UNKNOWN_OPERATION));
        client.close().await.unwrap();
    }
    time::until(async || served.site.sessions().count() == 0).await;
}

// SES-87
#[tokio::test]
async fn content_passes_over_a_web_socket_in_both_directions() {
    let served = site().serve().await;
    let uri = bridge(&served, 16 * 1024).await;
    let client = served.robot_by(&Connector::new(&uri)).await.unwrap();
    let params = to_raw_value(&json!({ "pieces": 64 })).unwrap();
    let (_, content) = client.stream("test", "give", params, None).await.unwrap();
    let all = content.unwrap().all(64 * PIECE).await.unwrap();
    assert_eq!(all.len(), 64 * PIECE);
}

// SES-87
#[tokio::test]
async fn a_session_over_a_web_socket_is_resumed_over_tcp() {
    let served = site().maria().serve().await;
    let uri = bridge(&served, 16 * 1024).await;
    let first = Connector::new(&uri).connect(maria()).await.unwrap();
    let stored = first.resumption().to_secret();
    let session = first.welcome().session;

    let resumption = countersign_proto::session::client::Resumption::from_secret(&stored);
    let connector = Connector::new(&served.uri);
    let second = connector.resume_session(resumption.clone()).await.unwrap();
    assert_eq!(second.welcome().session, session);
    first.closed().await;
    assert_eq!(first.ended(), Some(Goodbye::Replaced));
    let _: Value = second.call("self", "show", &json!({})).await.unwrap();
    // The site accepts each attempt once.
    let replayed = connector.resume_session(resumption).await;
    let refused = countersign_client::ConnectError::Login(LoginError::NotAuthenticated);
    assert_eq!(
        replayed.err().map(|error| error.to_string()),
        Some(refused.to_string())
    );
    let newer = second.resumption();
    assert!(connector.resume_session(newer).await.is_ok());
}

/// A page that was loaded again could not change the pass phrase: its client had no identity to seal.
#[tokio::test]
async fn a_session_that_another_program_opened_changes_the_pass_phrase() {
    let served = site().maria().serve().await;
    let connector = Connector::new(&served.uri);
    let first = connector.connect(maria()).await.unwrap();
    let certificate = first.identity().unwrap().certificate().clone();
    let second = connector.resume_session(first.resumption()).await.unwrap();
    let [present, new, wrong] = [PASSPHRASE, "another long pass phrase", "a wrong one"]
        .map(|text| countersign_crypto::secret::Passphrase::from(text.to_owned()));
    let refused = second.change_passphrase(&wrong, &new).await;
    assert!(matches!(
        refused,
        Err(countersign_client::CredentialError::WrongPassphrase)
    ));
    second.change_passphrase(&present, &new).await.unwrap();
    let _: Value = second.call("self", "show", &json!({})).await.unwrap();
    let maria = LoginAs::person("maria".parse().unwrap(), new);
    let again = connector.connect(maria).await.unwrap();
    assert_eq!(
        again.identity().unwrap().certificate().der(),
        certificate.der()
    );
}

// SES-88, SES-89
#[tokio::test]
async fn a_request_that_is_no_upgrade_or_comes_from_another_page_is_refused() {
    let served = site().serve().await;
    let status = refused(&served, |request| {
        let origin = HeaderValue::from_static("https://evil.example");
        request.headers_mut().insert("origin", origin);
    });
    assert_eq!(status.await, 403);
    let status = refused(&served, |request| {
        request.headers_mut().remove("sec-websocket-protocol");
    });
    assert_eq!(status.await, 426);
    let plain = crate::http::request(&served, "GET", "/session", &[]).await;
    assert_eq!(plain.status, 426);
    let post = crate::http::request(&served, "POST", "/session", &[]).await;
    assert_eq!(post.status, 405);
}

/// The close code after the bytes of a frame.
async fn code_after(served: &ServedSite, frame: &[u8]) -> CloseCode {
    let mut socket = open(served).await;
    socket.get_mut().write_all(frame).await.unwrap();
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(frame))) => return frame.unwrap().code,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

// SES-90
#[tokio::test]
async fn text_and_long_messages_end_the_connection() {
    let served = site().serve().await;
    // Both have a mask of zeros.
    let text = code_after(&served, b"\x81\x85\0\0\0\0hello").await;
    assert_eq!(text, CloseCode::Unsupported);
    // A message of 16,385 bytes is announced. With bytes that the site does not read, the system would
    // reset the connection, and the close code be lost.
    let long = code_after(&served, b"\x82\xfe\x40\x01\0\0\0\0").await;
    assert_eq!(long, CloseCode::Size);
}

/// The limits of connections before a login are those of TCP.
// SES-87
#[tokio::test]
async fn a_web_socket_without_a_login_is_closed_in_time_and_evicted_when_there_is_no_room() {
    let limits = Limits {
        // Few enough for every machine: with fewer descriptors, the server lowers the others too.
        connections: 64,
        proxied_connections: 16,
        unauthenticated: 2,
        unauthenticated_early_drop: 2,
        ..Limits::default()
    };
    let served = site().limits(limits).serve().await;
    let mut first = open(&served).await;
    let _second = open(&served).await;
    let _third = open(&served).await;
    while let Some(Ok(_)) = first.next().await {}

    let mut silent = open(&served).await;
    time::pass(Limits::default().unauthenticated_timeout).await;
    while let Some(Ok(_)) = silent.next().await {}
}

// SES-87
#[tokio::test]
async fn a_site_that_stops_ends_sessions_over_web_sockets_with_a_reason() {
    let served = site().maria().serve().await;
    let uri = bridge(&served, 16 * 1024).await;
    let client = Connector::new(&uri)
        .resume_timeout(std::time::Duration::ZERO)
        .connect(maria())
        .await
        .unwrap();
    let stopped = served.stop().await;
    client.closed().await;
    assert_eq!(client.ended(), Some(Goodbye::Stopping));
    drop(stopped);
}
