//! A device connection after its first line: operations, results and events as JSON lines.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Caller;
use countersign_core::engine::{Decision, NewDeviceSession, Refusal};
use countersign_core::sessions::{CloseReason, SessionInfo};
use countersign_crypto::device_key::DeviceKey;
use countersign_net::lines::Lines;
use countersign_net::tls::TlsStream;
use countersign_proto::device::{DeviceWelcome, Hello};
use countersign_proto::lines::{put_event, put_outcome, read_operation};
use countersign_proto::operation::Outcome;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::stream::DeviceStream;
use super::web_socket::{Closing, Upgrade};
use crate::admission::Admitted;
use crate::clock;
use crate::limits::Limits;
use crate::shared::{Shared, hook, log_trouble};
use crate::waiting_events::{WaitingEvents, event_channel};

/// The greatest length of a line in bytes, without its line end.
const MAX_LINE: usize = 1 << 20;
/// Lines that are not operations; the last of them ends the connection.
const MAX_ERRORS: u32 = 3;
/// The time for the last lines and the end of TLS.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// A device that has proved its key and named its person.
pub(super) struct NewConnection {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) key: DeviceKey,
    pub(super) hello: Hello,
    /// The answer to the request for a WebSocket; `None` for lines without one.
    pub(super) upgrade: Option<Upgrade>,
}

impl NewConnection {
    /// Opens the session and serves it until the connection ends. A refused device gets no reply.
    ///
    /// Not cancelled by the client: a session that was opened has to be closed.
    pub(super) async fn serve(
        self: Box<Self>,
        peer: SocketAddr,
        mut admitted: Admitted,
        shared: &Arc<Shared>,
    ) {
        let began = Instant::from_std(clock::monotonic());
        let limits = shared.limits();
        let (event_sender, events) = event_channel();
        let (cut_sender, cut) = oneshot::channel();
        let new = NewDeviceSession {
            name: self.hello.id,
            thumbprint: self.key.thumbprint(),
            peer: peer.to_string(),
            source: admitted.source(),
            cut: hook(cut_sender),
            max_sessions: limits.sessions_per_account,
            max_connections: limits.connections_per_device,
        };
        let opened = shared.site.open_device_session(new, clock::now()).await;
        let Ok(Decision::Opened(info)) = log_trouble(opened) else {
            tokio::time::sleep_until(began + limits.refusal_time).await;
            return;
        };
        admitted.authenticated();
        shared.site.events().subscribe(&info, event_sender);
        info!(session = %info.id, account = %info.name, %peer, "device connected");
        let closing = Closing::new();
        let stream = DeviceStream::open(self.stream, self.upgrade, MAX_LINE, &closing);
        let stream = timeout(limits.unauthenticated_timeout, stream).await;
        let Ok(Ok(stream)) = stream else {
            shared
                .close_session(&info, CloseReason::ConnectionLost)
                .await;
            return;
        };
        let (reader, writer) = tokio::io::split(stream);
        let mut session = DeviceSession {
            caller: Arc::new(info.caller()),
            output: Output::new(writer, &welcome(&limits)),
            events,
            cut,
            running: Running::new(),
            in_flight: Vec::new(),
            errors: 0,
            limits,
        };
        let reason = session.run(reader, &info, shared).await;
        // Nothing polls them any more, and each may hold a connection to the store.
        session.running.clear();
        closing.ended(reason);
        let _ = timeout(GOODBYE_TIMEOUT, session.output.finish()).await;
        info!(session = %info.id, account = %info.name, %reason, "device connection closed");
        shared.close_session(&info, reason).await;
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

type Running = FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>;

struct DeviceSession {
    caller: Arc<Caller>,
    output: Output<WriteHalf<DeviceStream>>,
    events: WaitingEvents,
    cut: oneshot::Receiver<CloseReason>,
    running: Running,
    /// The ids of the running operations.
    in_flight: Vec<u64>,
    errors: u32,
    /// The limits at the beginning of the connection.
    limits: Arc<Limits>,
}

impl DeviceSession {
    /// Serves the connection. Returns why it ends.
    async fn run(
        &mut self,
        reader: ReadHalf<DeviceStream>,
        info: &SessionInfo,
        shared: &Arc<Shared>,
    ) -> CloseReason {
        let mut lines = Lines::new(reader, MAX_LINE);
        let mut stopping = shared.stopping.clone();
        let left = info.expires.millis().saturating_sub(clock::now().millis());
        let expires = now() + Duration::from_millis(u64::try_from(left).unwrap_or(0));
        // Zero: no timeout.
        let idle_timeout = Some(self.limits.idle_timeout).filter(|timeout| !timeout.is_zero());
        let next_idle = || idle_timeout.map_or(expires, |timeout| now() + timeout);
        let mut idle = next_idle();
        let mut has_ended = false;
        loop {
            if has_ended && self.running.is_empty() && !self.output.is_pending() {
                return CloseReason::Goodbye;
            }
            let drains = self.output.unsent() < self.limits.unsent_bytes;
            let has_place = self.running.len() < self.limits.operations_in_flight;
            let wants_more = drains && has_place && !has_ended;
            let ended = tokio::select! {
                biased;
                Ok(reason) = &mut self.cut => Some(reason),
                _ = stopping.wait_for(|stopping| *stopping) => Some(CloseReason::SiteStopping),
                () = tokio::time::sleep_until(expires) => Some(CloseReason::Expired),
                // The server itself paused reading, so the client is not idle.
                () = tokio::time::sleep_until(idle), if !wants_more && !has_ended => {
                    idle = next_idle();
                    None
                }
                () = tokio::time::sleep_until(idle), if wants_more || has_ended => {
                    Some(CloseReason::Idle)
                }
                wrote = self.output.write(), if self.output.is_pending() => {
                    wrote.err().map(|_| CloseReason::ConnectionLost)
                }
                Some(outcome) = self.running.next(), if !self.running.is_empty() => {
                    self.in_flight.retain(|id| *id != outcome.id);
                    self.output.put(|out| put_outcome(out, &outcome, false))
                }
                Some(event) = self.events.recv(), if drains => {
                    self.output.put(|out| put_event(out, &event))
                }
                line = lines.next(), if wants_more => {
                    idle = next_idle();
                    has_ended = matches!(line, Ok(None));
                    shared.site.sessions().line_came(info.id, clock::now());
                    self.received(line, shared)
                }
            };
            if let Some(reason) = ended {
                return reason;
            }
        }
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
                self.running.push(Box::pin(async move {
                    let ran = shared.run_with_content(&caller, &operation, None).await;
                    match ran {
                        (outcome, None) => outcome,
                        (_, Some(_)) => Refusal::not_permitted(
                            "a device connection returns no content",
                            "call this operation in a session",
                        )
                        .outcome(operation.id),
                    }
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

/// The lines that are not sent yet.
struct Output<W> {
    writer: W,
    bytes: Vec<u8>,
    sent: usize,
    /// Whether TLS may hold bytes that the socket has not taken.
    is_unflushed: bool,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    fn new(writer: W, welcome: &DeviceWelcome) -> Self {
        Self {
            writer,
            bytes: welcome.to_line().into_bytes(),
            sent: 0,
            is_unflushed: false,
        }
    }

    fn unsent(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn is_pending(&self) -> bool {
        self.unsent() > 0 || self.is_unflushed
    }

    /// Adds a line. An outcome or event that cannot be encoded ends the connection.
    fn put(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Option<CloseReason> {
        encode(&mut self.bytes)
            .err()
            .map(|_| CloseReason::ConnectionLost)
    }

    /// Sends some of the bytes. No byte is lost or sent twice if the future is dropped.
    async fn write(&mut self) -> io::Result<()> {
        let unsent = self.bytes.get(self.sent..).unwrap_or_default();
        if unsent.is_empty() {
            self.writer.flush().await?;
            self.is_unflushed = false;
            // An idle connection keeps no buffer.
            (self.bytes, self.sent) = (Vec::new(), 0);
            return Ok(());
        }
        match self.writer.write(unsent).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            wrote => {
                self.sent += wrote;
                self.is_unflushed = true;
                Ok(())
            }
        }
    }

    /// Sends what is unsent and ends the stream.
    async fn finish(&mut self) -> io::Result<()> {
        while self.is_pending() {
            self.write().await?;
        }
        self.writer.shutdown().await
    }
}

fn now() -> Instant {
    Instant::from_std(clock::monotonic())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_put_is_sent_once_and_in_order_after_the_welcome() {
        let (near, mut far) = tokio::io::duplex(7);
        let welcome = welcome(&Limits::default());
        let mut output = Output::new(near, &welcome);
        for line in ["one\n", "two\n"] {
            let put = output.put(|out| {
                out.extend_from_slice(line.as_bytes());
                Ok(())
            });
            assert!(put.is_none());
        }
        let sending = async {
            output.finish().await.unwrap();
            assert!(!output.is_pending());
            drop(output);
        };
        let mut read = String::new();
        let (_, arrived) = tokio::join!(sending, far.read_to_string(&mut read));
        arrived.unwrap();
        assert_eq!(read, format!("{}one\ntwo\n", welcome.to_line()));
    }
}
