//! Connections between peers that are cut in the middle of each dialog: the join, the walk along key events,
//! and the delivery of messages.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_core::engine::ClientAddress;
use countersign_proto::peer::PeerTicket;
use countersign_testkit::harness::time::{pass, settle, until};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::peer_side::{Side, sites};

/// Longer than a site waits between two attempts, or until it follows another new key.
const LONGEST_WAIT: Duration = Duration::from_secs(3_601);
/// Longer than a site keeps a connection open without anything to do.
const QUIET: Duration = Duration::from_secs(21);

/// A network between two sites that ends connections.
struct Relay {
    port: u16,
    state: Arc<State>,
}

struct State {
    /// The connections that are carried whole before the one that is cut.
    whole: AtomicUsize,
    /// The bytes that the connection carries that is cut.
    allowed: AtomicUsize,
    /// The bytes of each connection.
    carried: Mutex<Vec<usize>>,
    /// The connections that were cut.
    cuts: AtomicUsize,
}

impl Relay {
    /// A relay that the site announces as its own address.
    async fn before(side: &Side) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let announced = ClientAddress {
            host: "127.0.0.1".to_owned(),
            port,
        };
        let site = &side.served.site;
        let bound = site.endpoints().peer_listener.unwrap();
        site.announce_peer(Some((bound, announced)));
        let state = Arc::new(State {
            whole: AtomicUsize::new(usize::MAX),
            allowed: AtomicUsize::new(0),
            carried: Mutex::default(),
            cuts: AtomicUsize::new(0),
        });
        let (address, shared) = (side.address(), state.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let site = TcpStream::connect(&address).await.unwrap();
                tokio::spawn(shared.clone().carry(socket, site));
            }
        });
        Self { port, state }
    }

    /// The connection after so many whole ones is cut after so many bytes; later ones are whole. Returns
    /// the number of the connections that were cut before.
    fn cut(&self, whole: usize, allowed: usize) -> usize {
        self.state.allowed.store(allowed, Ordering::SeqCst);
        self.state.whole.store(whole, Ordering::SeqCst);
        self.cuts()
    }

    fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }

    /// The ticket, through the relay.
    fn ticket(&self, uri: &str) -> String {
        let ticket: PeerTicket = uri.parse().unwrap();
        let (token, id) = (ticket.token().clone(), ticket.id().clone());
        let expires = 4_000_000_000;
        let through = PeerTicket::new("127.0.0.1", self.port, token, expires, *ticket.site(), id);
        through.unwrap().to_uri().expose().to_owned()
    }
}

impl State {
    async fn carry(self: Arc<Self>, mut socket: TcpStream, mut site: TcpStream) {
        let whole = &self.whole;
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        let one_less = |count: usize| match count {
            usize::MAX => None,
            0 => Some(usize::MAX),
            count => Some(count - 1),
        };
        let is_cut = whole.fetch_update(set, fetch, one_less) == Ok(0);
        let mut left = match is_cut {
            true => self.allowed.load(Ordering::SeqCst),
            false => usize::MAX,
        };
        let number = {
            let mut carried = self.carried.lock().unwrap();
            carried.push(0);
            carried.len() - 1
        };
        let (mut up, mut down) = ([0; 4_096], [0; 4_096]);
        while left > 0 {
            let carried = tokio::select! {
                read = socket.read(&mut up) => {
                    let read = read.unwrap_or(0).min(left);
                    site.write_all(&up[..read]).await.map_or(0, |()| read)
                }
                read = site.read(&mut down) => {
                    let read = read.unwrap_or(0).min(left);
                    socket.write_all(&down[..read]).await.map_or(0, |()| read)
                }
            };
            if carried == 0 {
                break;
            }
            self.carried.lock().unwrap()[number] += carried;
            left -= carried;
        }
        self.cuts.fetch_add(usize::from(is_cut), Ordering::SeqCst);
    }
}

/// Places at which a dialog of so many bytes is cut.
fn places(bytes: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| place * bytes / count)
}

/// A lost answer left one site with a peer and the other one without.
// PEER-9
#[tokio::test]
async fn a_join_that_is_cut_anywhere_is_completed_with_the_same_ticket() {
    let (a, b) = sites().await;
    let relay = Relay::before(&a).await;
    let forget = async || {
        for (side, other) in [(&a, b.id()), (&b, a.id())] {
            side.admin("peer.remove", json!({ "peer": other })).await;
            side.admin("peer.forget", json!({ "peer": other })).await;
        }
    };
    b.join(&relay.ticket(&a.ticket().await)).await.unwrap();
    let whole = relay.state.carried.lock().unwrap()[0];
    let mut lost_answers = 0;
    for place in places(whole, 24) {
        forget().await;
        let ticket = relay.ticket(&a.ticket().await);
        relay.cut(0, place);
        let cut = b.join(&ticket).await;
        until(async || relay.cuts() > 0).await;
        relay.state.cuts.store(0, Ordering::SeqCst);
        if cut.is_err() {
            assert_eq!(b.peers().await, []);
            lost_answers += usize::from(!a.peers().await.is_empty());
            b.join(&ticket).await.unwrap();
        }
        let active = |id: String| [(id, "active".to_owned())];
        assert_eq!(a.peers().await, active(b.id()), "cut after {place} bytes");
        assert_eq!(b.peers().await, active(a.id()), "cut after {place} bytes");
        // Revoked, so that the next one can be issued.
        for ticket in a.admin("ticket.list", json!({ "person": "ada" })).await["entries"]
            .as_array()
            .unwrap()
        {
            if ticket["state"] == "open" {
                a.admin("ticket.revoke", json!({ "id": ticket["id"] }))
                    .await;
            }
        }
    }
    assert!(lost_answers > 0, "no cut was within the answer");
}

/// Two sites that are peers. The second one reaches the first one through the relay alone, and the first
/// one does not know where the second one listens.
async fn through_relay() -> (Side, Side, Relay) {
    let (a, mut b) = sites().await;
    let relay = Relay::before(&a).await;
    b.join(&relay.ticket(&a.ticket().await)).await.unwrap();
    b.stop().await;
    b.listen_again().await;
    (a, b, relay)
}

/// Waits until the condition holds. A site waits longer after each attempt that failed, and follows new
/// keys of a peer once an hour at most: that time passes whenever nothing has happened for a while.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let mut polls = 0;
    until(async || {
        polls += 1;
        if polls % 200 == 0 {
            settle().await;
            pass(LONGEST_WAIT).await;
        }
        holds().await
    })
    .await;
}

/// Waits until all these messages have arrived at the first site after a connection was cut, or without a
/// cut: the second site tells the first one where it listens, and the first one may connect to it.
async fn arrived(a: &Side, b: &Side, (relay, before): (&Relay, usize), sent: &[String]) {
    eventually(async || relay.cuts() > before || a.texts().await.len() >= sent.len()).await;
    eventually(async || a.texts().await.len() >= sent.len()).await;
    assert_eq!(a.texts().await, sent);
    eventually(async || b.waiting().await.is_empty()).await;
}

/// Waits until the connection has ended because there is nothing to do.
async fn rested(a: &Side, b: &Side) {
    until(async || {
        let one = a.served.site.peer_connections(b.served.site.id());
        let other = b.served.site.peer_connections(a.served.site.id());
        let is_closed = one.is_empty() && other.is_empty();
        if !is_closed {
            pass(QUIET).await;
        }
        is_closed
    })
    .await;
}

// PEER-20
#[tokio::test]
async fn messages_of_a_connection_that_is_cut_anywhere_arrive_once_and_in_order() {
    let (a, b, relay) = through_relay().await;
    let mut sent = Vec::new();
    let mut send = async |count: usize| {
        for _ in 0..count {
            sent.push(format!("message {}", sent.len()));
            b.send("ada@a.example", sent.last().unwrap()).await;
        }
        sent.clone()
    };
    // A whole connection, with its end.
    let all = send(3).await;
    assert_eq!(a.received(3).await, all);
    until(async || b.waiting().await.is_empty()).await;
    let whole = *relay.state.carried.lock().unwrap().last().unwrap();
    rested(&a, &b).await;
    for place in places(whole, 24) {
        let before = relay.cut(0, place);
        let all = send(3).await;
        arrived(&a, &b, (&relay, before), &all).await;
        rested(&a, &b).await;
    }
    assert!(relay.cuts() > 0, "no connection was cut");
    assert_eq!(a.peers().await[0].1, "active");
    assert_eq!(b.peers().await[0].1, "active");
}

/// A peer whose key was replaced eleven times is reached over four connections: the handshake that fails, two
/// pages of key events, and the one for messages.
// PEER-14, PEER-15
#[tokio::test]
async fn a_walk_along_the_key_events_of_a_peer_that_is_cut_anywhere_goes_on() {
    let (a, b, relay) = through_relay().await;
    let file = json!({ "slot_file": a.served.slot.to_text().expose() });
    let rotation = json!({ "secrets": [file], "slots": [file] });
    let mut sent = Vec::new();
    for connection in 0..4 {
        for place in [0, 700, 1_700] {
            for _ in 0..11 {
                a.admin("site.key_new", rotation.clone()).await;
            }
            let before = relay.cut(connection, place);
            sent.push(format!("{connection} {place}"));
            b.send("ada@a.example", sent.last().unwrap()).await;
            arrived(&a, &b, (&relay, before), &sent).await;
            rested(&a, &b).await;
        }
    }
    assert!(relay.cuts() > 0, "no connection was cut");
    let shown = b.admin("peer.show", json!({ "peer": "a.example" })).await;
    assert_eq!(shown["key_event"], 4 * 3 * 11);
}
