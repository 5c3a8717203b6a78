//! Setting a pass phrase over a sealed channel in a WebSocket, as a page does.

use std::io;
use std::net::SocketAddr;

use countersign_client::ConnectError;
use countersign_client::passphrase_ticket::{PassphraseTicketError, set_over};
use countersign_core::public_url::PublicUrl;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::ClientRegistration;
use countersign_net::sealed_stream::SealedStream;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::enrolment::channel::CLIENT_KEY_LENGTH;
use countersign_proto::enrolment::passphrase::client::RegistrationError;
use countersign_proto::enrolment::passphrase::{RegistrationReply, RegistrationRequest};
use countersign_proto::session::LoginError;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::http::console;
use crate::sessions::passphrase_tickets::{ADA, NEW, SOON, Site, cut, passphrase};

impl Site {
    fn http(&self) -> SocketAddr {
        self.served.server.http_address().unwrap()
    }

    /// The entries of the audit log with this operation.
    async fn audited(&self, operation: &str) -> Vec<Value> {
        let entries = self.served.audit().await.into_iter();
        let entries = entries.filter(|entry| entry["operation"] == operation);
        entries.collect()
    }
}

/// The bytes of a WebSocket with the subprotocol.
async fn dial(address: SocketAddr) -> io::Result<DuplexStream> {
    dial_at(address, "/session").await
}

async fn dial_at(address: SocketAddr, path: &str) -> io::Result<DuplexStream> {
    let socket = TcpStream::connect(address).await?;
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .unwrap();
    let protocol = HeaderValue::from_static("countersign.registration.1");
    let fields = request.headers_mut();
    fields.insert("sec-websocket-protocol", protocol);
    let (socket, response) = client_async(request, socket)
        .await
        .map_err(io::Error::other)?;
    assert_eq!(
        response.headers()["sec-websocket-protocol"],
        "countersign.registration.1"
    );
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let (mut to_site, mut from_site) = socket.split();
        let (mut from_client, mut to_client) = tokio::io::split(far);
        let sending = async {
            let mut buffer = vec![0; 1_000];
            while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                let message = Message::binary(buffer[..length].to_vec());
                if to_site.send(message).await.is_err() {
                    return;
                }
            }
        };
        let receiving = async {
            while let Some(Ok(message)) = from_site.next().await {
                if let Message::Binary(bytes) = message
                    && to_client.write_all(&bytes).await.is_err()
                {
                    return;
                }
            }
        };
        // The pipe is closed as soon as one direction has ended.
        tokio::select! {
            () = sending => {}
            () = receiving => {}
        }
    });
    Ok(near)
}

async fn set(
    address: SocketAddr,
    ticket: &EnrolmentTicket,
    id: &str,
    text: &str,
) -> Result<RegistrationReply, PassphraseTicketError> {
    set_by(|| dial(address), ticket, id, text).await
}

async fn set_by<F: Future<Output = io::Result<DuplexStream>>>(
    dial: impl Fn() -> F,
    ticket: &EnrolmentTicket,
    id: &str,
    text: &str,
) -> Result<RegistrationReply, PassphraseTicketError> {
    let (id, new) = (id.parse().unwrap(), passphrase(text));
    let setting = set_over(dial, "the site", None, ticket, &id, &new);
    timeout(SOON, setting).await.unwrap()
}

fn is_refused(result: &Result<RegistrationReply, PassphraseTicketError>) -> bool {
    matches!(
        result,
        Err(PassphraseTicketError::Dialog(RegistrationError::Refused))
    )
}

// DEV-60, DEV-43
#[tokio::test]
async fn a_page_sets_a_pass_phrase_with_a_ticket_once() {
    let site = Site::new().await;
    let ticket = site.ticket().await;
    let reply = set(site.http(), &ticket, ADA, NEW).await.unwrap();
    assert_eq!(
        (reply.id.to_string().as_str(), reply.repeated),
        (ADA, false)
    );
    assert!(site.logs_in(NEW).await);
    let again = set(site.http(), &ticket, ADA, "another pass phrase").await;
    assert!(is_refused(&again));
    assert!(site.logs_in(NEW).await);
    let audited = site.audited("passphrase.enrolled").await;
    assert_eq!(audited.len(), 1);
    assert_eq!(audited[0]["channel"], "http");
}

/// `countersign console` refused every ticket: it passed bytes to the session port alone, and registrations are
/// taken at the HTTP listener.
#[tokio::test]
async fn a_page_sets_a_pass_phrase_through_the_relay_on_the_users_machine() {
    let site = Site::new().await;
    let http = PublicUrl::try_from(format!("http://{}", site.http())).unwrap();
    let (address, path) = console::relay_with(&site.served.uri, Some(http)).await;
    let path = format!("{path}session");
    let ticket = site.ticket().await;
    set_by(|| dial_at(address, &path), &ticket, ADA, NEW)
        .await
        .unwrap();
    assert!(site.logs_in(NEW).await);
    // The relay adds no origin of its own, and needs none.
    let audited = site.audited("passphrase.enrolled").await;
    assert_eq!(audited[0]["channel"], "http");
}

#[tokio::test]
async fn a_relay_passes_no_registration_to_what_is_no_site() {
    let site = Site::new().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone_address = gone.local_addr().unwrap();
    drop(gone);
    let health = format!("{}/api/v1", site.http());
    for (http, status) in [
        // Without the address of the site's HTTP listener.
        (None, "426"),
        (Some(gone_address.to_string()), "502"),
        // It has no WebSocket there.
        (Some(health), "502"),
    ] {
        let http = http.map(|http| PublicUrl::try_from(format!("http://{http}")).unwrap());
        let (address, path) = console::relay_with(&site.served.uri, http).await;
        let refused = dial_at(address, &format!("{path}session")).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(status), "{refused}");
    }
}

// DEV-45
#[tokio::test]
async fn a_page_opens_the_ticket_of_the_first_admin() {
    let site = Site::new().await;
    let now = site.served.now();
    let ticket = site.served.site.issue_first_admin_ticket(now).await;
    let ticket = ticket.unwrap().unwrap();
    set(site.http(), &ticket, "root", NEW).await.unwrap();
    let root = site.served.log_in("root", NEW).await.unwrap();
    let me: Value = root.call("self", "show", &json!({})).await.unwrap();
    assert_eq!(me["role"], "admin");
}

// DEV-43
#[tokio::test]
async fn a_page_whose_connection_breaks_anywhere_sets_the_pass_phrase_all_the_same() {
    let site = Site::new().await;
    // The bytes of the site: the response, its key, key events, challenge, reply, close.
    for after in [100, 800, 1_400, 1_800, 2_200, 2_400, 2_500, 2_600] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let cutting = tokio::spawn(cut(listener, site.http(), vec![after]));
        let (ticket, text) = (site.ticket().await, format!("{NEW} {after}"));
        // Before its request is sent, the page reports that it reached no site.
        let set_once = set(proxy, &ticket, ADA, &text).await;
        if let Err(error) = &set_once {
            let early = matches!(error, PassphraseTicketError::Channel(_));
            assert!(early || is_refused(&set_once), "{after}: {error:?}");
            set(site.http(), &ticket, ADA, &text).await.unwrap();
        }
        cutting.abort();
        assert!(site.logs_in(&text).await, "{after}");
    }
}

// DEV-63
#[tokio::test]
async fn a_page_sends_no_token_to_another_site() {
    let (site, other) = (Site::new().await, Site::new().await);
    let ticket = site.ticket().await;
    assert!(matches!(
        set(other.http(), &ticket, ADA, NEW).await,
        Err(PassphraseTicketError::Channel(ConnectError::Login(
            LoginError::WrongSite
        )))
    ));
    assert!(set(site.http(), &ticket, ADA, NEW).await.is_ok());
}

// DEV-44
#[tokio::test]
async fn a_wrong_id_spends_the_ticket_on_a_channel_too() {
    let site = Site::new().await;
    let ticket = site.ticket().await;
    assert!(is_refused(&set(site.http(), &ticket, "eve", NEW).await));
    assert!(is_refused(&set(site.http(), &ticket, ADA, NEW).await));
    let misused = site.audited("ticket.misused").await;
    assert_eq!(misused[0]["channel"], "http");
}

/// A channel to the site.
async fn open(site: &Site) -> SealedStream<DuplexStream> {
    let stream = dial(site.http()).await.unwrap();
    let opened = SealedStream::connect(stream, &mut SystemEntropy).await;
    let (stream, proved) = opened.unwrap();
    assert_eq!(proved, site.served.site.public_key().signing);
    stream
}

/// What arrives until the site closes.
async fn to_the_end(mut stream: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut arrived = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut arrived))
        .await
        .unwrap();
    arrived
}

// DEV-60, DEV-62, DEV-64
#[tokio::test]
async fn what_is_no_request_gets_silence_and_is_counted() {
    let site = Site::new().await;
    // Not a key.
    let mut stream = dial(site.http()).await.unwrap();
    stream.write_all(&[0xff; CLIENT_KEY_LENGTH]).await.unwrap();
    assert!(to_the_end(stream).await.is_empty());
    // Not a line; a line for another dialog; a line without an end.
    let enrolment = json!({
        "token": "AgICAgICAgICAgICAgICAg", "id": ADA, "key": "AA", "device": "phone", "proof": "AA",
    });
    let lines = [
        b"hello\n".to_vec(),
        format!("{enrolment}\n").into_bytes(),
        vec![b' '; 8 * 1024],
    ];
    for line in &lines {
        let mut stream = open(&site).await;
        stream.write_all(line).await.unwrap();
        stream.flush().await.unwrap();
        assert!(to_the_end(stream).await.is_empty());
    }
    site.served.site.write_all_counted().await.unwrap();
    let malformed = site.audited("device.malformed").await;
    assert!(!malformed.is_empty());
    for entry in malformed {
        assert_eq!(entry["channel"], "http", "{entry}");
        assert_eq!(entry["actor"], "127.0.0.1", "{entry}");
    }
}

// DEV-64
#[tokio::test]
async fn an_unknown_token_gets_silence_like_a_spent_one() {
    let site = Site::new().await;
    let spent = site.ticket().await;
    set(site.http(), &spent, ADA, NEW).await.unwrap();
    for token in [
        spent.token().clone(),
        countersign_proto::enrolment::Token::from_bytes([9; 16]),
    ] {
        let mut stream = open(&site).await;
        let identity = Identity::generate(&mut SystemEntropy);
        let (_, opaque) = ClientRegistration::start(&passphrase(NEW), &mut SystemEntropy).unwrap();
        let exporter = stream.enrolment_exporter();
        let id = ADA.parse().unwrap();
        let request = RegistrationRequest::new(token, id, &identity, opaque, &exporter).unwrap();
        stream.write_all(request.to_line().expose()).await.unwrap();
        stream.flush().await.unwrap();
        assert!(to_the_end(stream).await.is_empty());
    }
}

// DEV-66
#[tokio::test]
async fn a_page_of_another_origin_opens_no_channel() {
    let site = Site::new().await;
    let socket = TcpStream::connect(site.http()).await.unwrap();
    let mut request = format!("ws://{}/session", site.http())
        .into_client_request()
        .unwrap();
    let fields = request.headers_mut();
    let protocol = HeaderValue::from_static("countersign.registration.1");
    fields.insert("sec-websocket-protocol", protocol);
    let origin = HeaderValue::from_static("https://evil.example");
    fields.insert("origin", origin);
    match client_async(request, socket).await {
        Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 403),
        other => panic!("{other:?}"),
    }
}
