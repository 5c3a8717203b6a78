//! Consumer and provider against each other, and each against another implementation of RFC 9421
//! (the npm package `http-message-signatures`): default ports, empty paths, prefixes and proxies.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use axum::{Extension, Router};
use bytes::Bytes;
use countersign_http_auth::{
    AuthenticatedApp, Insertion, MemoryTickets, OpenedTicket, ProviderBuilder, RequestName,
    TicketStore, TicketStoreError,
};
use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::message::Nonce;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{HeaderMap, HeaderValue, Method, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tower_layer::Layer;
use tower_service::Service;

use super::v1::node::{self, Node};
use super::wire::{RecordedRequest, Served, serve};
use super::world::{A, SECOND, World};

/// A store that the test can read.
#[derive(Clone, Default)]
struct Shown(Arc<MemoryTickets>);

#[async_trait]
impl TicketStore for Shown {
    async fn insert_ticket(
        &self,
        ticket: OpenedTicket,
        issued: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError> {
        self.0.insert_ticket(ticket, issued, now).await
    }

    fn survives_restart(&self) -> bool {
        self.0.survives_restart()
    }

    async fn ticket(&self, id: Nonce) -> Result<Option<OpenedTicket>, TicketStoreError> {
        self.0.ticket(id).await
    }

    async fn void_tickets(
        &self,
        application: Option<&str>,
        until: u64,
    ) -> Result<(), TicketStoreError> {
        self.0.void_tickets(application, until).await
    }

    async fn void_until(&self, application: &str) -> Result<u64, TicketStoreError> {
        self.0.void_until(application).await
    }

    async fn lower_void(&self, later_than: u64, to: u64) -> Result<(), TicketStoreError> {
        self.0.lower_void(later_than, to).await
    }

    async fn insert_request(
        &self,
        name: RequestName,
        application: &str,
        until: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError> {
        self.0.insert_request(name, application, until, now).await
    }
}

/// Connects to one address for all host names.
#[derive(Clone)]
struct To(SocketAddr);

impl Service<Uri> for To {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, called: Uri) -> Self::Future {
        let by_number = called.authority().and_then(|it| it.as_str().parse().ok());
        let address = by_number.unwrap_or(self.0);
        Box::pin(async move { TcpStream::connect(address).await.map(TokioIo::new) })
    }
}

/// `ledger`, which returns the id of each verified consumer at every path.
async fn ledger(provider: ProviderBuilder, tickets: &Shown) -> Served {
    let provider = provider.tickets(tickets.clone()).build().unwrap();
    let who = async |Extension(app): Extension<AuthenticatedApp>| app.id;
    serve(Router::new().fallback(who).layer(provider)).await
}

/// Calls an address over hyper, which always connects to `ledger`. Returns the status.
async fn call(world: &World, ledger: &Served, address: &str, host: Option<&str>) -> u16 {
    let client = Client::builder(TokioExecutor::new());
    let client = client.build::<_, Full<Bytes>>(To(ledger.address()));
    let consumer = world.consumer_of(&address.parse::<Uri>().map(|it| origin_of(&it)).unwrap());
    let mut client = consumer.build().unwrap().layer(client);
    let content = Full::<Bytes>::from("12.50");
    let mut request = http::Request::post(address).body(content).unwrap();
    if let Some(host) = host {
        let host = HeaderValue::from_str(host).unwrap();
        request.headers_mut().insert("host", host);
    }
    client.call(request).await.unwrap().status().as_u16()
}

fn origin_of(address: &Uri) -> String {
    format!(
        "{}://{}",
        address.scheme().unwrap(),
        address.authority().unwrap()
    )
}

/// The credentials that `ledger` shares with the consumer that signed this request.
async fn shared(tickets: &Shown, sent: &RecordedRequest) -> Credentials {
    let input = sent.headers["signature-input"].to_str().unwrap();
    let (_, id) = input.split_once("keyid=\"").unwrap();
    let id = BASE64URL_NOPAD.decode(&id.as_bytes()[..22]).unwrap();
    let ticket = tickets.ticket(Nonce(id.try_into().unwrap())).await;
    ticket.unwrap().unwrap().credentials
}

/// The folder in which the package is installed, with the versions of the lock file.
fn installed() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker/rfc9421");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rfc9421");
    std::fs::create_dir_all(&to).unwrap();
    let lock = |folder: &Path| std::fs::read(folder.join("package-lock.json")).ok();
    let ready = lock(&from) == lock(&to) && to.join("node_modules").exists();
    for file in ["package.json", "package-lock.json", "signatures.mjs"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    if !ready {
        // `scripts/install test` installs npm together with Node.
        let installed = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&to)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(installed.success(), "npm could not install the package");
    }
    to
}

/// The other implementation.
struct Other {
    node: Node,
    id: String,
    secret: String,
    now: u64,
    signed: u32,
}

impl Other {
    fn with(credentials: &Credentials, now: u64) -> Self {
        Self {
            node: Node::run(&installed().join("signatures.mjs"), ""),
            id: credentials.id.to_string(),
            secret: BASE64.encode(credentials.secret.expose()),
            now: now / SECOND,
            signed: 0,
        }
    }

    /// Whether it verifies this request for `url`.
    fn verifies(&mut self, sent: &RecordedRequest, url: &str) -> bool {
        let headers = sent.headers.iter();
        let headers: Map<String, Value> = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
            .collect();
        let verified = self.node.request(&json!(["verify", {
            "method": sent.method.as_str(), "url": url, "headers": headers,
            "content": String::from_utf8(sent.body.to_vec()).unwrap(),
            "secret": self.secret, "now": self.now,
        }]));
        verified.as_bool().unwrap_or_else(|| panic!("{verified}"))
    }

    /// Signs a request to `url` and returns the headers.
    fn signs(&mut self, url: &str, digests: &[&str]) -> HeaderMap {
        self.signed += 1;
        let signed = self.node.request(&json!(["sign", {
            "method": "POST", "url": url, "content": "12.50", "digests": digests,
            "id": self.id, "secret": self.secret, "now": self.now,
            "nonce": format!("nonce {}", self.signed),
        }]));
        let fields = signed.as_object().unwrap().iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            (name.parse::<http::HeaderName>().unwrap(), value)
        });
        fields.collect()
    }
}

/// Regression: an empty path was signed as it was written but sent as a slash, so the request was
/// rejected.
// BRK-12
#[tokio::test]
async fn another_implementation_verifies_what_our_consumer_signs() {
    let (world, tickets) = (World::new().await, Shown::default());
    let ledger = ledger(world.provider(), &tickets).await;
    let mut others = None;
    for (address, host, arrives, called) in [
        ("http://ledger.example", None, "/", "http://ledger.example/"),
        (
            "http://Ledger.Example:80/a",
            None,
            "/a",
            "http://ledger.example/a",
        ),
        (
            "https://ledger.example:443/a",
            None,
            "/a",
            "https://ledger.example/a",
        ),
        (
            "http://ledger.example:443/a",
            None,
            "/a",
            "http://ledger.example:443/a",
        ),
        (
            "http://ledger.example:8080/a?",
            None,
            "/a?",
            "http://ledger.example:8080/a?",
        ),
        (
            "http://ledger.example?x=1",
            None,
            "/?x=1",
            "http://ledger.example/?x=1",
        ),
        (
            "http://ledger.example/api/a%2fb/%7e?x=%20&y=%C3%A9",
            None,
            "/api/a%2fb/%7e?x=%20&y=%C3%A9",
            "http://ledger.example/api/a%2fb/%7e?x=%20&y=%C3%A9",
        ),
        // The application sets `host` itself, to call an alias.
        (
            "http://archive.example/a",
            Some("Ledger.Example:80"),
            "/a",
            "http://ledger.example/a",
        ),
    ] {
        assert_eq!(call(&world, &ledger, address, host).await, 200, "{address}");
        let sent = ledger.last();
        assert_eq!(sent.path, arrives, "{address}");
        if node::is_here() {
            let credentials = shared(&tickets, &sent).await;
            let other = Other::with(&credentials, world.time.now());
            let other = others.insert(other);
            // That package removes the `?` of an empty query.
            let verifies = other.verifies(&sent, called);
            assert_eq!(verifies, !called.ends_with('?'), "{address}");
            assert!(!other.verifies(&sent, "http://archive.example/a"));
        }
    }
}

/// Regression: requests to port 80 or 443 were rejected if `host` included the port, which RFC 9421
/// leaves out. Requests with another digest, or through a proxy that removes a path prefix, were
/// rejected too.
// BRK-12
#[tokio::test]
async fn our_provider_verifies_what_another_implementation_signs() {
    if !node::is_here() {
        return;
    }
    let (world, tickets) = (World::new().await, Shown::default());
    let served = ledger(world.provider(), &tickets).await;
    assert_eq!(
        call(&world, &served, "http://ledger.example", None).await,
        200
    );
    let credentials = shared(&tickets, &served.last()).await;
    let mut other = Other::with(&credentials, world.time.now());
    let behind = world
        .provider()
        .authority("ledger.example:443")
        .path_prefix("/api/");
    let behind = ledger(behind, &tickets).await;
    let first = ["sha-256"].as_slice();
    for (url, digests, to, host, path, expected) in [
        (
            "http://ledger.example/a",
            first,
            &served,
            "ledger.example",
            "/a",
            200,
        ),
        (
            "http://ledger.example:80/a",
            first,
            &served,
            "Ledger.example:80",
            "/a",
            200,
        ),
        (
            "https://ledger.example/a",
            first,
            &served,
            "ledger.example:443",
            "/a",
            200,
        ),
        (
            "http://ledger.example:8080/a",
            first,
            &served,
            "ledger.example:8080",
            "/a",
            200,
        ),
        (
            "http://ledger.example?x=1",
            first,
            &served,
            "ledger.example:80",
            "/?x=1",
            200,
        ),
        (
            "http://ledger.example",
            first,
            &served,
            "ledger.example",
            "/",
            200,
        ),
        (
            "http://ledger.example/a%2Fb",
            &["sha-512"],
            &served,
            "ledger.example",
            "/a%2Fb",
            200,
        ),
        ("http://h/", &["sha-512", "sha-256"], &served, "h", "/", 200),
        (
            "https://ledger.example/api/a",
            first,
            &behind,
            "127.0.0.1:8080",
            "/a",
            200,
        ),
        (
            "https://ledger.example/api/?x=1",
            first,
            &behind,
            "10.0.0.1",
            "/?x=1",
            200,
        ),
        // Another port, host, path or prefix, and an insecure digest.
        (
            "http://ledger.example:8080/a",
            first,
            &served,
            "ledger.example",
            "/a",
            401,
        ),
        (
            "http://ledger.example/a",
            first,
            &served,
            "ledger.example:8080",
            "/a",
            401,
        ),
        (
            "http://archive.example/a",
            first,
            &served,
            "ledger.example",
            "/a",
            401,
        ),
        (
            "http://ledger.example/a%2Fb",
            first,
            &served,
            "ledger.example",
            "/a/b",
            401,
        ),
        (
            "https://ledger.example/a",
            first,
            &behind,
            "ledger.example",
            "/a",
            401,
        ),
        (
            "http://ledger.example/a",
            &["md5"],
            &served,
            "ledger.example",
            "/a",
            401,
        ),
    ] {
        let mut headers = other.signs(url, digests);
        headers.insert("host", HeaderValue::from_str(host).unwrap());
        let sent = RecordedRequest {
            method: Method::POST,
            path: path.to_owned(),
            headers,
            body: "12.50".into(),
        };
        let answer = to.send_with_host(sent).await;
        assert_eq!(answer.status, expected, "{url} {digests:?} {host} {path}");
        if expected == 200 {
            assert_eq!(answer.body, A);
        }
    }
}
