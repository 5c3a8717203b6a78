//! Operations that this site calls at a peer, each with a result to wait for.
//!
//! ```text
//! ask ──▶ waiting ──a connection takes it──▶ sent ──▶ result
//!            │                                 │
//!            │ the peer cannot be dialled      │ the connection ends
//!            ▼                                 ▼
//!        unreachable, at once              once more, then unreachable
//! ```
//!
//! Each ends after [`ASK_TIMEOUT`], whatever the peer does.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_core::engine::{AskError, OperationName, PeerServerState, PeerTransport};
use countersign_proto::operation::{Operation, Outcome};
use countersign_proto::site_identity::SiteId;
use serde_json::value::RawValue;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::PeerServer;
use super::outgoing::RESULT_TIMEOUT;
use crate::clock;

/// The time for a result, a connection included. A consumer waits 10 s for a ticket.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(8);
/// The most operations that wait for one peer, or for its results.
const MAX_WAITING: usize = 64;
/// The most operations that wait for results on one connection. The peer takes 16 at a time, some of
/// which are messages.
const MAX_SENT: usize = 8;
/// The ids of operations begin here; those that carry messages have smaller ones.
const FIRST_ID: u64 = 1 << 32;

/// An operation, and who waits for its result.
struct Ask {
    operation: OperationName,
    params: Box<RawValue>,
    reply: oneshot::Sender<Result<Outcome, AskError>>,
}

/// The operations that wait for connections with one peer.
#[derive(Default)]
pub(super) struct AskQueue {
    waiting: Mutex<VecDeque<Ask>>,
    arrived: Notify,
}

impl AskQueue {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Ask>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one whose caller still waits.
    fn pop(&self) -> Option<Ask> {
        let mut waiting = self.waiting();
        while let Some(ask) = waiting.pop_front() {
            if !ask.reply.is_closed() {
                return Some(ask);
            }
        }
        None
    }
}

/// The operations that wait, by peer.
#[derive(Default)]
pub(super) struct Asks(Mutex<HashMap<SiteId, Arc<AskQueue>>>);

impl Asks {
    pub(super) fn of(&self, site: SiteId) -> Arc<AskQueue> {
        self.queues().entry(site).or_default().clone()
    }

    /// The peers for which operations wait that no connection has taken.
    pub(super) fn awaited(&self) -> Vec<SiteId> {
        let queues = self.queues();
        let waits = |queue: &AskQueue| queue.waiting().iter().any(|ask| !ask.reply.is_closed());
        let awaited = queues.iter().filter(|(_, queue)| waits(queue));
        awaited.map(|(site, _)| *site).collect()
    }

    /// The peer cannot be reached now: nothing waits for it any longer.
    pub(super) fn fail(&self, site: SiteId, problem: &str) {
        let Some(queue) = self.queues().get(&site).cloned() else {
            return;
        };
        let failed = std::mem::take(&mut *queue.waiting());
        for ask in failed {
            let unreachable = AskError::Unreachable(problem.to_owned());
            let _ = ask.reply.send(Err(unreachable));
        }
    }

    /// Nothing waits for any peer any longer: the peer server has stopped.
    pub(super) fn fail_all(&self, problem: &str) {
        let sites: Vec<_> = self.queues().keys().copied().collect();
        for site in sites {
            self.fail(site, problem);
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<SiteId, Arc<AskQueue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerServer {
    /// Calls an operation at a peer.
    pub(super) async fn call(
        &self,
        site: SiteId,
        operation: OperationName,
        params: Box<RawValue>,
    ) -> Result<Outcome, AskError> {
        let asked = async {
            // The connection may have ended because nothing passed over it for a while.
            for _ in 0..2 {
                if let Some(result) = self.call_once(site, operation, params.clone()).await {
                    return result;
                }
            }
            Err(unreachable("its connection ended before its answer"))
        };
        let asked = timeout(ASK_TIMEOUT, asked).await;
        asked.unwrap_or_else(|_| Err(unreachable("it did not answer in time")))
    }

    /// `None` if the connection ended before the result.
    async fn call_once(
        &self,
        site: SiteId,
        operation: OperationName,
        params: Box<RawValue>,
    ) -> Option<Result<Outcome, AskError>> {
        if self.state() != PeerServerState::Running {
            return Some(Err(unreachable("the peer server does not run")));
        }
        let (reply, result) = oneshot::channel();
        let queue = self.asks.of(site);
        {
            let mut waiting = queue.waiting();
            waiting.retain(|ask| !ask.reply.is_closed());
            if waiting.len() >= MAX_WAITING {
                return Some(Err(AskError::Busy));
            }
            waiting.push_back(Ask {
                operation,
                params,
                reply,
            });
        }
        queue.arrived.notify_one();
        // Connects if there is no connection.
        self.wake_dialer();
        result.await.ok()
    }
}

fn unreachable(problem: &str) -> AskError {
    AskError::Unreachable(problem.to_owned())
}

/// The operations that one connection has sent.
pub(super) struct Asking {
    queue: Arc<AskQueue>,
    sent: HashMap<u64, (oneshot::Sender<Result<Outcome, AskError>>, Instant)>,
    last_id: u64,
    has_answer: bool,
}

/// What the connection does next.
pub(super) enum NextAsk {
    /// It sends this operation.
    Send(Operation),
    /// The peer did not reply in time.
    TooLate,
}

impl Asking {
    pub(super) fn new(queue: Arc<AskQueue>) -> Self {
        Self {
            queue,
            sent: HashMap::new(),
            last_id: FIRST_ID,
            has_answer: false,
        }
    }

    /// Whether the peer answered an operation.
    pub(super) fn has_answer(&self) -> bool {
        self.has_answer
    }

    /// Whether results are awaited.
    pub(super) fn is_busy(&self) -> bool {
        !self.sent.is_empty()
    }

    /// The next operation to send. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> NextAsk {
        let oldest = self.sent.values().map(|(_, at)| *at).min();
        let too_late = async {
            match oldest {
                Some(at) => tokio::time::sleep_until(at + RESULT_TIMEOUT).await,
                None => std::future::pending().await,
            }
        };
        let arrived = async {
            loop {
                if self.sent.len() >= MAX_SENT {
                    std::future::pending::<()>().await;
                }
                match self.queue.pop() {
                    Some(ask) => return ask,
                    None => self.queue.arrived.notified().await,
                }
            }
        };
        let ask = tokio::select! {
            ask = arrived => ask,
            () = too_late => return NextAsk::TooLate,
        };
        self.last_id += 1;
        let OperationName { group, command } = ask.operation;
        let now = Instant::from_std(clock::monotonic());
        self.sent.insert(self.last_id, (ask.reply, now));
        NextAsk::Send(Operation::new(self.last_id, group, command, ask.params))
    }

    /// Takes a result, unless no operation waits for it.
    pub(super) fn answered(&mut self, outcome: &Outcome) -> bool {
        let Some((reply, _)) = self.sent.remove(&outcome.id) else {
            return false;
        };
        self.has_answer = true;
        // The caller may have gone. The result was expected all the same.
        let _ = reply.send(Ok(outcome.clone()));
        true
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // Another connection takes what waits.
        if !self.queue.waiting().is_empty() {
            self.queue.arrived.notify_one();
        }
    }
}
