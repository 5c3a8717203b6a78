//! Connecting to the peers that messages or heads of the audit log wait for, with backoff and jitter.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::engine::{LONGEST_PEER_BACKOFF, PeerBackoff, PeerPlan, PeerProblem};
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_net::listener::Connections;
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

/// The problem with a peer that closes the connection and takes no message.
const CLOSED_AT_ONCE: &str = "it ended the connection before it took a message";

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
    let mut open: Vec<SiteId> = Vec::new();
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
        for site in after(last, awaited) {
            if open.len() >= server.max_outgoing {
                break;
            }
            if held.contains_key(&site) {
                server
                    .asks
                    .fail(site, "the peer is not active, or a lockdown refuses it");
                continue;
            }
            if open.contains(&site) || !shared.site.peer_connections(site).is_empty() {
                continue;
            }
            match backoff.get(&site) {
                Some(wait) if wait.until > now() => {
                    next = next.min(wait.until);
                    server
                        .asks
                        .fail(site, "it could not be reached a moment ago");
                }
                _ => {
                    open.push(site);
                    last = Some(site);
                    let dialed = dial(site, server.clone(), connections.clone(), shared.clone());
                    dialing.spawn(async move { (site, version, dialed.await) });
                }
            }
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = server.dialer.notified() => {}
            _ = ended.recv() => {}
            () = tokio::time::sleep_until(next) => held.clear(),
            Some(ended) = dialing.join_next(), if !dialing.is_empty() => {
                if let Ok((site, at, dialed)) = ended {
                    open.retain(|other| *other != site);
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

/// The peers in their order, beginning with the one after `last`.
fn after(last: Option<SiteId>, mut peers: Vec<SiteId>) -> Vec<SiteId> {
    peers.sort_unstable();
    let first = last.map_or(0, |last| peers.partition_point(|site| *site <= last));
    peers.rotate_left(first);
    peers
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
    /// There was a connection, over which the peer took a message, or which lasted.
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
            let began = now();
            let (sender, ended) = oneshot::channel();
            let served = async move {
                let _ = sender.send(Box::pin(link::run(open, stream, Some(QUIET))).await);
            };
            connections.spawn(served).await;
            // Without a result, the program stops or the connection's task panicked.
            let Ok(ended) = ended.await else {
                return Dialed::Failed;
            };
            // A peer that welcomes this site and closes would otherwise be dialled without a pause.
            let lasted = now().duration_since(began) >= QUIET;
            if ended.has_sent || lasted || ended.by == EndedBy::Us {
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

/// The problem with a peer over whose connection nothing passed; `None` if its end is no problem.
fn problem(ended_by: EndedBy) -> Option<PeerProblem> {
    let why = match ended_by {
        EndedBy::Us | EndedBy::Peer(PeerEnd::Idle | PeerEnd::NewKey) => return None,
        EndedBy::Peer(PeerEnd::Suspended | PeerEnd::Removed) => {
            return Some(PeerProblem::NotAccepted);
        }
        EndedBy::Peer(PeerEnd::Protocol) | EndedBy::Breach => {
            let why = "the connection ended with a breach of it".to_owned();
            return Some(PeerProblem::Malformed { why });
        }
        EndedBy::Peer(end) => end.text(),
        EndedBy::Unknown => CLOSED_AT_ONCE,
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
    let line = line.map_err(|_| DialError::Refused)?;
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
        assert_eq!(after(None, peers()), [one, two, three]);
        assert_eq!(after(Some(one), peers()), [two, three, one]);
        assert_eq!(after(Some(SiteId([2; 32])), vec![one, three]), [three, one]);
        assert_eq!(after(Some(three), peers()), [one, two, three]);
        assert_eq!(after(Some(one), vec![]), []);
    }
}
