//! A device connection after its first line: operations, results and events as JSON lines.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Caller;
use countersign_core::engine::Refusal;
use countersign_core::sessions::{CloseReason, SessionInfo};
use countersign_net::lines::Lines;
use countersign_proto::device::DeviceWelcome;
use countersign_proto::lines::{put_event, put_outcome, read_operation};
use countersign_proto::operation::Outcome;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::info;

use super::stream::DeviceStream;
use super::web_socket::Closing;
use crate::admission::Admitted;
use crate::clock;
use crate::limits::Limits;
use crate::line_output::Output;
use crate::runtime::events::EventQueue;
use crate::runtime::shared::Shared;

/// The greatest length of a line in bytes, without its line end.
pub(super) const MAX_LINE: usize = 1 << 20;
/// Lines that are not operations; the last of them ends the connection.
const MAX_ERRORS: u32 = 3;
/// The time for the last lines and the end of TLS.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// The session of a device and its connection.
pub(super) struct DeviceSession {
    info: SessionInfo,
    /// Counts the connection until it is dropped.
    _admitted: Admitted,
    signals: Signals,
    closing: Closing,
    lines: Lines<ReadHalf<DeviceStream>>,
    exchange: Exchange,
}

/// Signals of the rest of the server to a session.
pub(super) struct Signals {
    pub(super) events: EventQueue,
    /// The session is ended.
    pub(super) cut: oneshot::Receiver<CloseReason>,
}

/// Results, each with the bytes of room that were kept for it.
type Running = FuturesUnordered<Pin<Box<dyn Future<Output = (Outcome, usize)> + Send>>>;

/// The operations that run, and the lines to send.
struct Exchange {
    caller: Arc<Caller>,
    output: Output<WriteHalf<DeviceStream>>,
    running: Running,
    /// Bytes of room for the results of the operations that run.
    kept_room: usize,
    /// The ids of the running operations.
    in_flight: Vec<u64>,
    errors: u32,
    /// The limits at the beginning of the connection.
    limits: Arc<Limits>,
}

impl DeviceSession {
    /// The session of `info` over this stream.
    pub(super) fn new(
        info: SessionInfo,
        admitted: Admitted,
        signals: Signals,
        stream: DeviceStream,
        closing: Closing,
        limits: Arc<Limits>,
    ) -> Box<Self> {
        let (reader, writer) = tokio::io::split(stream);
        let exchange = Exchange {
            caller: Arc::new(info.caller()),
            output: Output::new(writer, welcome(&limits).to_line()),
            running: Running::new(),
            kept_room: 0,
            in_flight: Vec::new(),
            errors: 0,
            limits,
        };
        Box::new(Self {
            info,
            _admitted: admitted,
            signals,
            closing,
            lines: Lines::new(reader, MAX_LINE),
            exchange,
        })
    }

    /// Serves the connection until it ends, and closes the session.
    ///
    /// `self` is boxed because a future reserves memory for each place to which it moves a value.
    pub(super) async fn serve(mut self: Box<Self>, shared: &Arc<Shared>) {
        let reason = self.run(shared).await;
        // Boxed: an idle connection needs no memory for its end.
        Box::pin(self.close(reason, shared)).await;
    }

    /// Returns why the connection ends.
    async fn run(&mut self, shared: &Arc<Shared>) -> CloseReason {
        let Self {
            info,
            signals,
            lines,
            exchange,
            ..
        } = self;
        let mut stopping = shared.stopping.clone();
        let left = info.expires.millis().saturating_sub(clock::now().millis());
        let expires = now() + Duration::from_millis(u64::try_from(left).unwrap_or(0));
        // Zero: no timeout.
        let idle_timeout = Some(exchange.limits.idle_timeout).filter(|timeout| !timeout.is_zero());
        let next_idle = || idle_timeout.map_or(expires, |timeout| now() + timeout);
        let mut idle = next_idle();
        let mut has_ended = false;
        loop {
            if has_ended && exchange.is_complete() {
                return CloseReason::Goodbye;
            }
            let drains = exchange.drains();
            let wants_more = exchange.wants_more() && !has_ended;
            let wake = idle.min(expires);
            // Check deadlines first: constant traffic must not postpone them.
            if wake <= now() {
                if expires <= now() {
                    return CloseReason::Expired;
                }
                if wants_more || has_ended {
                    return CloseReason::Idle;
                }
                // The server itself paused reading, so the client is not idle.
                idle = next_idle();
                continue;
            }
            let Exchange {
                output, running, ..
            } = exchange;
            let ended = tokio::select! {
                biased;
                Ok(reason) = &mut signals.cut => Some(reason),
                _ = stopping.wait_for(|stopping| *stopping) => Some(CloseReason::SiteStopping),
                wrote = output.write(), if output.is_pending() => {
                    wrote.err().map(|_| CloseReason::ConnectionLost)
                }
                Some((outcome, room)) = running.next(), if !running.is_empty() => {
                    exchange.kept_room -= room;
                    exchange.answer(&outcome)
                }
                event = signals.events.next(), if drains => {
                    output.put(|out| put_event(out, &event))
                }
                line = lines.next(), if wants_more => {
                    idle = next_idle();
                    has_ended = matches!(line, Ok(None));
                    shared.site.sessions().line_came(info.id, clock::now());
                    exchange.received(line, shared)
                }
                () = sleep_until(wake) => None,
            };
            if let Some(reason) = ended {
                return reason;
            }
        }
    }

    /// Sends what is unsent and ends the connection and the session.
    async fn close(mut self: Box<Self>, reason: CloseReason, shared: &Arc<Shared>) {
        // Nothing polls them any more, and each may hold a connection to the store.
        self.exchange.running.clear();
        self.closing.ended(reason);
        let _ = timeout(GOODBYE_TIMEOUT, self.exchange.output.finish()).await;
        info!(session = %self.info.id, account = %self.info.name, %reason, "device connection closed");
        shared.close_session(&self.info, reason).await;
    }
}

fn welcome(limits: &Limits) -> DeviceWelcome {
    let positive = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    DeviceWelcome {
        idle_seconds: match limits.idle_timeout {
            Duration::ZERO => u32::MAX,
            timeout => positive(timeout.as_secs()),
        },
        line_bytes: positive(MAX_LINE as u64),
        in_flight: positive(limits.operations_in_flight as u64),
    }
}

impl Exchange {
    /// Whether the unsent output is below its limit.
    fn drains(&self) -> bool {
        self.output.unsent() < self.limits.unsent_bytes
    }

    /// Whether one more operation may start.
    fn wants_more(&self) -> bool {
        self.running.len() < self.limits.operations_in_flight
            && self.output.unsent().saturating_add(self.kept_room) < self.limits.unsent_bytes
    }

    /// Whether all results were sent.
    fn is_complete(&self) -> bool {
        self.running.is_empty() && !self.output.is_pending()
    }

    /// Adds the result of an operation to the output.
    fn answer(&mut self, outcome: &Outcome) -> Option<CloseReason> {
        self.in_flight.retain(|id| *id != outcome.id);
        self.output.put(|out| put_outcome(out, outcome, false))
    }

    /// Starts the operation of a line. Returns why the connection ends, if it does.
    fn received(
        &mut self,
        line: io::Result<Option<&[u8]>>,
        shared: &Arc<Shared>,
    ) -> Option<CloseReason> {
        let line = match line {
            Ok(Some(line)) => line,
            // The results of the operations that run are sent first.
            Ok(None) => return None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                // The beginning of the next line is unknown, so the connection ends.
                self.malformed(0, &error.to_string());
                return Some(CloseReason::ProtocolFault);
            }
            Err(_) => return Some(CloseReason::ConnectionLost),
        };
        match read_operation(line) {
            Ok((operation, true)) => self.malformed(
                operation.id,
                "a device connection takes no operations with content; use a session",
            ),
            Ok((operation, false)) if self.in_flight.contains(&operation.id) => self.malformed(
                operation.id,
                "an operation with this id is in progress; use another id",
            ),
            Ok((operation, false)) => {
                self.in_flight.push(operation.id);
                let (shared, caller) = (shared.clone(), self.caller.clone());
                let room = shared.room_for(&operation);
                self.kept_room += room;
                self.running.push(Box::pin(async move {
                    let ran = shared.run_with_content(&caller, &operation, None).await;
                    let outcome = match ran {
                        (outcome, None) => outcome,
                        (_, Some(_)) => Refusal::not_permitted(
                            "a device connection returns no content",
                            "call this operation in a session",
                        )
                        .outcome(operation.id),
                    };
                    (outcome, room)
                }));
                None
            }
            Err(error) => self.malformed(0, &error.to_string()),
        }
    }

    /// Replies to a line that is no operation, and counts it.
    fn malformed(&mut self, id: u64, problem: &str) -> Option<CloseReason> {
        let outcome = Shared::malformed(id, problem);
        let failed = self.output.put(|out| put_outcome(out, &outcome, false));
        self.errors += 1;
        failed.or((self.errors >= MAX_ERRORS).then_some(CloseReason::ProtocolFault))
    }
}

fn now() -> Instant {
    Instant::from_std(clock::monotonic())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The greatest size, in bytes, of the futures and the state of an idle connection, without TLS
    /// and without what its state points to.
    const MAX_IDLE_SIZE: usize = 2_048;

    fn size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_needs_little_memory() {
        let whole = size(|(socket, peer, admitted, shared, acceptors)| {
            super::super::serve(socket, peer, admitted, shared, acceptors)
        });
        let session = size(
            |(session, shared): (Box<DeviceSession>, &'static Arc<Shared>)| session.serve(shared),
        );
        let sizes = [whole, session, size_of::<DeviceSession>()];
        assert!(sizes.iter().sum::<usize>() <= MAX_IDLE_SIZE, "{sizes:?}");
    }
}
