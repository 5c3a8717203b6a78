//! A network between two sites that ends connections. Each site announces an address of the network, so
//! that the other one reaches it through the network alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_testkit::harness::TestSite;
use countersign_testkit::harness::time::{pass, settle, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::peers::side::{Side, announced};

/// Longer than a site keeps a connection open without anything to do.
const QUIET: Duration = Duration::from_secs(21);
/// So often a condition is tested while no byte passes, before time passes for the first time.
const STILL: usize = 16;
/// So often at most before time passes again.
const LONGEST_STILL: usize = 512;

/// The network between site A, of ada, and site B, of bob.
pub(crate) struct Network {
    state: Arc<State>,
    to_b: Front,
}

/// An address of the network, and the address behind it; `None` if nothing listens there.
struct Front {
    port: u16,
    behind: Arc<Mutex<Option<String>>>,
}

#[derive(Default)]
struct State {
    /// Whether new connections wait before they reach a site.
    held: watch::Sender<bool>,
    /// The connections that the network has accepted.
    accepted: AtomicUsize,
    /// The bytes that have passed, in both directions.
    carried: AtomicUsize,
    /// The bytes that pass before a connection is cut; `None` if none is to be cut.
    left: Mutex<Option<usize>>,
    /// The connections that were cut.
    cuts: AtomicUsize,
}

impl Network {
    /// Two sites that have not met.
    pub(crate) async fn sites() -> (Self, Side, Side) {
        let state = Arc::default();
        let (to_a, to_b) = (Front::open(&state).await, Front::open(&state).await);
        let side = async |zone: &str, person, front: &Front| {
            let served = TestSite::builder().zone(zone).serve().await;
            let server = announced(&served, Some(front.port)).await;
            let side = Side::with(served, server, person).await;
            front.leads_to(&side);
            side
        };
        let a = side("a.example", "ada", &to_a).await;
        let b = side("b.example", "bob", &to_b).await;
        (Self { state, to_b }, a, b)
    }

    /// Two sites that are peers.
    pub(crate) async fn peers() -> (Self, Side, Side) {
        let (network, a, b) = Self::sites().await;
        b.join(&a.ticket().await).await.unwrap();
        (network, a, b)
    }

    /// From now on, connections to site B end at once: only site B connects.
    pub(crate) fn hide_b(&self) {
        *self.to_b.behind.lock().unwrap() = None;
    }

    /// From now on, connections to site B reach another site.
    pub(crate) fn lead_b_to(&self, other: &Side) {
        self.to_b.leads_to(other);
    }

    /// Starts site B again, at another address of the network, which is returned.
    pub(crate) async fn move_b(&mut self, b: &mut Side) -> String {
        b.stop().await;
        self.to_b = Front::open(&self.state).await;
        b.listen_again_at(Some(self.to_b.port)).await;
        self.to_b.leads_to(b);
        b.served.site.endpoints().peer.unwrap().to_string()
    }

    /// Lets new connections wait before they reach a site, or lets them go on.
    pub(crate) fn hold(&self, held: bool) {
        self.state.held.send_replace(held);
    }

    /// The connections that the sites opened, those that wait included.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// The bytes that have passed.
    pub(crate) fn carried(&self) -> usize {
        self.state.carried.load(Ordering::SeqCst)
    }

    /// The connections that were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }

    /// Cuts a connection after so many further bytes, on whichever connections they pass: the one that
    /// carries the next byte. Returns the connections that were cut before.
    pub(crate) fn cut_after(&self, bytes: usize) -> usize {
        *self.state.left.lock().unwrap() = Some(bytes);
        self.cuts()
    }

    /// Waits until the condition holds. A site waits longer after each attempt that failed, and does
    /// some things seldom: `time` passes whenever no byte has passed for a while. That while becomes
    /// longer each time, since time that passes ends an attempt that is under way.
    #[track_caller]
    pub(crate) fn eventually(
        &self,
        time: Duration,
        mut holds: impl AsyncFnMut() -> bool,
    ) -> impl Future<Output = ()> {
        let (mut still, mut most, mut before) = (0, STILL, self.carried());
        until(async move || {
            let now = self.carried();
            still = if now == before { still + 1 } else { 0 };
            before = now;
            if still >= most {
                (still, most) = (0, (2 * most).min(LONGEST_STILL));
                settle().await;
                pass(time).await;
            }
            holds().await
        })
    }

    /// Waits until no connection is open, because there is nothing to do.
    pub(crate) async fn rests(&self, a: &Side, b: &Side) {
        let connections = |side: &Side, other: &Side| {
            let site = other.served.site.id();
            side.served.site.peer_connections(site).len()
        };
        let is_quiet = async || connections(a, b) + connections(b, a) == 0;
        self.eventually(QUIET, is_quiet).await;
    }
}

/// Places at which a dialog of so many bytes is cut.
pub(crate) fn places(bytes: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| place * bytes / count)
}

impl Front {
    async fn open(state: &Arc<State>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let behind = Arc::<Mutex<Option<String>>>::default();
        let (state, address) = (state.clone(), behind.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let address = address.lock().unwrap().clone();
                let Some(address) = address else { continue };
                state.accepted.fetch_add(1, Ordering::SeqCst);
                let state = state.clone();
                tokio::spawn(async move {
                    let mut held = state.held.subscribe();
                    let _ = held.wait_for(|held| !held).await;
                    // The site may have stopped.
                    if let Ok(site) = TcpStream::connect(&address).await {
                        state.carry(socket, site).await;
                    }
                });
            }
        });
        Self { port, behind }
    }

    fn leads_to(&self, side: &Side) {
        *self.behind.lock().unwrap() = Some(side.address());
    }
}

impl State {
    /// Carries bytes until one end closes or the connection is cut.
    async fn carry(&self, mut client: TcpStream, mut site: TcpStream) {
        let (mut up, mut down) = ([0; 4_096], [0; 4_096]);
        loop {
            let (read, to) = tokio::select! {
                read = client.read(&mut up) => (&up[..read.unwrap_or(0)], &mut site),
                read = site.read(&mut down) => (&down[..read.unwrap_or(0)], &mut client),
            };
            let passes = self.passes(read.len());
            let is_cut = passes < read.len();
            if read.is_empty() || to.write_all(&read[..passes]).await.is_err() || is_cut {
                return;
            }
        }
    }

    /// How many of these bytes pass.
    fn passes(&self, bytes: usize) -> usize {
        let mut left = self.left.lock().unwrap();
        let passes = left.map_or(bytes, |left| left.min(bytes));
        *left = left.map(|left| left - passes);
        if passes < bytes {
            *left = None;
            self.cuts.fetch_add(1, Ordering::SeqCst);
        }
        self.carried.fetch_add(passes, Ordering::SeqCst);
        passes
    }
}
