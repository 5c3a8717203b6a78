//! A program that poses as a peer, for tests of what a site sends.

use std::sync::Arc;

use countersign_crypto::site_key::SiteKey;
use countersign_net::lines::Lines;
use countersign_net::tls::Acceptor;
use countersign_proto::device::DeviceWelcome;
use countersign_proto::peer::{PeerHello, PeerWelcome};
use countersign_proto::site_identity::SignedKeyEvent;
use tokio::net::{TcpListener, TcpStream};

use crate::peers::side::{Side, Stream, key, peers};

/// A program with the key of site B, at its address.
pub(crate) struct Impostor {
    listener: TcpListener,
    pub(crate) key: Arc<SiteKey>,
    pub(crate) events: Vec<SignedKeyEvent>,
}

impl Impostor {
    /// Stops site B and takes its place.
    pub(crate) async fn of(b: &mut Side) -> Self {
        let (address, key) = (b.address(), key(b));
        let events = b.served.site.key_events().to_vec();
        b.stop().await;
        Self {
            listener: TcpListener::bind(&address).await.unwrap(),
            key,
            events,
        }
    }

    /// A connection of site A, after its hello.
    pub(crate) async fn accept(&self) -> Lines<Stream> {
        self.greeted().await.1
    }

    /// The hello of site A, and its connection.
    pub(crate) async fn greeted(&self) -> (PeerHello, Lines<Stream>) {
        self.greeted_on(|_| {}).await
    }

    async fn greeted_on(&self, set: impl FnOnce(&TcpStream)) -> (PeerHello, Lines<Stream>) {
        let (socket, _) = self.listener.accept().await.unwrap();
        set(&socket);
        let acceptor = Acceptor::new(self.key.clone()).unwrap();
        let mut lines = Lines::new(acceptor.accept(socket).await.unwrap(), 1 << 20);
        let mut hello = lines.next().await.unwrap().unwrap().to_vec();
        hello.push(b'\n');
        (PeerHello::read(&hello).unwrap(), lines)
    }

    /// Takes a connection of site A with its hello, and resets it as a broken network does.
    pub(crate) async fn reset(&self) -> PeerHello {
        let (hello, lines) = self
            .greeted_on(|socket| socket.set_zero_linger().unwrap())
            .await;
        drop(lines);
        hello
    }

    /// A connection of site A, which is welcome.
    pub(crate) async fn welcome(&self, events: &[SignedKeyEvent]) -> Lines<Stream> {
        let mut lines = self.accept().await;
        let limits = DeviceWelcome {
            idle_seconds: 300,
            line_bytes: 1 << 20,
            in_flight: 16,
        };
        let welcome = PeerWelcome::new(limits, events);
        lines.send(&welcome.to_line()).await.unwrap();
        lines
    }
}

/// Two sites that are peers. An impostor of the second one waits, and the first one has a message for it.
pub(crate) async fn with_impostor() -> (Side, Impostor) {
    let (a, mut b) = peers().await;
    let impostor = Impostor::of(&mut b).await;
    a.send("bob@b.example", "hello").await;
    (a, impostor)
}
