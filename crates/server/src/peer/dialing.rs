//! Connecting to the peers that messages or heads of the audit log wait for, with backoff and jitter.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::engine::{LONGEST_PEER_BACKOFF, PeerBackoff, PeerPlan, PeerProblem, Site};
use countersign_core::throttle::Rate;
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_net::tls::{Connector, TlsStream};
use countersign_proto::peer::{BadPeerHello, MAX_PEER_HELLO, PeerEnd, PeerWelcome};
use countersign_proto::site_identity::SiteId;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use super::PeerServer;
use super::joining::{DialError, connect, follow};
use super::link::{self, EndedBy, OpenPeer};
use crate::accept_loop::Connections;
use crate::clock;
use crate::runtime::shared::{Shared, hook, log_trouble};

/// The time for an attempt, until the welcome.
const ATTEMPT: Duration = Duration::from_secs(20);
/// The first wait after an attempt that failed; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// This site closes its connection after so long without anything to do.
const QUIET: Duration = Duration::from_secs(20);
/// How long the task waits at most before it looks at the outbox again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// While another peer waits for a place, a connection keeps its own for so long.
const SHARE: Duration = Duration::from_secs(20);

/// The problem with a peer that closes the connection and takes no message.
const CLOSED_AT_ONCE: &str = "it ended the connection before it took a message";
/// The problem with a peer that takes an operation and does not answer it.
const UNANSWERED: &str = "it did not answer an operation in time";

/// A place among the connections that this site opens at a time.
struct Place {
    site: SiteId,
    since: Instant,
    /// Whether the connection was ended for another peer.
    is_given: bool,
}

/// The attempts at one peer that failed since the last success.
struct Backoff {
    failures: u32,
    until: Instant,
}

/// Dials for as long as the peer server runs. `connections` serve what is open, so that a connection ends with
/// its last line although this task has ended.
pub(super) async fn run(
    server: &Arc<PeerServer>,
    connections: &Connections,
    shared: &Arc<Shared>,
) -> Infallible {
    let mut changes = server.changes.subscribe();
    let mut ended = server.ended.subscribe();
    let mut turns = Turns::default();
    let mut dialing: JoinSet<(SiteId, u64, Dialed)> = JoinSet::new();
    // In the order in which they were taken.
    let mut open: Vec<Place> = Vec::new();
    let mut backoff: HashMap<SiteId, Backoff> = HashMap::new();
    // Peers that may not be dialled, with the version of the changes at which they were looked at.
    let mut held: HashMap<SiteId, u64> = HashMap::new();
    let rates = || shared.site.throttle().rates();
    loop {
        let version = *changes.borrow_and_update();
        held.retain(|_, at| *at == version);
        let awaited = shared.site.peers_awaited(clock::now()).await;
        let mut awaited = log_trouble(awaited).unwrap_or_default();
        for site in server.asks.awaited() {
            if !awaited.contains(&site) {
                awaited.push(site);
            }
        }
        // Kept while nothing is to be sent, until it would have ended: an operation does not wait for
        // the next attempt, and a peer must not be able to end it by asking messages to wait.
        backoff.retain(|site, wait| awaited.contains(site) || wait.until > now());
        let mut next = now() + LOOK_AGAIN;
        let connected = shared.site.connected_peers();
        let mut due = Vec::new();
        for site in awaited {
            if held.contains_key(&site) {
                server
                    .asks
                    .fail(site, "the peer is not active, or a lockdown refuses it");
                continue;
            }
            let has_place = open.iter().any(|place| place.site == site);
            if has_place || connected.contains(&site) {
                continue;
            }
            if let Some(wait) = backoff.get(&site).filter(|wait| wait.until > now()) {
                next = next.min(wait.until);
                server
                    .asks
                    .fail(site, "it could not be reached a moment ago");
                continue;
            }
            // What is asked of the peer waits meanwhile.
            match rates().wait(Rate::ConnectionsTo(site), clock::now()) {
                Some(millis) => next = next.min(now() + Duration::from_millis(millis)),
                None => due.push(site),
            }
        }
        while open.len() < server.max_outgoing
            && let Some(site) = turns.take(&mut due, &backoff)
        {
            let _ = rates().take(Rate::ConnectionsTo(site), clock::now());
            open.push(Place {
                site,
                since: now(),
                is_given: false,
            });
            let dialed = dial(site, server.clone(), connections.clone(), shared.clone());
            dialing.spawn(async move { (site, version, dialed.await) });
        }
        next = next.min(give_places(&mut open, due.len(), &shared.site));
        tokio::select! {
            _ = changes.changed() => {}
            () = server.dialer.notified() => {}
            _ = ended.recv() => {}
            () = tokio::time::sleep_until(next) => held.clear(),
            Some(ended) = dialing.join_next(), if !dialing.is_empty() => {
                if let Ok((site, at, dialed)) = ended {
                    open.retain(|place| place.site != site);
                    match dialed {
                        Dialed::Useful => {
                            backoff.remove(&site);
                            shared.site.peer_waits_no_more(site);
                        }
                        Dialed::Failed => {
                            shared.site.peer_waits(site, failed(&mut backoff, site));
                            server.asks.fail(site, "it cannot be reached");
                        }
                        Dialed::OutOfTurn => {}
                        Dialed::Held => {
                            held.insert(site, at);
                        }
                    }
                }
            }
        }
    }
}

/// Whose turn it is to get a place. Peers to which the last attempt failed have every second one: those
/// that do not answer delay each of the others by one turn, and those that never fail keep none out that
/// failed once.
#[derive(Default)]
struct Turns {
    is_of_failed: bool,
    /// The peers that were dialled last: the next ones come after them, so that none is always last.
    last: Option<SiteId>,
    last_failed: Option<SiteId>,
}

impl Turns {
    /// Takes the next one of these peers.
    fn take(
        &mut self,
        due: &mut Vec<SiteId>,
        backoff: &HashMap<SiteId, Backoff>,
    ) -> Option<SiteId> {
        let next = |of_failed: bool, last: Option<SiteId>| {
            let due = due.iter().copied();
            let of_kind = due.filter(|site| backoff.contains_key(site) == of_failed);
            of_kind.min_by_key(|site| (last.is_some_and(|last| *site <= last), *site))
        };
        let (other, failed) = (next(false, self.last), next(true, self.last_failed));
        let site = match self.is_of_failed {
            true => failed.or(other)?,
            false => other.or(failed)?,
        };
        self.is_of_failed = failed != Some(site);
        match self.is_of_failed {
            true => self.last = Some(site),
            false => self.last_failed = Some(site),
        }
        due.retain(|due| *due != site);
        Some(site)
    }
}

/// Ends the connections that have been open longest, one for each of so many peers that wait for a place.
/// Returns when it is to be called again.
fn give_places(open: &mut [Place], waiting: usize, site: &Site) -> Instant {
    let given = open.iter().filter(|place| place.is_given).count();
    let kept = open.iter_mut().filter(|place| !place.is_given);
    for place in kept.take(waiting.saturating_sub(given)) {
        let until = place.since + SHARE;
        place.is_given = until <= now() && site.give_place_of(place.site);
        if !place.is_given {
            // An attempt that takes so long ends soon.
            return until.max(now() + FIRST_WAIT);
        }
    }
    now() + LOOK_AGAIN
}

/// Lets the next attempt at a peer wait, and returns how long.
fn failed(backoff: &mut HashMap<SiteId, Backoff>, site: SiteId) -> PeerBackoff {
    let failures = backoff.get(&site).map_or(0, |wait| wait.failures) + 1;
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.min(10).saturating_sub(1));
    let wait = doubled.min(LONGEST_PEER_BACKOFF);
    // Half of the wait is drawn, so that the peers of a site that was down do not all come at once.
    let mut byte = [0];
    SystemEntropy.fill(&mut byte);
    let [drawn] = byte;
    let wait = wait / 2 + (wait / 2).mul_f64(f64::from(drawn) / 255.0);
    let until = now() + wait;
    backoff.insert(site, Backoff { failures, until });
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let next = clock::now().plus_millis(wait);
    PeerBackoff { failures, next }
}

/// The result of an attempt.
enum Dialed {
    /// There was a connection over which the peer took something, or which this site closed.
    Useful,
    /// There was none, or it was of no use. The next attempt waits.
    Failed,
    /// This site ended it for another peer before it was of use, which tells nothing about the peer.
    OutOfTurn,
    /// The peer is suspended or in lockdown. The next change ends the wait, without a delay.
    Held,
}

/// Connects to a peer and serves the connection.
async fn dial(
    site: SiteId,
    server: Arc<PeerServer>,
    connections: Connections,
    shared: Arc<Shared>,
) -> Dialed {
    let plan = match log_trouble(shared.site.peer_plan(site, clock::now()).await) {
        Ok(Some(plan)) => plan,
        Ok(None) => return Dialed::Held,
        Err(_) => return Dialed::Failed,
    };
    let reached = timeout(ATTEMPT, reach(site, plan, &server, &shared)).await;
    let reached = reached.unwrap_or(Err(DialError::TooSlow));
    match reached {
        Ok(Some((open, stream))) => {
            info!(%site, "connected to a peer");
            let (sender, ended) = oneshot::channel();
            let served = async move {
                let _ = sender.send(Box::pin(link::run(open, stream, Some(QUIET))).await);
            };
            connections.spawn(served).await;
            // Without a result, the program stops or the connection's task panicked.
            let Ok(ended) = ended.await else {
                return Dialed::Failed;
            };
            match ended.by {
                EndedBy::Us => return Dialed::Useful,
                EndedBy::TooLate => {}
                _ if ended.has_sent => return Dialed::Useful,
                EndedBy::OutOfTurn => return Dialed::OutOfTurn,
                _ => {}
            }
            // A peer that welcomes this site and takes nothing would otherwise be dialled without a pause.
            if let Some(problem) = problem(ended.by) {
                shared.site.peer_problem(site, problem, clock::now());
            }
            Dialed::Failed
        }
        // The peer was changed meanwhile, or its key events contradict what is known.
        Ok(None) => Dialed::Failed,
        Err(problem) => {
            debug!(%site, %problem, "a peer cannot be reached");
            if let Some(problem) = problem.of_peer() {
                if problem == PeerProblem::NotAccepted {
                    shared.site.introduction_refused(site);
                }
                shared.site.peer_problem(site, problem, clock::now());
            }
            server.head_tried();
            Dialed::Failed
        }
    }
}

/// The problem with a peer that took nothing over its connection, or did not answer; `None` if the end is no
/// problem.
fn problem(ended_by: EndedBy) -> Option<PeerProblem> {
    let why = match ended_by {
        EndedBy::Us | EndedBy::OutOfTurn | EndedBy::Peer(PeerEnd::Idle | PeerEnd::NewKey) => {
            return None;
        }
        EndedBy::Peer(PeerEnd::Suspended | PeerEnd::Removed) => {
            return Some(PeerProblem::NotAccepted);
        }
        EndedBy::Peer(PeerEnd::Protocol) | EndedBy::Breach => {
            let why = "the connection ended with a breach of it".to_owned();
            return Some(PeerProblem::Malformed { why });
        }
        EndedBy::Peer(end) => end.text(),
        EndedBy::Unknown => CLOSED_AT_ONCE,
        EndedBy::TooLate => UNANSWERED,
    };
    let why = why.to_owned();
    Some(PeerProblem::Unreachable { why })
}

type Reached = Option<(OpenPeer, Box<TlsStream<TcpStream>>)>;

async fn reach(
    site: SiteId,
    mut plan: PeerPlan,
    server: &Arc<PeerServer>,
    shared: &Arc<Shared>,
) -> Result<Reached, DialError> {
    let Some(keys) = shared.site.unsealed_keys() else {
        return Ok(None);
    };
    let connector = |plan: &PeerPlan| {
        Connector::of_peer(plan.known.keys().signing, keys.key.clone()).map_err(DialError::from)
    };
    let stream = match connect(&plan.address, &connector(&plan)?).await {
        Err(DialError::WrongKey) => {
            // The peer's key may have been replaced since the sites met.
            plan.known = follow(&plan.address, plan.known, shared).await?;
            connect(&plan.address, &connector(&plan)?).await?
        }
        connected => connected?,
    };
    let key = plan.known.keys().signing;
    let mut stream = Box::new(stream);
    stream.write_all(&plan.hello.to_line()).await?;
    stream.flush().await?;
    let line = link::first_line(&mut stream, MAX_PEER_HELLO).await;
    // Other errors are those of the network, and say nothing about the hello.
    let line = line.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => DialError::Refused,
        _ => error.into(),
    })?;
    let line = line.ok_or(BadPeerHello::TooLong)?;
    let welcome = PeerWelcome::read(&line)?;
    let (cut_sender, cut) = oneshot::channel();
    let connection = shared
        .site
        .peer_reached(site, key, &welcome.events, hook(cut_sender), clock::now())
        .await?;
    Ok(connection.map(|connection| {
        let open = OpenPeer::new(server, shared, connection, cut);
        (open, stream)
    }))
}

fn now() -> Instant {
    Instant::from_std(clock::monotonic())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dials all of these peers, one at a time.
    fn order(
        turns: &mut Turns,
        mut due: Vec<SiteId>,
        backoff: &HashMap<SiteId, Backoff>,
    ) -> Vec<SiteId> {
        std::iter::from_fn(|| turns.take(&mut due, backoff)).collect()
    }

    /// With more peers than connections, those with high site ids were never dialled.
    // PEER-76
    #[test]
    fn the_peers_after_the_one_that_was_dialled_last_come_first() {
        let [one, two, three] = [1, 2, 3].map(|byte| SiteId([byte; 32]));
        let peers = || vec![three, one, two];
        let none_failed = HashMap::new();
        let after = |last, peers| {
            let mut turns = Turns {
                last,
                ..Turns::default()
            };
            order(&mut turns, peers, &none_failed)
        };
        assert_eq!(after(None, peers()), [one, two, three]);
        assert_eq!(after(Some(one), peers()), [two, three, one]);
        assert_eq!(after(Some(two), vec![one, three]), [three, one]);
        assert_eq!(after(Some(three), peers()), [one, two, three]);
        assert_eq!(after(Some(one), vec![]), []);
        // Peers that do not answer delay one that does by one turn.
        let mut backoff = HashMap::new();
        for site in [one, two] {
            failed(&mut backoff, site);
        }
        let mut turns = Turns::default();
        assert_eq!(order(&mut turns, peers(), &backoff), [three, one, two]);
        assert_eq!(order(&mut turns, peers(), &backoff), [three, one, two]);
        turns.is_of_failed = true;
        assert_eq!(order(&mut turns, peers(), &backoff), [one, three, two]);
    }

    /// Hostile peers that were always due and never failed had each free place, and a peer to which one
    /// attempt failed was dialled no more.
    // PEER-81
    #[test]
    fn a_peer_that_failed_once_has_every_second_turn_whatever_waits_for_the_others() {
        let all = [1, 2, 3, 4].map(|byte| SiteId([byte; 32]));
        let [_, _, _, honest] = all;
        let mut backoff = HashMap::new();
        failed(&mut backoff, honest);
        let mut turns = Turns::default();
        let taken = || turns.take(&mut all.to_vec(), &backoff);
        let taken: Vec<_> = std::iter::repeat_with(taken).take(6).flatten().collect();
        let [one, two, three, _] = all;
        assert_eq!(taken, [one, honest, two, honest, three, honest]);
    }
}
