//! A session over its connection: receives operations, and sends results and events, many at a time.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Caller;
use countersign_core::content::{Content, ContentBroken};
use countersign_core::sessions::{CloseReason, SessionInfo};
use countersign_crypto::entropy::SystemEntropy;
use countersign_net::content::{Pump, PumpEvent};
use countersign_proto::operation::{Event, Operation};
use countersign_proto::session::server::{self, FromClient, ServerKeyOffer};
use countersign_proto::session::{Goodbye, Inbox, OptionList, SessionRefusal};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::debug;

use super::deadlines::{Deadlines, Rekeys};
use super::goodbye;
use super::socket::{Readable, Socket};
use crate::clock;
use crate::limits::Limits;
use crate::runtime::events::EventQueue;
use crate::runtime::operations::Response;
use crate::runtime::shared::Shared;

/// Bytes read from the socket at a time.
const READ_AT_A_TIME: usize = 64 * 1024;
/// How long sending GOODBYE and waiting for the client to close may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

type Running = FuturesUnordered<Pin<Box<dyn Future<Output = Response> + Send>>>;

/// Signals of the rest of the server to a session.
pub(super) struct Signals {
    pub(super) events: EventQueue,
    /// The session is ended, or continues over another connection.
    pub(super) cut: oneshot::Receiver<CloseReason>,
}

/// A session with a connection and its unsent output.
pub(super) struct Session {
    inbox: Inbox,
    session: server::ServerSession,
    /// Received messages that have not been processed.
    received: VecDeque<FromClient>,
    info: SessionInfo,
    caller: Arc<Caller>,
    signals: Signals,
    running: Running,
    /// Bytes of room for the results of the operations that run.
    kept_room: usize,
    /// Created with the first content: most sessions never have any.
    streams: Option<Box<Pump<Content>>>,
    out: Vec<u8>,
    sent: usize,
    clock: Deadlines,
    rekeys: Rekeys,
    /// The limits at the beginning of the connection.
    limits: Arc<Limits>,
}

/// The reason why a session's connection ends.
struct Ending(CloseReason);

impl From<SessionRefusal> for Ending {
    fn from(refusal: SessionRefusal) -> Self {
        debug!(%refusal, "session refused");
        match refusal {
            SessionRefusal::Expired => Self(CloseReason::Expired),
            _ => Self(CloseReason::ProtocolFault),
        }
    }
}

impl Session {
    pub(super) fn new(
        inbox: Inbox,
        session: server::ServerSession,
        info: SessionInfo,
        signals: Signals,
        received: Vec<FromClient>,
        limits: Arc<Limits>,
    ) -> Box<Self> {
        Box::new(Self {
            inbox,
            session,
            caller: Arc::new(info.caller()),
            clock: Deadlines::new(&info),
            info,
            signals,
            running: Running::new(),
            kept_room: 0,
            streams: None,
            received: received.into(),
            out: Vec::new(),
            sent: 0,
            rekeys: Rekeys::new(),
            limits,
        })
    }

    /// The properties of the session.
    pub(super) fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// Serves the session until its connection ends. Returns its current properties and the reason.
    ///
    /// `self` is boxed because a future reserves memory for each place to which it moves a value.
    pub(super) async fn serve(
        mut self: Box<Self>,
        mut socket: impl Socket,
        shared: &Arc<Shared>,
    ) -> (SessionInfo, CloseReason) {
        self.session.set_max_params(self.limits.params_bytes);
        let Err(Ending(reason)) = self.run(&mut socket, shared).await;
        match reason {
            // The session continues over another connection, or is suspended afterwards.
            CloseReason::Replaced | CloseReason::ConnectionLost | CloseReason::Idle => {}
            // Closed before its client receives GOODBYE, so that nothing can resume it in between.
            _ => {
                // Operations that still run are dropped: nothing polls them from here on, and they
                // may hold locks.
                self.running = Running::new();
                let (closing, info) = (Arc::clone(shared), self.info.clone());
                let closed =
                    tokio::spawn(async move { closing.close_session(&info, reason).await });
                // The task first removes the session, so that it cannot be resumed. The audit entry
                // takes longer if the store stalls, and then does not delay GOODBYE further.
                let _ = tokio::time::timeout(GOODBYE_TIMEOUT, closed).await;
            }
        }
        if let Some(goodbye) = goodbye::of(reason) {
            let _ = tokio::time::timeout(GOODBYE_TIMEOUT, self.say(goodbye, &mut socket)).await;
        }
        (self.info, reason)
    }

    /// Sends GOODBYE after the unsent output, and waits until the client closes the connection.
    async fn say(&mut self, goodbye: Goodbye, socket: &mut impl Socket) -> std::io::Result<()> {
        let sealed = self
            .session
            .send_goodbye(goodbye)
            .and_then(|()| self.session.flush(&mut self.out));
        if sealed.is_ok() {
            socket
                .write_all(self.out.get(self.sent..).unwrap_or_default())
                .await?;
        }
        goodbye::drain(socket).await
    }

    async fn run(
        &mut self,
        socket: &mut impl Socket,
        shared: &Arc<Shared>,
    ) -> Result<std::convert::Infallible, Ending> {
        let (mut reader, mut writer) = socket.halves();
        let mut stopping = shared.stopping.clone();
        self.restart_idle();
        loop {
            self.take_in(shared).await?;
            if self.session.wants_rekey() {
                self.session.offer_keys(&mut SystemEntropy)?;
            }
            if let Some(streams) = &mut self.streams {
                streams.pull(&self.session);
            }
            self.session.flush(&mut self.out)?;
            let (drains, wants_more) = (self.drains(), self.wants_more());
            let wake = self.clock.next();
            // Check deadlines first: constant traffic must not postpone them.
            if wake <= Instant::from_std(clock::monotonic()) {
                self.woken(wake)?;
                continue;
            }
            let unsent = self.out.get(self.sent..).unwrap_or_default();
            tokio::select! {
                biased;
                Ok(reason) = &mut self.signals.cut => return Err(Ending(reason)),
                _ = stopping.wait_for(|stopping| *stopping) => {
                    return Err(Ending(CloseReason::SiteStopping));
                }
                event = self.signals.events.next(), if drains => self.session.send_event(&event)?,
                wrote = writer.write(unsent), if !unsent.is_empty() => match wrote {
                    Ok(0) | Err(_) => return Err(Ending(CloseReason::ConnectionLost)),
                    Ok(bytes) => self.wrote(bytes),
                },
                Some(answered) = self.running.next(), if !self.running.is_empty() => {
                    self.kept_room -= answered.2;
                    self.answer(answered)?;
                }
                moved = next_of(&mut self.streams) => {
                    if let Some(streams) = &mut self.streams
                        && let Some(broken) = streams.settle(moved, &mut self.session)?
                    {
                        debug!(%broken, "the content of a result was interrupted");
                    }
                }
                // The buffer grows only when there is data, so an idle session holds none.
                readable = poll_fn(|context| reader.poll_readable(context)), if wants_more => {
                    let read = readable.and_then(|()| {
                        reader.try_read(self.inbox.tail(READ_AT_A_TIME))
                    });
                    match read {
                        Ok(1..) => self.restart_idle(),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            self.inbox.consume(0);
                        }
                        Ok(0) | Err(_) => return Err(Ending(CloseReason::ConnectionLost)),
                    }
                }
                () = tokio::time::sleep_until(wake) => self.woken(wake)?,
            }
        }
    }

    /// Data arrived: the idle timeout starts again.
    fn restart_idle(&mut self) {
        self.clock.restart_idle(self.limits.idle_timeout);
    }

    /// Acts on the deadline at that time.
    fn woken(&mut self, at: Instant) -> Result<(), Ending> {
        if self.clock.is_idle(at) {
            // The server itself paused reading, so the client is not idle.
            if !self.wants_more() {
                self.restart_idle();
                return Ok(());
            }
            return Err(Ending(CloseReason::Idle));
        }
        match self.clock.notifies() {
            true => Ok(self.session.send_event(&self.expiring()?)?),
            false => Err(Ending(CloseReason::Expired)),
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.out.len() {
            self.sent = 0;
            self.out.clear();
            // An idle session keeps no large buffer.
            if self.out.capacity() > READ_AT_A_TIME {
                self.out = Vec::new();
            }
        }
    }

    fn unsent(&self) -> usize {
        self.out.len() - self.sent + self.session.queued_bytes()
    }

    /// Whether the unsent output is below its limit.
    fn drains(&self) -> bool {
        self.unsent() < self.limits.unsent_bytes
    }

    /// Whether one more operation may start.
    fn wants_more(&self) -> bool {
        self.running.len() < self.limits.operations_in_flight
            && self.unsent().saturating_add(self.kept_room) < self.limits.unsent_bytes
    }

    /// The next message to process. Operations wait until they may start; other messages do not wait.
    fn next_received(&mut self) -> Option<FromClient> {
        let starts = matches!(
            self.received.front()?,
            FromClient::Operation(_) | FromClient::OperationWithContent(_)
        );
        let waits = starts && !self.wants_more();
        (!waits).then(|| self.received.pop_front())?
    }

    /// Decrypts received packets and starts their operations, as many as may run. Operations that complete
    /// immediately get their result immediately.
    async fn take_in(&mut self, shared: &Arc<Shared>) -> Result<(), Ending> {
        if self.received.is_empty() {
            let millis = u64::try_from(clock::now().millis()).unwrap_or_default();
            let mut received = Vec::new();
            let used = self
                .session
                .receive(millis, self.inbox.unread(), &mut received)?;
            self.inbox.consume(used);
            self.received = received.into();
        }
        while let Some(message) = self.next_received() {
            match message {
                FromClient::Operation(operation) => {
                    self.not_twice(operation.id)?;
                    self.start(operation, None, shared)?;
                }
                FromClient::OperationWithContent(operation) => {
                    self.not_twice(operation.id)?;
                    self.start_with_content(operation, shared)?;
                }
                FromClient::Content { id, bytes } => {
                    if let Some(streams) = &mut self.streams {
                        streams.arrived(id, bytes);
                    }
                }
                FromClient::ContentEnd { id } => {
                    if let Some(streams) = &mut self.streams {
                        streams.ended(id);
                    }
                }
                FromClient::Cancelled { id } => {
                    if let Some(streams) = &mut self.streams {
                        streams.cancelled(id);
                    }
                }
                FromClient::BadOperation { id, problem } => {
                    self.session.send_outcome(&Shared::malformed(id, problem))?;
                }
                FromClient::OptionsRequest => {
                    self.session.send_options(&shared.site.options())?;
                }
                FromClient::KeyOffer(offer) => self.renew(&offer, shared).await?,
                FromClient::KeysRenewed(_) => {}
                FromClient::Goodbye(_) => return Err(Ending(CloseReason::Goodbye)),
            }
        }
        Ok(())
    }

    /// Renews the keys of the session, which gives it a new expiry.
    async fn renew(&mut self, offer: &ServerKeyOffer, shared: &Arc<Shared>) -> Result<(), Ending> {
        let expires = shared.site.key_expiry(&self.info, clock::now());
        let millis = u64::try_from(expires.millis()).unwrap_or_default();
        let too_often = !self.rekeys.one_more(self.limits.rekeys_per_minute);
        let options = match too_often {
            // An empty list of options declines the renewal.
            true => OptionList::new([]),
            false => shared.site.options(),
        };
        if !self
            .session
            .answer_keys(offer, &options, millis, &mut SystemEntropy)?
        {
            return Ok(());
        }
        if !shared.site.renew_session(&self.info, expires) {
            // The session was ended; the signal arrives separately.
            return Ok(());
        }
        self.info.expires = expires;
        self.clock.renewed(&self.info);
        if self.info.option != Some(self.session.option()) {
            self.info.option = Some(self.session.option());
            shared.switched(&self.info).await;
        }
        Ok(())
    }

    /// Refuses an operation with the id of one whose content is still being transferred: the content would
    /// be ambiguous.
    fn not_twice(&self, id: u64) -> Result<(), Ending> {
        let under_way = self.streams.as_ref().is_some_and(|streams| streams.has(id));
        match under_way {
            true => Err(Ending(CloseReason::ProtocolFault)),
            false => Ok(()),
        }
    }

    fn start_with_content(
        &mut self,
        operation: Operation,
        shared: &Arc<Shared>,
    ) -> Result<(), Ending> {
        let streams = self.streams.get_or_insert_default();
        if streams.count() >= self.limits.content_streams {
            self.session.cancel(operation.id)?;
            let busy = Shared::too_many_streams(operation.id);
            return Ok(self.session.send_outcome(&busy)?);
        }
        let pieces = streams.receive(operation.id);
        let content =
            Content::new(pieces.map(|piece| piece.map_err(|why| ContentBroken(why.to_string()))));
        self.start(operation, Some(content), shared)
    }

    fn start(
        &mut self,
        operation: Operation,
        content: Option<Content>,
        shared: &Arc<Shared>,
    ) -> Result<(), Ending> {
        let (shared, caller) = (shared.clone(), self.caller.clone());
        let room = shared.room_for(&operation);
        let mut running: Pin<Box<dyn Future<Output = Response> + Send>> = Box::pin(async move {
            let ran = shared.run_with_content(&caller, &operation, content).await;
            (ran.0, ran.1, room)
        });
        // Most operations complete at the first poll and need no bookkeeping.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match running.as_mut().poll(&mut context) {
            std::task::Poll::Ready(answered) => self.answer(answered)?,
            // The set polls it again immediately with a real waker.
            std::task::Poll::Pending => {
                self.kept_room += room;
                self.running.push(running);
            }
        }
        Ok(())
    }

    fn answer(&mut self, (outcome, content, _): Response) -> Result<(), Ending> {
        // The handler needs no more of the operation's content: cancel the rest.
        if let Some(streams) = &mut self.streams
            && streams.release(outcome.id)
        {
            self.session.cancel(outcome.id)?;
        }
        match content {
            None => {
                self.session.send_outcome(&outcome)?;
            }
            Some(content) => {
                let streams = self.streams.get_or_insert_default();
                if streams.count() >= self.limits.content_streams {
                    let busy = Shared::too_many_streams(outcome.id);
                    return Ok(self.session.send_outcome(&busy)?);
                }
                self.session.send_outcome_with_content(&outcome)?;
                streams.send(outcome.id, content);
            }
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

async fn next_of(streams: &mut Option<Box<Pump<Content>>>) -> PumpEvent<Content> {
    match streams {
        Some(streams) => streams.next().await,
        None => std::future::pending().await,
    }
}
