//! Turns at reading the bodies of ticket requests of one connection. A body is read before anything is
//! known of its client, and each may be as long as all that a client may send unread.
//!
//! ```text
//! arrives ─▶ is there a turn for its network? ─yes────────────────────▶ is read ─▶ whole
//!              │ no                                                      ▲  │ others wait for a turn,
//!              ▼                                                         │  │ and it has had 1 s
//!            waits ──a turn ends, or has had 1 s─────────────────────────┘  ▼
//!              └─ too many wait, or for too long ─▶ busy                   busy
//! ```
//!
//! A trusted proxy sends the requests of many clients on one connection. A network has one turn of
//! them, so that it delays others by little; the requests whose client the proxy does not name share
//! all turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_core::throttle::Source;
use tokio::sync::{Notify, oneshot};

use crate::clock;

/// A body that takes longer gives its turn to one that waits. Most arrive together with the head of
/// their request.
const TURN: Duration = Duration::from_secs(1);

/// The turns of a connection.
pub(super) struct BodyTurns {
    /// The number of turns at a time.
    turns: usize,
    /// The number of requests that may wait: their bodies use up what the connection may send unread.
    waiting: usize,
    state: Mutex<State>,
    /// Notified when a turn ends.
    ended: Notify,
}

#[derive(Default)]
struct State {
    made: u64,
    /// The requests that are read, beginning with the oldest.
    reading: Vec<Place>,
    /// The requests that wait, beginning with the oldest.
    waiting: Vec<Place>,
}

struct Place {
    id: u64,
    /// The network of the client; `None` if a trusted proxy names none.
    network: Option<Source>,
    began: Instant,
    /// Tells the request that another one has its place.
    lost: oneshot::Sender<LostTo>,
}

/// The request that has the turn of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LostTo {
    /// One of the same network.
    SameNetwork,
    /// One of another network, or of clients that the proxy does not name.
    Others,
}

/// The permission to read a body. Dropping it ends the turn.
pub(super) struct BodyTurn {
    all: Arc<BodyTurns>,
    id: u64,
    lost: oneshot::Receiver<LostTo>,
}

/// A request that waits. Dropping it ends that.
struct Waiting<'a> {
    all: &'a BodyTurns,
    id: u64,
    lost: oneshot::Receiver<LostTo>,
}

impl BodyTurns {
    /// `turns` requests are read at a time, and `waiting` may wait for that.
    pub(super) fn new(turns: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            turns: turns.max(1),
            waiting,
            state: Mutex::default(),
            ended: Notify::new(),
        })
    }

    /// Waits for a turn. `None` if too many requests wait.
    pub(super) async fn turn(self: &Arc<Self>, source: Option<Source>) -> Option<BodyTurn> {
        let network = source.map(Source::network);
        let mut waiting = {
            let mut state = self.state();
            if let Ok(turn) = self.begin(&mut state, network) {
                return Some(turn);
            }
            self.wait(&mut state, network)?
        };
        loop {
            let ended = self.ended.notified();
            let until = match self.begin(&mut self.state(), network) {
                Ok(turn) => return Some(turn),
                Err(until) => until,
            };
            tokio::select! {
                () = ended => {}
                () = tokio::time::sleep_until(until.into()) => {}
                _ = &mut waiting.lost => return None,
            }
        }
    }

    /// Begins a turn, if necessary in place of one that has lasted too long.
    ///
    /// # Errors
    /// When the oldest turn that is in the way has lasted too long.
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        network: Option<Source>,
    ) -> Result<BodyTurn, Instant> {
        let now = clock::monotonic();
        let own = state.reading.iter().position(|one| one.network == network);
        let in_the_way = match own.filter(|_| network.is_some()) {
            Some(own) => Some(own),
            None => (state.reading.len() >= self.turns).then_some(0),
        };
        let oldest = in_the_way.and_then(|place| Some((place, state.reading.get(place)?.began)));
        if let Some((place, began)) = oldest {
            let until = began + TURN;
            if now < until {
                return Err(until);
            }
            let to = match network.is_some() && own == Some(place) {
                true => LostTo::SameNetwork,
                false => LostTo::Others,
            };
            let _ = state.reading.remove(place).lost.send(to);
        }
        let (place, lost) = state.place(network, now);
        let id = place.id;
        state.reading.push(place);
        let all = Arc::clone(self);
        Ok(BodyTurn { all, id, lost })
    }

    /// Lets a request wait. When too many wait, the newest one of the network with most makes room,
    /// unless the new one would have as many.
    fn wait(&self, state: &mut State, network: Option<Source>) -> Option<Waiting<'_>> {
        if state.waiting.len() >= self.waiting {
            let of = |network| {
                state
                    .waiting
                    .iter()
                    .filter(move |one| one.network == network)
                    .count()
            };
            let most = state.waiting.iter().map(|one| of(one.network)).max()?;
            if most <= of(network) + 1 {
                return None;
            }
            let newest = state
                .waiting
                .iter()
                .rposition(|one| of(one.network) == most)?;
            let _ = state.waiting.remove(newest).lost.send(LostTo::Others);
        }
        let (place, lost) = state.place(network, clock::monotonic());
        let id = place.id;
        state.waiting.push(place);
        Some(Waiting {
            all: self,
            id,
            lost,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place(
        &mut self,
        network: Option<Source>,
        began: Instant,
    ) -> (Place, oneshot::Receiver<LostTo>) {
        self.made += 1;
        let (sender, lost) = oneshot::channel();
        let place = Place {
            id: self.made,
            network,
            began,
            lost: sender,
        };
        (place, lost)
    }
}

impl BodyTurn {
    /// Becomes ready when another request has the turn.
    pub(super) async fn lost(&mut self) -> LostTo {
        // The sender is dropped only with the turn.
        (&mut self.lost).await.unwrap_or(LostTo::Others)
    }
}

impl Drop for BodyTurn {
    fn drop(&mut self) {
        self.all.state().reading.retain(|one| one.id != self.id);
        self.all.ended.notify_waiters();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.state().waiting.retain(|one| one.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn client(last: u8) -> Option<Source> {
        Some(Source::V4([192, 0, 2, last].into()))
    }

    type Waits = std::pin::Pin<Box<dyn Future<Output = Option<BodyTurn>>>>;

    /// Asks for a turn, and waits for it if there is none.
    fn ask(turns: &Arc<BodyTurns>, client: Option<Source>) -> Result<Option<BodyTurn>, Waits> {
        let turns = Arc::clone(turns);
        let mut waits: Waits = Box::pin(async move { turns.turn(client).await });
        waits.as_mut().now_or_never().ok_or(waits)
    }

    fn reads(turns: &Arc<BodyTurns>, client: Option<Source>) -> BodyTurn {
        ask(turns, client).ok().unwrap().unwrap()
    }

    /// 16 slow bodies of one client behind a proxy kept the ticket requests of all others waiting.
    #[tokio::test]
    async fn a_client_has_one_turn_and_others_begin_at_once() {
        let turns = BodyTurns::new(16, 16);
        let slow = reads(&turns, client(1));
        let mut more: Vec<Waits> = (0..15)
            .map(|_| ask(&turns, client(1)).err().unwrap())
            .collect();
        let other = reads(&turns, client(2));
        assert!(more.iter_mut().all(|waits| waits.now_or_never().is_none()));
        drop(slow);
        let next = more[0].as_mut().now_or_never().flatten();
        assert!(next.is_some() && more[1].as_mut().now_or_never().is_none());
        drop((next, other, more));
        let state = turns.state();
        assert!(state.reading.is_empty() && state.waiting.is_empty());
    }

    /// The bodies that waited used up what the connection may send unread, also for uploads.
    #[tokio::test]
    async fn the_network_with_most_waiting_requests_makes_room() {
        let turns = BodyTurns::new(1, 4);
        let _read = reads(&turns, client(9));
        let mut most: Vec<Waits> = (0..4)
            .map(|_| ask(&turns, client(1)).err().unwrap())
            .collect();
        assert!(ask(&turns, client(1)).is_ok_and(|turn| turn.is_none()));
        let mut other = ask(&turns, client(2)).err().unwrap();
        assert!(most.pop().unwrap().now_or_never().unwrap().is_none());
        assert!(other.as_mut().now_or_never().is_none());
        // Now it would have as many as the other one.
        let mut second = ask(&turns, client(2)).err().unwrap();
        assert!(ask(&turns, client(2)).is_ok_and(|turn| turn.is_none()));
        assert_eq!(turns.state().waiting.len(), 4);
        assert!(second.as_mut().now_or_never().is_none());
    }

    /// The newest request of any network with two more lost its place: a client that came first kept all
    /// of its own.
    #[tokio::test]
    async fn a_network_with_fewer_waiting_requests_makes_no_room() {
        let turns = BodyTurns::new(1, 5);
        let _read = reads(&turns, client(9));
        let waits = |last| ask(&turns, client(last)).err().unwrap();
        let mut most = [waits(1), waits(1), waits(1)];
        let mut fewer = [waits(2), waits(2)];
        let _new = waits(3);
        assert!(most[2].as_mut().now_or_never().unwrap().is_none());
        assert!(most[..2].iter_mut().all(|one| one.now_or_never().is_none()));
        assert!(fewer.iter_mut().all(|one| one.now_or_never().is_none()));
    }

    /// A client took the turns of its own slow requests away, so that none of them counted.
    #[tokio::test(start_paused = true)]
    async fn a_turn_that_the_same_network_takes_is_told_apart() {
        let turns = BodyTurns::new(2, 2);
        let mut slow = reads(&turns, client(1));
        let own = ask(&turns, client(1)).err().unwrap().await.unwrap();
        assert_eq!(slow.lost().now_or_never(), Some(LostTo::SameNetwork));
        drop((slow, own));
        // Clients that the proxy does not name may be different ones.
        let turns = BodyTurns::new(1, 2);
        let mut slow = reads(&turns, None);
        let other = ask(&turns, None).err().unwrap().await.unwrap();
        assert_eq!(slow.lost().now_or_never(), Some(LostTo::Others));
        drop((slow, other));
    }

    /// Slow bodies of many clients kept all turns for 30 s.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_takes_longer_than_a_second_gives_its_turn_to_one_that_waits() {
        let turns = BodyTurns::new(2, 2);
        let mut first = reads(&turns, client(1));
        let mut second = reads(&turns, client(2));
        let mut waits = ask(&turns, client(3)).err().unwrap();
        assert!(waits.as_mut().now_or_never().is_none());
        let third = waits.await.unwrap();
        assert_eq!(first.lost().now_or_never(), Some(LostTo::Others));
        assert!(second.lost().now_or_never().is_none());
        // The end of a turn that was lost ends no other one.
        drop(first);
        assert_eq!(turns.state().reading.len(), 2);
        drop((second, third));
        assert!(turns.state().reading.is_empty());
    }
}
