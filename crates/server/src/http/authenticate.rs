//! Ticket requests: the operation `broker ticket`, called by the application that signed the request. The
//! editions differ in the form of request and answer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_core::access::Channel;
use countersign_core::engine::TicketWork;
use countersign_core::lockdown::{Activity, OperationKind};
use countersign_core::throttle::Abuse;
use countersign_core::tickets::{Denial, IssueError, TicketEdition, V1, V2};
use countersign_core::timestamp::Timestamp;
use countersign_proto::broker::v2::limits;
use countersign_proto::broker::{v1, v2};
use countersign_proto::operation::Code;
use http_body_util::{BodyExt, Limited};
use tracing::debug;

use super::body_turns::{BodyTurn, LostTo};
use super::origin::{RequestOrigin, Unchecked};
use super::reply::{self, Reply};
use super::request_body::RequestBody;
use crate::clock;
use crate::runtime::counting;
use crate::runtime::queue::Turn;
use crate::runtime::shared::{Shared, log_trouble};

/// When a consumer may ask again for a ticket of a peer that did not answer, in seconds.
const PEER_RETRY: u32 = 5;
/// How far in the future the time of a request may be.
pub(super) const MOMENT: Duration = Duration::from_millis(limits::AHEAD);

/// The differences of the editions over HTTP.
trait Form: TicketEdition {
    /// Whether the refused request failed verification. `verified`: whether the verification step was passed.
    fn is_unverified(refusal: &Self::Refusal, verified: bool) -> bool;

    /// How a refused request counts against its source.
    fn abuse(refusal: &Self::Refusal, verified: bool) -> Option<Abuse> {
        match Self::is_unverified(refusal, verified) {
            true => Some(Abuse::NotAuthenticated),
            false => Self::lasting_denial(refusal).map(|_| Abuse::Refused),
        }
    }

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

/// Why a request gets no ticket.
type Stop<E> = IssueError<<E as TicketEdition>::Refusal>;

/// The progress of a request.
struct Progress<'a> {
    /// A refusal is sent no sooner than the refusal time after this.
    from: Instant,
    verified: bool,
    unchecked: Unchecked<'a>,
}

/// The turns of a network at public-key work, and the clock.
struct Work<'a> {
    origin: &'a RequestOrigin,
    shared: &'a Shared,
    /// Counts a verified request whose client abandons it before it is known that it is no replay.
    unrecorded: Mutex<Unchecked<'a>>,
}

impl Work<'_> {
    fn checked(&self) {
        let unrecorded = self.unrecorded.lock();
        unrecorded.unwrap_or_else(PoisonError::into_inner).done();
    }
}

impl TicketWork for Work<'_> {
    type Turn = Turn;

    async fn turn(&self) -> Option<Turn> {
        self.shared.logins.turn(self.origin.network()).await
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn recorded(&self) {
        self.checked();
        self.origin.authenticated(self.shared);
    }
}

/// Serves a request of edition v2.
pub(super) async fn v2(body: RequestBody, origin: &RequestOrigin, shared: &Shared) -> Reply {
    if let Some(refused) = unread(shared) {
        return refused;
    }
    let Some(turn) = body_turn(origin, shared).await else {
        return unserved(shared);
    };
    let mut unchecked = unchecked(origin, shared);
    match read(body, turn, shared).await {
        Body::Read(text) => answer::<V2>(text, unchecked, origin, shared).await,
        Body::LostTurn(to) => {
            // It counts like one that the client abandoned, unless clients of other networks wait.
            if to == LostTo::Others {
                unchecked.done();
            }
            unserved(shared)
        }
    }
}

/// Serves a request of edition v1: the JSON text of a sealed message.
pub(super) async fn v1(text: String, origin: &RequestOrigin, shared: &Shared) -> Reply {
    if let Some(refused) = unread(shared) {
        return refused;
    }
    let unchecked = unchecked(origin, shared);
    answer::<V1>(Some(text.into_bytes()), unchecked, origin, shared).await
}

/// A request that its client abandons counts as one that failed verification.
fn unchecked<'a>(origin: &'a RequestOrigin, shared: &'a Shared) -> Unchecked<'a> {
    Unchecked::new(|| failed(origin, shared))
}

/// The refusal of a request that is not read, because of a lockdown or the seal.
fn unread(shared: &Shared) -> Option<Reply> {
    let activity = Activity::Operation(OperationKind::IssuesTickets, Channel::Application);
    let (code, reply) = match shared.site.permits(activity) {
        false => (Code::LOCKDOWN, reply::lockdown()),
        true if shared.site.is_sealed() => (Code::SEALED, reply::sealed()),
        true => return None,
    };
    count(code, clock::monotonic(), shared);
    Some(reply)
}

/// The refusal of a request whose body other requests left no room for. It counts against no source.
fn unserved(shared: &Shared) -> Reply {
    count(Code::BUSY, clock::monotonic(), shared);
    reply::busy()
}

/// Serves a request; `None` if it could not be read.
async fn answer<E: Form>(
    text: Option<Vec<u8>>,
    unchecked: Unchecked<'_>,
    origin: &RequestOrigin,
    shared: &Shared,
) -> Reply {
    let begun = clock::monotonic();
    let mut progress = Progress {
        from: begun,
        verified: false,
        unchecked,
    };
    let granted = match text {
        Some(text) => grant::<E>(text, origin, shared, &mut progress).await,
        None => Err(IssueError::Refused(E::refusal(Denial::NotVerified))),
    };
    progress.unchecked.done();
    let (code, refusal) = match granted {
        Ok(granted) => {
            count(Code::SUCCESS, begun, shared);
            return reply::granted(granted);
        }
        Err(IssueError::Refused(refusal)) => (Code::NOT_PERMITTED, Ok(refusal)),
        Err(IssueError::PeerUnreachable) => {
            let refusal = E::refusal(Denial::PeerUnreachable);
            (Code::NOT_PERMITTED, Ok(refusal))
        }
        Err(IssueError::Lockdown) => (Code::LOCKDOWN, Err(reply::lockdown())),
        Err(IssueError::Sealed) => (Code::SEALED, Err(reply::sealed())),
        Err(IssueError::Busy) => (Code::BUSY, Err(reply::busy())),
        Err(IssueError::Store(trouble)) => {
            let _ = log_trouble::<()>(Err(trouble));
            (Code::BUSY, Err(reply::busy()))
        }
    };
    count(code, begun, shared);
    match refusal {
        Ok(refusal) => {
            let abuse = E::abuse(&refusal, progress.verified);
            refuse(abuse, &refusal, progress.from, origin, shared).await;
            E::refused(&refusal)
        }
        Err(reply) => reply,
    }
}

/// Counts a request as the operation that it is.
fn count(code: Code, begun: Instant, shared: &Shared) {
    let entry = shared.site.table().find("broker", "ticket");
    let lasted = clock::monotonic().saturating_duration_since(begun);
    shared.meters.ran(entry.map(|entry| &**entry), code, lasted);
}

async fn grant<E: Form>(
    text: Vec<u8>,
    origin: &RequestOrigin,
    shared: &Shared,
    progress: &mut Progress<'_>,
) -> Result<String, Stop<E>> {
    let site = &shared.site;
    let received = E::read(text).map_err(IssueError::Refused)?;
    if let Some(refusal) = site.refused_before::<E>(&received, clock::now()) {
        return Err(IssueError::Refused(refusal));
    }
    let work = Work {
        origin,
        shared,
        unrecorded: Mutex::new(Unchecked::default()),
    };
    let verified = {
        // The request is not verified yet, so looking up an application that is not cached waits for a turn too.
        let _turn = work.turn().await.ok_or(IssueError::Busy)?;
        site.verify_request::<E>(received, work.now()).await?
    };
    progress.from = clock::monotonic();
    progress.verified = true;
    progress.unchecked.done();
    *work
        .unrecorded
        .lock()
        .unwrap_or_else(PoisonError::into_inner) =
        Unchecked::new(|| origin.punish(Abuse::Refused, shared));
    let sealed = site.request_ticket(verified, &work).await;
    // A refusal counts as what it is.
    work.checked();
    serde_json::to_string(&sealed?).map_err(|_| IssueError::Busy)
}

/// Waits for the turn of the client at sending the body of its request; `None` if it does not come.
async fn body_turn(origin: &RequestOrigin, shared: &Shared) -> Option<BodyTurn> {
    let turn = origin.connection.body_turns.turn(origin.source);
    let turn = tokio::time::timeout(shared.limits().unauthenticated_timeout, turn);
    turn.await.ok().flatten()
}

/// The body of a request.
enum Body {
    /// Its bytes; `None` if it is too long or did not arrive before the timeout.
    Read(Option<Vec<u8>>),
    /// It was slow, and others waited for its turn.
    LostTurn(LostTo),
}

/// Reads the body in its turn.
async fn read(body: RequestBody, mut turn: BodyTurn, shared: &Shared) -> Body {
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
    tokio::select! {
        biased;
        read = read => Body::Read(read.ok().flatten()),
        to = turn.lost() => Body::LostTurn(to),
    }
}

/// Counts a request that failed verification against its source.
fn failed(origin: &RequestOrigin, shared: &Shared) {
    origin.punish(Abuse::NotAuthenticated, shared);
    if let Some(source) = origin.source {
        counting::request_failed(shared, source, origin.is_unpunished);
    }
}

/// Waits until the refusal time after `from` has passed, so that the time reveals neither the reason nor which
/// applications exist. A request that failed verification counts against its source, and so does one that was
/// recorded and sent again.
async fn refuse(
    abuse: Option<Abuse>,
    refusal: &impl std::fmt::Display,
    from: Instant,
    origin: &RequestOrigin,
    shared: &Shared,
) {
    debug!(peer = %origin.connection.address, %refusal, "ticket request refused");
    match abuse {
        Some(Abuse::NotAuthenticated) => failed(origin, shared),
        Some(abuse) => origin.punish(abuse, shared),
        None => {}
    }
    tokio::time::sleep_until((from + shared.limits().refusal_time).into()).await;
}
