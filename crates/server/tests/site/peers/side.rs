//! Sites with a peer server, for tests of peers over sockets.

use std::sync::Arc;
use std::time::Duration;

use countersign_crypto::site_key::SiteKey;
use countersign_net::lines::Lines;
use countersign_net::tls::{Connector, TlsStream};
use countersign_proto::operation::Code;
use countersign_proto::peer::{PeerHello, PeerWelcome};
use countersign_server::Server;
use countersign_testkit::harness::time::until;
use countersign_testkit::harness::{ServedSite, TestSite};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A timeout that no test reaches unless it fails.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) type Stream = TlsStream<TcpStream>;

/// A site with a peer server that runs, and one person.
pub(crate) struct Side {
    pub(crate) served: ServedSite,
    /// `None` while it is stopped.
    pub(crate) server: Option<Server>,
    pub(crate) person: &'static str,
}

impl Side {
    pub(crate) async fn new(zone: &str, person: &'static str) -> Self {
        let served = TestSite::builder().zone(zone).serve().await;
        Self::of(served, person).await
    }

    /// A site without that person and without a peer server.
    pub(crate) async fn of(served: ServedSite, person: &'static str) -> Self {
        let server = peer_server(&served).await;
        Self::with(served, server, person).await
    }

    /// A site without that person, with this peer server.
    pub(crate) async fn with(served: ServedSite, server: Server, person: &'static str) -> Self {
        served
            .admin("person.create", json!({ "name": person }))
            .await;
        let started = served.admin("peer.start", json!({})).await;
        assert_eq!(started["state"], "running");
        Self {
            served,
            server: Some(server),
            person,
        }
    }

    pub(crate) async fn admin(&self, name: &str, params: Value) -> Value {
        self.served.admin(name, params).await
    }

    pub(crate) async fn ticket(&self) -> String {
        let issued = self.admin("peer.ticket", json!({ "person": self.person }));
        issued.await["uri"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn join(&self, ticket: &str) -> Result<Value, Value> {
        let params = json!({ "ticket": ticket, "person": self.person });
        let (code, data) = self.served.as_admin("peer.join", params).await;
        match code {
            Code::SUCCESS => Ok(data),
            _ => Err(data),
        }
    }

    pub(crate) fn id(&self) -> String {
        self.served.site.id().to_string()
    }

    pub(crate) async fn peers(&self) -> Vec<(String, String)> {
        let listed = self.admin("peer.list", json!({})).await;
        let peers = listed["entries"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        peers
            .map(|peer| (text(&peer["site"]), text(&peer["state"])))
            .collect()
    }

    /// What this site shows of a peer.
    pub(crate) async fn show(&self, peer: &str) -> Value {
        self.admin("peer.show", json!({ "peer": peer })).await
    }

    /// The audit entries of an operation.
    pub(crate) async fn audited(&self, operation: &str) -> Vec<Value> {
        let params = json!({ "operation": operation, "limit": 1000 });
        let listed = self.admin("audit.list", params).await;
        listed["entries"].as_array().unwrap().clone()
    }

    pub(crate) async fn send(&self, to: &str, text: &str) {
        let params = json!({ "from": self.person, "to": to, "text": text });
        self.admin("peer.send", params).await;
    }

    pub(crate) async fn texts(&self) -> Vec<String> {
        let params = json!({ "person": self.person, "limit": 1000 });
        let inbox = self.admin("peer.inbox", params).await;
        let messages = inbox["entries"].as_array().unwrap().iter();
        messages
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until the person has received so many messages, and returns their texts.
    pub(crate) async fn received(&self, count: usize) -> Vec<String> {
        until(async || self.texts().await.len() >= count).await;
        self.texts().await
    }

    pub(crate) async fn waiting(&self) -> Vec<Value> {
        let outbox = self.admin("peer.outbox", json!({ "person": self.person }));
        outbox.await["entries"].as_array().unwrap().clone()
    }

    pub(crate) fn address(&self) -> String {
        let bound = self.served.site.endpoints().peer_listener;
        bound.unwrap().to_string()
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// The peer server after a stop, on another port.
    pub(crate) async fn listen_again(&mut self) {
        self.listen_again_at(None).await;
    }

    /// The peer server after a stop, which announces this port.
    pub(crate) async fn listen_again_at(&mut self, port: Option<u16>) {
        self.server = Some(announced(&self.served, port).await);
        until(async || self.served.site.endpoints().peer.is_some()).await;
    }
}

pub(crate) async fn peer_server(served: &ServedSite) -> Server {
    announced(served, None).await
}

/// A peer server on a free port, which announces another one if it is given.
pub(crate) async fn announced(served: &ServedSite, port: Option<u16>) -> Server {
    let server = Server::builder(served.site.clone())
        .peer(Some("127.0.0.1:0".parse().unwrap()))
        .peer_address(None, port)
        .start();
    server.await.unwrap()
}

/// Two sites that are peers.
pub(crate) async fn peers() -> (Side, Side) {
    let (a, b) = sites().await;
    b.join(&a.ticket().await).await.unwrap();
    (a, b)
}

pub(crate) async fn sites() -> (Side, Side) {
    (
        Side::new("a.example", "ada").await,
        Side::new("b.example", "bob").await,
    )
}

/// A connection to the peer port of `to` by the holder of `key`, after this hello.
pub(crate) async fn greeted(to: &Side, key: &Arc<SiteKey>, hello: &PeerHello) -> Lines<Stream> {
    let pinned = to.served.site.public_key().signing;
    let connector = Connector::of_peer(pinned, key.clone()).unwrap();
    let socket = TcpStream::connect(to.address()).await.unwrap();
    let stream = connector.connect(socket).await.unwrap();
    let mut lines = Lines::new(stream, 1 << 20);
    let _ = lines.send(&hello.to_line()).await;
    lines
}

/// The hello with which `from` connects.
pub(crate) fn hello(from: &Side) -> PeerHello {
    let id = format!("{}@{}", from.person, from.served.site.zone());
    let events = from.served.site.key_events();
    PeerHello::new(from.served.site.id(), id.parse().unwrap(), &events)
}

pub(crate) fn key(of: &Side) -> Arc<SiteKey> {
    of.served.site.unsealed_keys().unwrap().key.clone()
}

/// The next operation or result; `None` at the end, which a last line may announce.
pub(crate) async fn next(lines: &mut Lines<Stream>) -> Option<Value> {
    line(lines).await.filter(|line| line["end"].is_null())
}

/// The next line; `None` at the end.
pub(crate) async fn line(lines: &mut Lines<Stream>) -> Option<Value> {
    match timeout(SOON, lines.next()).await.unwrap() {
        Ok(Some(line)) => Some(serde_json::from_slice(line).unwrap()),
        Ok(None) | Err(_) => None,
    }
}

/// A connection of `from` to `to`, after the welcome.
pub(crate) async fn connected(from: &Side, to: &Side) -> Lines<Stream> {
    let mut lines = greeted(to, &key(from), &hello(from)).await;
    let line = timeout(SOON, lines.next()).await.unwrap().unwrap().unwrap();
    let welcome = PeerWelcome::read(line).unwrap();
    assert_eq!(welcome.events, *to.served.site.key_events());
    lines
}
