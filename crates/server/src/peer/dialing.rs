//! Connecting to the peers that messages or heads of the audit log wait for, with backoff and jitter.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::engine::{LONGEST_PEER_BACKOFF, PeerBackoff, PeerPlan, PeerProblem, Site};
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
    // The peer that was dialled last: the next ones come after it, so that none is always last.
    let mut last: Option<SiteId> = None;
    let mut dialing: JoinSet<(SiteId, u64, Dialed)> = JoinSet::new();
    // In the order in which they were taken.
    let mut open: Vec<Place> = Vec::new();
    let mut backoff: HashMap<SiteId, Backoff> = HashMap::new();
    // Peers that may not be dialled, with the version of the changes at which they were looked at.
    let mut held: HashMap<SiteId, u64> = HashMap::new();
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
        let mut waiting = 0;
        for site in in_turn(last, awaited, &backoff) {
            if held.contains_key(&site) {
                server
                    .asks
                    .fail(site, "the peer is not active, or a lockdown refuses it");
                continue;
            }
            let has_place = open.iter().any(|place| place.site == site);
            if has_place || !shared.site.peer_connections(site).is_empty() {
                continue;
            }
            match backoff.get(&site) {
                Some(wait) if wait.until > now() => {
                    next = next.min(wait.until);
                    server
                        .asks
                        .fail(site, "it could not be reached a moment ago");
                }
                _ if open.len() >= server.max_outgoing => waiting += 1,
                _ => {
                    open.push(Place {
                        site,
                        since: now(),
                        is_given: false,
                    });
                    last = Some(site);
                    let dialed = dial(site, server.clone(), connections.clone(), shared.clone());
                    dialing.spawn(async move { (site, version, dialed.await) });
                }
            }
        }
        next = next.min(give_places(&mut open, waiting, &shared.site));
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
                        Dialed::Held => {
                            held.insert(site, at);
                        }
                    }
                }
            }
        }
    }
}

/// The peers in their order, beginning with the one after `last`. Those to which the last attempt failed
/// come after the others.
fn in_turn(
    last: Option<SiteId>,
    mut peers: Vec<SiteId>,
    backoff: &HashMap<SiteId, Backoff>,
) -> Vec<SiteId> {
    peers.sort_unstable();
    let first = last.map_or(0, |last| peers.partition_point(|site| *site <= last));
    peers.rotate_left(first);
    peers.sort_by_key(|site| backoff.contains_key(site));
    peers
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
            // A peer that welcomes this site and takes nothing would otherwise be dialled without a pause.
            let is_useful = match ended.by {
                EndedBy::Us => true,
                EndedBy::TooLate => false,
                _ => ended.has_sent,
            };
            if is_useful {
                return Dialed::Useful;
            }
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
    plan: PeerPlan,
    server: &Arc<PeerServer>,
    shared: &Arc<Shared>,
) -> Result<Reached, DialError> {
    let Some(keys) = shared.site.unsealed_keys() else {
        return Ok(None);
    };
    let connector = |plan: &PeerPlan| {
        Connector::of_peer(plan.known.keys().signing, keys.key.clone()).map_err(DialError::from)
    };
    let (stream, key) = match connect(&plan.address, &connector(&plan)?).await {
        Ok(stream) => (stream, plan.known.keys().signing),
        Err(DialError::WrongKey) => {
            // The peer's key may have been replaced since the sites met.
            let known = follow(&plan.address, plan.known, shared).await?;
            let plan = PeerPlan {
                known,
                ..plan.clone()
            };
            let stream = connect(&plan.address, &connector(&plan)?).await?;
            (stream, plan.known.keys().signing)
        }
        Err(other) => return Err(other),
    };
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

    /// With more peers than connections, those with high site ids were never dialled.
    #[test]
    fn the_peers_after_the_one_that_was_dialled_last_come_first() {
        let [one, two, three] = [1, 2, 3].map(|byte| SiteId([byte; 32]));
        let peers = || vec![three, one, two];
        let mut backoff = HashMap::new();
        let after = |last, peers| in_turn(last, peers, &HashMap::new());
        assert_eq!(after(None, peers()), [one, two, three]);
        assert_eq!(after(Some(one), peers()), [two, three, one]);
        assert_eq!(after(Some(SiteId([2; 32])), vec![one, three]), [three, one]);
        assert_eq!(after(Some(three), peers()), [one, two, three]);
        assert_eq!(after(Some(one), vec![]), []);
        // Peers that do not answer must not come before one that does.
        for site in [one, two] {
            failed(&mut backoff, site);
        }
        assert_eq!(in_turn(None, peers(), &backoff), [three, one, two]);
        assert_eq!(in_turn(Some(one), peers(), &backoff), [three, two, one]);
    }
}
