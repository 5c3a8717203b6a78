//! Requests for tickets: the steps, which are the same for each edition, and the turns at public-key work between
//! them.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::site_key::UnsealedKeys;
use countersign_core::throttle::Abuse;
use countersign_core::tickets::{Denial, Edition, IssueError, V1, V2};
use countersign_proto::broker::v2::limits;
use countersign_proto::broker::{v1, v2};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::Instant;
use tracing::{debug, error};

use super::Peer;
use super::reply::{self, Reply};
use crate::clock;
use crate::counting;
use crate::queue::Turn;
use crate::shared::Shared;

/// How far ahead of the clock a request may be made.
pub(super) const MOMENT: Duration = Duration::from_millis(limits::AHEAD);

/// What the editions differ in over HTTP.
trait Form: Edition {
    /// Whether the refusal is of a request that was not verified; `verified`: whether verification was passed.
    fn is_unverified(refusal: &Self::Refusal, verified: bool) -> bool;

    /// The refusal as it is sent.
    fn refused(refusal: &Self::Refusal) -> Reply;
}

impl Form for V2 {
    fn is_unverified(refusal: &v2::Refusal, _: bool) -> bool {
        *refusal == v2::Refusal::NotVerified
    }

    fn refused(refusal: &v2::Refusal) -> Reply {
        reply::refused(refusal.status(), refusal.body())
    }
}

impl Form for V1 {
    fn is_unverified(refusal: &v1::V1Refusal, verified: bool) -> bool {
        match refusal {
            v1::V1Refusal::NotVerified => true,
            // Refused before the consumer is verified, or for its registration after that.
            v1::V1Refusal::Cipher { .. } | v1::V1Refusal::Hash { .. } => !verified,
            _ => false,
        }
    }

    fn refused(refusal: &v1::V1Refusal) -> Reply {
        reply::refused_v1(refusal.status(), refusal.body())
    }
}

/// Why nothing is granted. `R` is the refusal of the edition.
enum Stop<R> {
    Refused(R),
    Sealed,
    Busy,
}

impl<R: std::error::Error> From<IssueError<R>> for Stop<R> {
    fn from(error: IssueError<R>) -> Self {
        match error {
            IssueError::Refused(refusal) => Self::Refused(refusal),
            IssueError::Busy => Self::Busy,
            IssueError::Store(trouble) => {
                error!(%trouble, "the store is in trouble");
                Self::Busy
            }
        }
    }
}

/// How far a request came.
struct Progress {
    /// A refusal is sent no sooner than a fixed time after that.
    from: Instant,
    verified: bool,
}

/// A request of edition v2.
pub(super) async fn v2(body: Incoming, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    if peer.is_refused(shared) {
        return reply::busy();
    }
    let text = read(body, shared).await;
    answer::<V2>(text, peer, shared).await
}

/// A request of edition v1: the JSON text of a sealed message.
pub(super) async fn v1(text: String, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    if peer.is_refused(shared) {
        return reply::busy();
    }
    answer::<V1>(Some(text.into_bytes()), peer, shared).await
}

/// `None` is a request that could not be read.
async fn answer<E: Form>(text: Option<Vec<u8>>, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    let mut progress = Progress {
        from: Instant::now(),
        verified: false,
    };
    let granted = match text {
        Some(text) => grant::<E>(text, peer, shared, &mut progress).await,
        None => Err(Stop::Refused(E::refusal(Denial::NotVerified))),
    };
    match granted {
        Ok(granted) => reply::granted(granted),
        Err(Stop::Refused(refusal)) => {
            let unverified = E::is_unverified(&refusal, progress.verified);
            refuse(unverified, &refusal, progress.from, peer, shared).await;
            E::refused(&refusal)
        }
        Err(Stop::Sealed) => reply::sealed(),
        Err(Stop::Busy) => reply::busy(),
    }
}

async fn grant<E: Form>(
    text: Vec<u8>,
    peer: &Peer,
    shared: &Arc<Shared>,
    progress: &mut Progress,
) -> Result<String, Stop<E::Refusal>> {
    let (site, keys) = (&shared.site, &opened(shared)?.broker);
    let received = E::read(text).map_err(Stop::Refused)?;
    let now = clock::now();
    let verified = {
        // It is not known who asks: looking up an application that is not in the cache waits for a turn as well.
        let _turn = turn(peer, shared).await?;
        site.verify_request::<E>(keys, received, now).await?
    };
    peer.authenticated(shared);
    // Decided before the next turn: a refusal waits for none, so that its time is the same whatever is refused.
    *progress = Progress {
        from: Instant::now(),
        verified: true,
    };
    let allowed = site.allow(verified, clock::now()).await?;
    let _turn = turn(peer, shared).await?;
    let sealed = site.ticket(keys, allowed, clock::now()).await?;
    serde_json::to_string(&sealed).map_err(|_| Stop::Busy)
}

/// Reads what was sent, if it is not too long and comes in time.
async fn read(body: Incoming, shared: &Shared) -> Option<Vec<u8>> {
    let mut body = Limited::new(body, limits::SEALED);
    let read = async {
        // Into one piece of memory: a piece for each of many short ones would cost many times their length.
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            text.extend_from_slice(&frame.ok()?.into_data().unwrap_or_default());
        }
        Some(text)
    };
    let read = tokio::time::timeout(shared.limits().unauthenticated_timeout, read);
    read.await.ok().flatten()
}

fn opened<R>(shared: &Shared) -> Result<Arc<UnsealedKeys>, Stop<R>> {
    shared.site.unsealed_keys().ok_or(Stop::Sealed)
}

/// Waits for its network's turn to do public-key work.
async fn turn<R>(peer: &Peer, shared: &Shared) -> Result<Turn, Stop<R>> {
    let turn = shared.logins.turn(peer.network()).await;
    turn.ok_or(Stop::Busy)
}

/// Refuses no sooner than a fixed time after `from`, whatever is refused: how long it took tells neither
/// what was wrong nor what exists. What was not verified counts against its source.
async fn refuse(
    unverified: bool,
    refusal: &impl std::fmt::Display,
    from: Instant,
    peer: &Peer,
    shared: &Shared,
) {
    debug!(peer = %peer.connection.address, %refusal, "a request for a ticket is refused");
    if unverified {
        peer.punish(Abuse::NotAuthenticated, shared);
        if let Some(source) = peer.source {
            counting::request_failed(shared, source);
        }
    }
    tokio::time::sleep_until(from + shared.limits().refusal_time).await;
}
