//! Requests for tickets: the steps of each edition, and the turns at public-key work between them.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::broker::{NotAnswered, Registered};
use countersign_core::guard::Offence;
use countersign_core::site::Opened;
use countersign_core::store::StoreError;
use countersign_core::timestamp::Timestamp;
use countersign_proto::broker::v2::limits;
use countersign_proto::broker::v2::site::Request;
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

/// Why nothing is granted. `R` is the refusal of the edition.
enum Stop<R> {
    Refused(R),
    Sealed,
    Busy,
}

impl From<v2::Refusal> for Stop<v2::Refusal> {
    fn from(refusal: v2::Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<v1::Refusal> for Stop<v1::Refusal> {
    fn from(refusal: v1::Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<R: std::error::Error> Stop<R> {
    fn of(not: NotAnswered<R>) -> Self {
        match not {
            NotAnswered::Refused(refusal) => Self::Refused(refusal),
            NotAnswered::Busy => Self::Busy,
            NotAnswered::Store(trouble) => Self::of_store(&trouble),
        }
    }

    fn of_store(trouble: &StoreError) -> Self {
        error!(%trouble, "the store is in trouble");
        Self::Busy
    }
}

/// A request of edition v2.
pub(super) async fn v2(body: Incoming, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    if peer.is_turned_away(shared) {
        return reply::busy();
    }
    let Some(body) = read(body, shared).await else {
        return refuse_v2(v2::Refusal::NotVerified, Instant::now(), peer, shared).await;
    };
    let mut asked = Instant::now();
    match grant_v2(&body, peer, shared, &mut asked).await {
        Ok(granted) => reply::granted(granted),
        Err(Stop::Refused(refusal)) => refuse_v2(refusal, asked, peer, shared).await,
        Err(Stop::Sealed) => reply::sealed(),
        Err(Stop::Busy) => reply::busy(),
    }
}

async fn grant_v2(
    body: &[u8],
    peer: &Peer,
    shared: &Arc<Shared>,
    asked: &mut Instant,
) -> Result<String, Stop<v2::Refusal>> {
    let opened = opened(shared)?;
    let request = Request::read(body)?;
    let requester = registered(request.requester(), shared).await?;
    let now = clock::now();
    let verified = {
        let _turn = turn(peer, shared).await?;
        opened.broker.verify(request, requester.as_deref(), now)?
    };
    peer.proved(shared);
    let refused = Stop::Refused(v2::Refusal::NotVerified);
    let requester = requester.ok_or(refused)?;
    // Asked before its turn comes: a slow store must not hold a turn, and a refusal waits for none, so
    // that its time is the same whatever is refused.
    *asked = Instant::now();
    if !allows(&requester, verified.requested(), shared).await? {
        return Err(Stop::Refused(v2::Refusal::NotAllowed));
    }
    let _turn = turn(peer, shared).await?;
    let sealed = shared
        .site
        .ticket(&opened.broker, verified, &requester, clock::now())
        .await
        .map_err(Stop::of)?;
    serde_json::to_string(&sealed).map_err(|_| Stop::Busy)
}

async fn refuse_v2(
    refusal: v2::Refusal,
    asked: Instant,
    peer: &Peer,
    shared: &Arc<Shared>,
) -> Reply {
    let unproved = refusal == v2::Refusal::NotVerified;
    refuse(unproved, &refusal, asked, peer, shared).await;
    reply::refused(refusal.status(), refusal.body())
}

/// A request of edition v1: the JSON text of a sealed message.
pub(super) async fn v1(text: &str, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    if peer.is_turned_away(shared) {
        return reply::busy();
    }
    let (mut asked, mut proved) = (Instant::now(), false);
    match grant_v1(text, peer, shared, &mut asked, &mut proved).await {
        Ok(granted) => reply::granted(granted),
        Err(Stop::Refused(refusal)) => {
            // A cipher or a hash is refused before the requester is proved, or for its registration after that.
            let unproved = match refusal {
                v1::Refusal::NotVerified => true,
                v1::Refusal::Cipher { .. } | v1::Refusal::Hash { .. } => !proved,
                _ => false,
            };
            refuse(unproved, &refusal, asked, peer, shared).await;
            reply::refused_v1(refusal.status(), refusal.body())
        }
        Err(Stop::Sealed) => reply::sealed(),
        Err(Stop::Busy) => reply::busy(),
    }
}

/// Sets `proved` once the requester is.
async fn grant_v1(
    text: &str,
    peer: &Peer,
    shared: &Arc<Shared>,
    asked: &mut Instant,
    proved: &mut bool,
) -> Result<String, Stop<v1::Refusal>> {
    let site = opened(shared)?;
    let opened = {
        let _turn = turn(peer, shared).await?;
        site.broker.open_v1(text)?
    };
    let requester = registered(opened.requester(), shared).await?;
    let now = clock::now();
    let verified = {
        let _turn = turn(peer, shared).await?;
        site.broker.verify_v1(opened, requester.as_deref(), now)?
    };
    *proved = true;
    peer.proved(shared);
    let refused = Stop::Refused(v1::Refusal::NotVerified);
    let requester = requester.ok_or(refused)?;
    *asked = Instant::now();
    if !allows(&requester, verified.requested(), shared).await? {
        let requested = v1::Which::Requested;
        return Err(Stop::Refused(v1::Refusal::Application(requested)));
    }
    let _turn = turn(peer, shared).await?;
    let sealed = shared
        .site
        .ticket_v1(&site.broker, verified, &requester, clock::now())
        .await
        .map_err(Stop::of)?;
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
    let read = tokio::time::timeout(shared.limits().unproved_time, read);
    read.await.ok().flatten()
}

fn opened<R>(shared: &Shared) -> Result<Arc<Opened>, Stop<R>> {
    shared.site.opened().ok_or(Stop::Sealed)
}

async fn registered<R: std::error::Error>(
    id: &str,
    shared: &Shared,
) -> Result<Option<Arc<Registered>>, Stop<R>> {
    let now: Timestamp = clock::now();
    let found = shared.site.registered(id, now).await;
    found.map_err(|trouble| Stop::of_store(&trouble))
}

/// Whether a verified requester may have a ticket for that provider.
async fn allows<R: std::error::Error>(
    requester: &Registered,
    requested: &str,
    shared: &Shared,
) -> Result<bool, Stop<R>> {
    let allowed = shared.site.allows(requester, requested, clock::now()).await;
    allowed.map_err(|trouble| Stop::of_store(&trouble))
}

/// Waits for its network's turn to do public-key work.
async fn turn<R>(peer: &Peer, shared: &Shared) -> Result<Turn, Stop<R>> {
    let turn = shared.logins.turn(peer.network()).await;
    turn.ok_or(Stop::Busy)
}

/// Refuses no sooner than a fixed time after `asked`, whatever is refused: how long it took tells neither
/// what was wrong nor what exists. What was not verified counts against its source.
async fn refuse(
    unproved: bool,
    refusal: &impl std::fmt::Display,
    asked: Instant,
    peer: &Peer,
    shared: &Shared,
) {
    debug!(peer = %peer.connection.address, %refusal, "a request for a ticket is refused");
    if unproved {
        peer.punish(Offence::NotProved, shared);
        if let Some(source) = peer.source {
            counting::request_failed(shared, source);
        }
    }
    tokio::time::sleep_until(asked + shared.limits().refusal_time).await;
}
