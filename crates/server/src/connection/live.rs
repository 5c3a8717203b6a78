//! A live session: operations in, results and events out, many at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::caller::Caller;
use countersign_core::session::{CloseReason, SessionInfo};
use countersign_proto::operation::{Event, Operation, Outcome};
use countersign_proto::session::server::{FromClient, Session};
use countersign_proto::session::{Goodbye, Inbox, Refusal};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::debug;

use crate::clock;
use crate::shared::Shared;

/// Bytes asked of the socket at a time.
const READ_AT_A_TIME: usize = 64 * 1024;
/// How long before the end the client is told.
const EXPIRY_NOTICE: Duration = Duration::from_secs(60);
/// How long a goodbye may take to leave.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(2);

type Running = FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>;

/// One live session and what waits to be sent on it.
pub(super) struct Live {
    inbox: Inbox,
    session: Session,
    info: SessionInfo,
    caller: Arc<Caller>,
    events: mpsc::Receiver<Event>,
    cut: oneshot::Receiver<CloseReason>,
    running: Running,
    out: Vec<u8>,
    sent: usize,
}

/// Why a session's connection is to end.
struct Ending(CloseReason);

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        debug!(%refusal, "session refused");
        match refusal {
            Refusal::Expired => Self(CloseReason::Expired),
            _ => Self(CloseReason::ProtocolFault),
        }
    }
}

impl Live {
    pub(super) fn new(
        inbox: Inbox,
        session: Session,
        info: SessionInfo,
        events: mpsc::Receiver<Event>,
        cut: oneshot::Receiver<CloseReason>,
    ) -> Self {
        let caller = Arc::new(Caller::session(&info));
        let running = FuturesUnordered::new();
        Self {
            inbox,
            session,
            info,
            caller,
            events,
            cut,
            running,
            out: Vec::new(),
            sent: 0,
        }
    }

    /// Serves the session to its end and says why it ended.
    pub(super) async fn serve(
        mut self,
        mut socket: TcpStream,
        shared: &Arc<Shared>,
    ) -> CloseReason {
        self.session.set_longest_params(shared.limits.params_bytes);
        let Err(Ending(reason)) = self.run(&mut socket, shared).await;
        let goodbye = match reason {
            CloseReason::Goodbye => Some(Goodbye::Done),
            CloseReason::Expired => Some(Goodbye::Expired),
            CloseReason::SiteStopping => Some(Goodbye::Stopping),
            CloseReason::ConnectionLost | CloseReason::ProtocolFault => None,
            _ => Some(Goodbye::Cut),
        };
        if let Some(goodbye) = goodbye {
            let _ = tokio::time::timeout(GOODBYE_PATIENCE, self.say(goodbye, &mut socket)).await;
        }
        reason
    }

    async fn say(&mut self, goodbye: Goodbye, socket: &mut TcpStream) -> std::io::Result<()> {
        let sealed = self
            .session
            .send_goodbye(goodbye)
            .and_then(|()| self.session.flush(&mut self.out));
        if sealed.is_ok() {
            socket
                .write_all(self.out.get(self.sent..).unwrap_or_default())
                .await?;
        }
        socket.shutdown().await
    }

    async fn run(
        &mut self,
        socket: &mut TcpStream,
        shared: &Arc<Shared>,
    ) -> Result<std::convert::Infallible, Ending> {
        let (mut reader, mut writer) = socket.split();
        let left = Duration::from_millis(
            u64::try_from(self.info.expires.millis() - clock::now().millis()).unwrap_or(0),
        );
        let expires = Instant::from_std(clock::monotonic()) + left;
        let mut stopping = shared.stopping.clone();
        let mut notice = Some(expires - EXPIRY_NOTICE.min(left));
        loop {
            self.take_in(shared)?;
            self.session.flush(&mut self.out)?;
            let unsent = self.out.get(self.sent..).unwrap_or_default();
            let wants_more = self.running.len() < shared.limits.operations_in_flight
                && unsent.len() < shared.limits.unsent_bytes;
            let wake = notice.unwrap_or(expires);
            tokio::select! {
                biased;
                Ok(reason) = &mut self.cut => return Err(Ending(reason)),
                _ = stopping.wait_for(|stopping| *stopping) => {
                    return Err(Ending(CloseReason::SiteStopping));
                }
                Some(event) = self.events.recv() => self.session.send_event(&event)?,
                wrote = writer.write(unsent), if !unsent.is_empty() => match wrote {
                    Ok(0) | Err(_) => return Err(Ending(CloseReason::ConnectionLost)),
                    Ok(bytes) => self.wrote(bytes),
                },
                Some(outcome) = self.running.next(), if !self.running.is_empty() => {
                    self.session.send_outcome(&outcome)?;
                }
                read = reader.read_buf(self.inbox.tail(READ_AT_A_TIME)), if wants_more => match read {
                    Ok(0) | Err(_) => return Err(Ending(CloseReason::ConnectionLost)),
                    Ok(_) => {}
                },
                () = tokio::time::sleep_until(wake) => match notice.take() {
                    Some(_) => self.session.send_event(&self.expiring()?)?,
                    None => return Err(Ending(CloseReason::Expired)),
                },
            }
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.out.len() {
            self.sent = 0;
            self.out.clear();
            // An idle session holds no memory for what it once sent.
            if self.out.capacity() > READ_AT_A_TIME {
                self.out = Vec::new();
            }
        }
    }

    /// Opens what arrived and starts its operations. What is done at once is answered at once.
    fn take_in(&mut self, shared: &Arc<Shared>) -> Result<(), Ending> {
        let now = clock::now();
        let mut got = Vec::new();
        let millis = u64::try_from(now.millis()).unwrap_or_default();
        let used = self
            .session
            .receive(millis, self.inbox.unread(), &mut got)?;
        self.inbox.consume(used);
        for message in got {
            match message {
                FromClient::Operation(operation) => self.start(operation, shared)?,
                FromClient::BadOperation { id, problem } => {
                    self.session.send_outcome(&Shared::malformed(id, problem))?;
                }
                FromClient::Goodbye(_) => return Err(Ending(CloseReason::Goodbye)),
            }
        }
        Ok(())
    }

    fn start(&mut self, operation: Operation, shared: &Arc<Shared>) -> Result<(), Ending> {
        let (shared, caller) = (shared.clone(), self.caller.clone());
        let mut running: Pin<Box<dyn Future<Output = Outcome> + Send>> =
            Box::pin(async move { shared.run(&caller, &operation).await });
        // Most operations are done as soon as they are looked at: those cost no bookkeeping.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match running.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcome) => self.session.send_outcome(&outcome)?,
            // The set polls it again at once, with a waker that counts.
            std::task::Poll::Pending => self.running.push(running),
        }
        Ok(())
    }

    fn expiring(&self) -> Result<Event, Ending> {
        let data = format!(r#"{{"expires":"{}"}}"#, self.info.expires);
        let data = serde_json::value::RawValue::from_string(data)
            .map_err(|_| Ending(CloseReason::ProtocolFault))?;
        Ok(Event {
            group: "session".to_owned(),
            event: "expiring".to_owned(),
            data,
        })
    }
}
