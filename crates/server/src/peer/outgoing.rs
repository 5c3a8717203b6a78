//! What this site sends over one connection: messages, heads of the audit log, its new address, and
//! pings.
//!
//! ```text
//!          changed            some                     reports             all were taken
//! Waiting ─────────▶ Reading ──────▶ Awaiting a result ───────▶ Storing ──▶ Reading
//!    ▲                  │ none                                     │ some have to wait
//!    ├──────────────────┘                                          ▼
//!    └────────────────────────────────── 5 s ────────────────── Resting
//! ```
//!
//! One batch is under way at a time, over one connection of each peer, which keeps the order. A peer
//! that refuses messages as a whole gets the others meanwhile.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::engine::{
    DeliveryReport, HeadReply, IncomingState, OfferedHead, Outgoing as Batch, PeerAddressNotice,
    PeerStatus,
};
use countersign_core::id::MessageId;
use countersign_core::store::StoreError;
use countersign_core::timestamp::Timestamp;
use countersign_proto::json;
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::site_identity::SiteId;
use serde::Deserialize;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::{PeerServer, Sending};
use crate::clock;
use crate::runtime::shared::{Shared, log_trouble};

/// How long a peer may take for a result; then the connection ends.
pub(super) const RESULT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long this site waits after a peer did not take all messages of a batch.
const LATER: Duration = Duration::from_millis(LATER_MILLIS);
const LATER_MILLIS: u64 = 5_000;

type Step<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

pub(super) struct Outgoing {
    server: Arc<PeerServer>,
    shared: Arc<Shared>,
    site: SiteId,
    changes: watch::Receiver<u64>,
    ended: broadcast::Receiver<SiteId>,
    /// Whether the peer took a message, a head or an address.
    has_sent: bool,
    state: State,
    last_id: u64,
    /// The address of this site that the peer was told on this connection, whatever it answered.
    told: Option<PeerAddressNotice>,
    /// Messages are not sent before this time, because the peer refused all of them.
    messages_after: Option<Instant>,
}

enum State {
    /// Nothing is under way until something changes, or until this time.
    Waiting(Option<Instant>),
    /// Nothing is under way until this time.
    Resting(Instant),
    Reading(Sending, Step<Work>),
    /// The operation with this id was sent.
    Awaiting(Sending, u64, Sent, Instant),
    Storing(Sending, Step<bool>),
}

/// What the peer gets next.
enum Work {
    Messages(Batch),
    Address(PeerAddressNotice),
    Head(OfferedHead),
    Ping,
    /// Nothing, until this time or until something changes.
    Nothing(Option<Timestamp>),
}

/// What an operation carried that waits for its result.
enum Sent {
    Messages(Vec<MessageId>),
    Address(PeerAddressNotice),
    Head(OfferedHead),
    Ping,
}

/// What the connection does next.
pub(super) enum Next {
    /// It sends this operation.
    Send(Operation),
    /// The peer did not reply in time.
    TooLate,
}

/// What a result was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// An operation waited for it.
    Taken,
    /// No operation waited for it.
    Unexpected,
    /// It reports of other messages than those that were sent.
    Foreign,
}

/// The first report of each message that was sent; `None` if there are more reports than messages,
/// or none of these messages. Each report costs a change in the store.
fn fitting(reports: Vec<DeliveryReport>, mut sent: Vec<MessageId>) -> Option<Vec<DeliveryReport>> {
    if reports.len() > sent.len() {
        return None;
    }
    let fits = |report: &DeliveryReport| {
        let at = sent.iter().position(|id| *id == report.id);
        at.map(|at| sent.swap_remove(at)).is_some()
    };
    let fitting: Vec<_> = reports.into_iter().filter(fits).collect();
    (!fitting.is_empty()).then_some(fitting)
}

/// The result of `peer deliver`.
#[derive(Deserialize)]
struct Reports {
    reports: Vec<DeliveryReport>,
}

/// The time after which a busy peer takes the operation again, in milliseconds; `None` if it told
/// none.
fn told_wait(outcome: &Outcome) -> Option<u64> {
    #[derive(Deserialize)]
    struct Told {
        retry_after_ms: u64,
    }
    let told = json::read::<Told>(outcome.data.get().as_bytes());
    told.ok().map(|told| told.retry_after_ms)
}

/// Waits until a connection with the peer ends. One of another peer changes nothing for this one.
async fn until_ended(ended: &mut broadcast::Receiver<SiteId>, site: SiteId) {
    loop {
        match ended.recv().await {
            Ok(other) if other != site => {}
            // One of those that were missed may have been the peer's.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => pending().await,
        }
    }
}

/// The time at which it is that time of the site.
fn at(time: Timestamp) -> Instant {
    let wait = time.millis().saturating_sub(clock::now().millis());
    let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
    Instant::from_std(clock::monotonic()) + wait
}

impl Outgoing {
    pub(super) fn new(server: &Arc<PeerServer>, shared: &Arc<Shared>, site: SiteId) -> Self {
        let mut changes = server.changes.subscribe();
        // What waits already is looked at first.
        changes.mark_changed();
        Self {
            server: server.clone(),
            shared: shared.clone(),
            site,
            changes,
            ended: server.ended.subscribe(),
            has_sent: false,
            state: State::Waiting(None),
            last_id: 0,
            told: None,
            messages_after: None,
        }
    }

    /// The peer.
    pub(super) fn site(&self) -> SiteId {
        self.site
    }

    /// Whether the peer accepted a message or refused one for good, or took a head or an address.
    pub(super) fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// Whether a batch is under way.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Waiting(_) | State::Resting(_))
    }

    /// The next thing to do. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            match &mut self.state {
                State::Waiting(until) => {
                    let until = *until;
                    self.until_changed(until).await;
                    self.begin();
                }
                State::Resting(until) => {
                    tokio::time::sleep_until(*until).await;
                    self.begin();
                }
                State::Reading(_, reading) => match log_trouble(reading.await) {
                    Ok(Work::Nothing(again)) => {
                        let times = again.map(at).into_iter().chain(self.messages_after);
                        self.state = State::Waiting(times.min());
                    }
                    Ok(work) => {
                        if let Some(operation) = self.send(work) {
                            return Next::Send(operation);
                        }
                    }
                    Err(_) => self.rest(),
                },
                State::Awaiting(_, _, _, until) => {
                    tokio::time::sleep_until(*until).await;
                    self.give_up();
                    return Next::TooLate;
                }
                State::Storing(_, storing) => match log_trouble(storing.await) {
                    Ok(true) => self.read_on(),
                    Ok(false) | Err(_) => self.rest(),
                },
            }
        }
    }

    /// Takes a result.
    pub(super) fn answered(&mut self, outcome: &Outcome) -> Answered {
        let state = std::mem::replace(&mut self.state, State::Waiting(None));
        let (sending, sent) = match state {
            State::Awaiting(sending, id, sent, _) if id == outcome.id => (sending, sent),
            other => {
                self.state = other;
                return Answered::Unexpected;
            }
        };
        match sent {
            Sent::Messages(messages) => self.messages_answered(sending, messages, outcome),
            Sent::Head(head) => {
                self.head_answered(sending, head, outcome);
                Answered::Taken
            }
            Sent::Address(address) => {
                self.address_answered(sending, address, outcome);
                Answered::Taken
            }
            Sent::Ping => {
                self.ping_answered(sending, outcome);
                Answered::Taken
            }
        }
    }

    /// The peer did not answer in time. What it did not answer is not due again at once: this site must
    /// not connect again and again for it.
    fn give_up(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Waiting(None));
        let State::Awaiting(_sending, _, sent, _) = state else {
            return;
        };
        let (site, now) = (&self.shared.site, clock::now());
        match sent {
            // They wait for as long as the next attempt at the peer.
            Sent::Messages(_) => {}
            Sent::Address(_) => site.address_refused(self.site, None, now),
            Sent::Head(head) => {
                site.head_unanswered(self.site, &head, now);
                self.server.head_tried();
            }
            Sent::Ping => site.peer_told_status(self.site, None, now),
        }
    }

    fn messages_answered(
        &mut self,
        sending: Sending,
        sent: Vec<MessageId>,
        outcome: &Outcome,
    ) -> Answered {
        let answered_at = clock::now();
        self.shared
            .site
            .delivery_answered(self.site, outcome.code, answered_at);
        let reports = match outcome.code {
            Code::SUCCESS => json::read::<Reports>(outcome.data.get().as_bytes()).ok(),
            // The peer does not allow it, or is busy.
            _ => None,
        };
        match reports {
            Some(Reports { reports }) => {
                let Some(reports) = fitting(reports, sent) else {
                    return Answered::Foreign;
                };
                let is_taken = |report: &DeliveryReport| report.state != IncomingState::Later;
                self.has_sent |= reports.iter().any(is_taken);
                let (site, peer) = (self.shared.site.clone(), self.site);
                let storing =
                    async move { site.messages_reported(peer, &reports, clock::now()).await };
                self.state = State::Storing(sending, Box::pin(storing));
            }
            None => {
                let now = Instant::from_std(clock::monotonic());
                // A peer counts operations above its rate as a breach, of any kind.
                let wait = if outcome.code == Code::BUSY {
                    LATER
                } else {
                    Duration::ZERO
                };
                self.messages_after = Some(now + wait + LATER);
                self.state = State::Resting(now + wait);
            }
        }
        Answered::Taken
    }

    /// A result that cannot be read counts as none: the next head is sent in its turn.
    fn head_answered(&mut self, sending: Sending, head: OfferedHead, outcome: &Outcome) {
        let (server, shared, peer) = (self.server.clone(), self.shared.clone(), self.site);
        let reply = match outcome.code {
            Code::SUCCESS => json::read::<HeadReply>(outcome.data.get().as_bytes()).ok(),
            _ => None,
        };
        self.has_sent |= reply.is_some();
        let refused = (outcome.code, told_wait(outcome));
        let storing = async move {
            let (site, now) = (&shared.site, clock::now());
            match reply {
                Some(reply) => site.head_answered(peer, &head, reply, now).await?,
                None => site.head_refused(peer, &head, refused, now),
            }
            server.head_tried();
            Ok(true)
        };
        self.state = State::Storing(sending, Box::pin(storing));
    }

    fn address_answered(
        &mut self,
        sending: Sending,
        address: PeerAddressNotice,
        outcome: &Outcome,
    ) {
        let (site, peer) = (self.shared.site.clone(), self.site);
        let is_stored = outcome.code == Code::SUCCESS;
        self.has_sent |= is_stored;
        let is_busy = outcome.code == Code::BUSY;
        let wait = is_busy.then(|| told_wait(outcome)).flatten();
        let storing = async move {
            match is_stored {
                true => site.address_told(peer, &address, clock::now()).await?,
                false => site.address_refused(peer, wait, clock::now()),
            }
            Ok(true)
        };
        self.state = State::Storing(sending, Box::pin(storing));
    }

    fn ping_answered(&mut self, sending: Sending, outcome: &Outcome) {
        let status = match outcome.code {
            Code::SUCCESS => json::read::<PeerStatus>(outcome.data.get().as_bytes()).ok(),
            _ => None,
        };
        let site = &self.shared.site;
        site.peer_told_status(self.site, status, clock::now());
        self.state = State::Storing(sending, Box::pin(async { Ok(true) }));
    }

    /// Reads the next messages, unless another connection sends them.
    fn begin(&mut self) {
        self.state = match self.server.begin_sending(self.site) {
            Some(sending) => State::Reading(sending, self.reading()),
            None => State::Waiting(None),
        };
    }

    fn read_on(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Waiting(None));
        if let State::Storing(sending, _) = state {
            self.state = State::Reading(sending, self.reading());
        }
    }

    fn reading(&mut self) -> Step<Work> {
        let (site, peer, told) = (self.shared.site.clone(), self.site, self.told.clone());
        let now = Instant::from_std(clock::monotonic());
        self.messages_after = self.messages_after.filter(|after| *after > now);
        let takes_messages = self.messages_after.is_none();
        Box::pin(async move {
            let mut again = None;
            if takes_messages {
                match log_trouble(site.messages_for(peer, clock::now()).await) {
                    Ok(batch) if !batch.messages.is_empty() => return Ok(Work::Messages(batch)),
                    Ok(batch) => again = batch.again,
                    // The peer is a witness of the audit log all the same.
                    Err(_) => again = Some(clock::now().plus_millis(LATER_MILLIS)),
                }
            }
            if let Some(address) = site.address_for(peer).await?
                && told.as_ref() != Some(&address)
            {
                return Ok(Work::Address(address));
            }
            if let Some(head) = site.head_for(peer, clock::now()).await? {
                return Ok(Work::Head(head));
            }
            if site.asks_for_status(peer, clock::now()) {
                return Ok(Work::Ping);
            }
            let rested = site.head_rests_until(peer, clock::now());
            Ok(Work::Nothing(again.into_iter().chain(rested).min()))
        })
    }

    fn send(&mut self, work: Work) -> Option<Operation> {
        let state = std::mem::replace(&mut self.state, State::Waiting(None));
        let State::Reading(sending, _) = state else {
            return None;
        };
        let (command, params, sent) = match work {
            Work::Messages(batch) => {
                let params = serde_json::value::to_raw_value(&batch).ok()?;
                let sent = batch.messages.iter().map(|message| message.id).collect();
                ("deliver", params, Sent::Messages(sent))
            }
            Work::Head(head) => {
                let params = serde_json::value::to_raw_value(&head.offer).ok()?;
                ("audit_head", params, Sent::Head(head))
            }
            Work::Address(address) => {
                // A peer that refuses it is told with the next connection.
                self.told = Some(address.clone());
                let params = serde_json::value::to_raw_value(&address).ok()?;
                ("address", params, Sent::Address(address))
            }
            Work::Ping => {
                let params = serde_json::value::to_raw_value(&serde_json::json!({})).ok()?;
                ("ping", params, Sent::Ping)
            }
            Work::Nothing(_) => return None,
        };
        self.last_id += 1;
        let until = Instant::from_std(clock::monotonic()) + RESULT_TIMEOUT;
        self.state = State::Awaiting(sending, self.last_id, sent, until);
        Some(Operation::new(self.last_id, "peer", command, params))
    }

    /// Waits before anything is sent again.
    fn rest(&mut self) {
        self.state = State::Resting(Instant::from_std(clock::monotonic()) + LATER);
    }

    /// Waits until there may be messages, the connection that sends them has ended, or it is this
    /// time.
    async fn until_changed(&mut self, until: Option<Instant>) {
        let time = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => pending().await,
            }
        };
        let (changes, ended, site) = (&mut self.changes, &mut self.ended, self.site);
        let changed = async {
            if changes.changed().await.is_err() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            () = changed => {}
            () = until_ended(ended, site) => {}
            () = time => {}
        }
    }
}
