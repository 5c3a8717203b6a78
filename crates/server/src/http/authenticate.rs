//! Ticket requests: the steps, which are the same for each edition, with turns at public-key work between them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::site_key::UnsealedKeys;
use countersign_core::throttle::Abuse;
use countersign_core::tickets::{Denial, Destination, IssueError, TicketEdition, V1, V2};
use countersign_proto::broker::v2::limits;
use countersign_proto::broker::{v1, v2};
use countersign_proto::operation::Code;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tracing::{debug, error};

use super::Peer;
use super::reply::{self, Reply};
use crate::clock;
use crate::counting;
use crate::queue::Turn;
use crate::shared::Shared;

/// When a consumer may ask again for a ticket of a peer that did not answer, in seconds.
const PEER_RETRY: u32 = 5;
/// How far in the future the time of a request may be.
pub(super) const MOMENT: Duration = Duration::from_millis(limits::AHEAD);

/// The differences of the editions over HTTP.
trait Form: TicketEdition {
    /// Whether the refused request failed verification. `verified`: whether the verification step was passed.
    fn is_unverified(refusal: &Self::Refusal, verified: bool) -> bool;

    /// The response for a refusal.
    fn refused(refusal: &Self::Refusal) -> Reply;
}

impl Form for V2 {
    fn is_unverified(refusal: &v2::Refusal, _: bool) -> bool {
        *refusal == v2::Refusal::NotVerified
    }

    fn refused(refusal: &v2::Refusal) -> Reply {
        let reply = reply::refused(refusal.status(), refusal.body());
        match refusal {
            v2::Refusal::PeerUnreachable => reply::after(reply, PEER_RETRY),
            _ => reply,
        }
    }
}

impl Form for V1 {
    fn is_unverified(refusal: &v1::V1Refusal, verified: bool) -> bool {
        match refusal {
            v1::V1Refusal::NotVerified => true,
            // Refused before the consumer was verified, or after that because of its registration.
            v1::V1Refusal::Cipher { .. } | v1::V1Refusal::Hash { .. } => !verified,
            _ => false,
        }
    }

    fn refused(refusal: &v1::V1Refusal) -> Reply {
        reply::refused_v1(refusal.status(), refusal.body())
    }
}

/// The reason why no ticket is issued. `R` is the refusal of the edition.
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
                error!(%trouble, "the store failed");
                Self::Busy
            }
        }
    }
}

/// The progress of a request.
struct Progress {
    /// A refusal is sent no sooner than the refusal time after this.
    from: Instant,
    verified: bool,
}

/// Serves a request of edition v2.
pub(super) async fn v2(body: Incoming, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    if !shared.site.permits(V2::ACTIVITY) {
        return reply::lockdown();
    }
    let text = read(body, shared).await;
    answer::<V2>(text, peer, shared).await
}

/// Serves a request of edition v1: the JSON text of a sealed message.
pub(super) async fn v1(text: String, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    if !shared.site.permits(V1::ACTIVITY) {
        return reply::lockdown();
    }
    answer::<V1>(Some(text.into_bytes()), peer, shared).await
}

/// Serves a request; `None` if it could not be read.
async fn answer<E: Form>(text: Option<Vec<u8>>, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    let begun = clock::monotonic();
    let mut progress = Progress {
        from: begun,
        verified: false,
    };
    let granted = match text {
        Some(text) => grant::<E>(text, peer, shared, &mut progress).await,
        None => Err(Stop::Refused(E::refusal(Denial::NotVerified))),
    };
    count(&granted, begun, shared);
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

/// Counts a request as the operation that it is in a session.
fn count<T, R>(granted: &Result<T, Stop<R>>, begun: Instant, shared: &Shared) {
    let code = match granted {
        Ok(_) => Code::SUCCESS,
        Err(Stop::Refused(_)) => Code::NOT_PERMITTED,
        Err(Stop::Sealed) => Code::SEALED,
        Err(Stop::Busy) => Code::BUSY,
    };
    let entry = shared.site.table().find("broker", "ticket");
    let lasted = clock::monotonic().saturating_duration_since(begun);
    shared.meters.ran(entry.map(|entry| &**entry), code, lasted);
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
        // The request is not verified yet, so looking up an application that is not cached waits for a turn too.
        let _turn = turn(peer, shared).await?;
        site.verify_request::<E>(keys, received, now).await?
    };
    peer.authenticated(shared);
    // Policy is checked before the next turn: a refusal waits for no turn, so that its time does not depend on
    // its reason.
    *progress = Progress {
        from: clock::monotonic(),
        verified: true,
    };
    let sealed = match site.destination(verified, clock::now()).await? {
        Destination::Own(verified) => {
            let allowed = site.allow(verified, clock::now()).await?;
            let _turn = turn(peer, shared).await?;
            site.ticket(keys, allowed, clock::now()).await?
        }
        // No turn is held while the other site works.
        Destination::Peer(allowed) => {
            let response = site.ask_foreign(&allowed, clock::now()).await?;
            let _turn = turn(peer, shared).await?;
            let now = clock::now();
            site.relay(keys, allowed, &response, now).await?
        }
    };
    serde_json::to_string(&sealed).map_err(|_| Stop::Busy)
}

/// Reads the body; `None` if it is too long or does not arrive before the timeout.
async fn read(body: Incoming, shared: &Shared) -> Option<Vec<u8>> {
    let mut body = Limited::new(body, limits::SEALED);
    let read = async {
        // One buffer: keeping many short frames would need many times their length.
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

/// Waits for a turn of the peer's network to do public-key work.
async fn turn<R>(peer: &Peer, shared: &Shared) -> Result<Turn, Stop<R>> {
    let turn = shared.logins.turn(peer.network()).await;
    turn.ok_or(Stop::Busy)
}

/// Waits until the refusal time after `from` has passed, so that the time reveals neither the reason nor which
/// applications exist. A request that failed verification counts against its source.
async fn refuse(
    unverified: bool,
    refusal: &impl std::fmt::Display,
    from: Instant,
    peer: &Peer,
    shared: &Shared,
) {
    debug!(peer = %peer.connection.address, %refusal, "ticket request refused");
    if unverified {
        peer.punish(Abuse::NotAuthenticated, shared);
        if let Some(source) = peer.source {
            counting::request_failed(shared, source);
        }
    }
    tokio::time::sleep_until((from + shared.limits().refusal_time).into()).await;
}
