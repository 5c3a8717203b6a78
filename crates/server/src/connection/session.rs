//! A session over its connection: operations in, results and events out, many at a time.

use std::collections::VecDeque;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Caller;
use countersign_core::content::{Content, ContentBroken};
use countersign_core::sessions::{CloseReason, SessionInfo};
use countersign_crypto::entropy::SystemEntropy;
use countersign_net::content::{Moved, Pump};
use countersign_proto::operation::{Event, Operation, Outcome};
use countersign_proto::session::server::{self, FromClient, KeyOffer};
use countersign_proto::session::{Goodbye, Inbox, OptionList, Refusal};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::debug;

use super::deadlines::{Deadlines, Rekeys};
use super::goodbye;
use crate::clock;
use crate::limits::Limits;
use crate::shared::Shared;

/// Bytes asked of the socket at a time.
const READ_AT_A_TIME: usize = 64 * 1024;
/// How long a goodbye may take to leave and to be heard.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(2);

type Answered = (Outcome, Option<Content>);
type Running = FuturesUnordered<Pin<Box<dyn Future<Output = Answered> + Send>>>;

/// What the rest of the server tells a session.
pub(super) struct Signals {
    pub(super) events: mpsc::Receiver<Arc<Event>>,
    /// The session is cut, or goes on over another connection.
    pub(super) cut: oneshot::Receiver<CloseReason>,
}

/// A session that has a connection, and what waits to be sent on it.
pub(super) struct Session {
    inbox: Inbox,
    session: server::Session,
    /// What arrived and was not begun yet.
    got: VecDeque<FromClient>,
    info: SessionInfo,
    caller: Arc<Caller>,
    signals: Signals,
    running: Running,
    /// Made when the first content comes: most sessions never have any.
    streams: Option<Box<Pump<Content>>>,
    out: Vec<u8>,
    sent: usize,
    clock: Deadlines,
    rekeys: Rekeys,
    /// Those with which it began.
    limits: Arc<Limits>,
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

impl Session {
    pub(super) fn new(
        inbox: Inbox,
        session: server::Session,
        info: SessionInfo,
        signals: Signals,
        got: Vec<FromClient>,
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
            streams: None,
            got: got.into(),
            out: Vec::new(),
            sent: 0,
            rekeys: Rekeys::new(),
            limits,
        })
    }

    /// What is known of it.
    pub(super) fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// Serves the session to the end of its connection; what is known of it then, and why that ended.
    ///
    /// Boxed: a future keeps room for each place that it moves a value to.
    pub(super) async fn serve(
        mut self: Box<Self>,
        mut socket: TcpStream,
        shared: &Arc<Shared>,
    ) -> (SessionInfo, CloseReason) {
        self.session.set_max_params(self.limits.params_bytes);
        let Err(Ending(reason)) = self.run(&mut socket, shared).await;
        if let Some(goodbye) = goodbye::of(reason) {
            let _ = tokio::time::timeout(GOODBYE_PATIENCE, self.say(goodbye, &mut socket)).await;
        }
        (self.info, reason)
    }

    /// Says goodbye, behind what waits to be sent, and stays until the client has closed too.
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
        goodbye::hear_out(socket).await
    }

    async fn run(
        &mut self,
        socket: &mut TcpStream,
        shared: &Arc<Shared>,
    ) -> Result<std::convert::Infallible, Ending> {
        let (reader, mut writer) = socket.split();
        let mut stopping = shared.stopping.clone();
        self.heard();
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
            // Whoever keeps the server busy is told of the end all the same.
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
                Some(event) = self.signals.events.recv(), if drains => self.session.send_event(&event)?,
                wrote = writer.write(unsent), if !unsent.is_empty() => match wrote {
                    Ok(0) | Err(_) => return Err(Ending(CloseReason::ConnectionLost)),
                    Ok(bytes) => self.wrote(bytes),
                },
                Some(answered) = self.running.next(), if !self.running.is_empty() => {
                    self.answer(answered)?;
                }
                moved = next_of(&mut self.streams) => {
                    if let Some(streams) = &mut self.streams
                        && let Some(broken) = streams.settle(moved, &mut self.session)?
                    {
                        debug!(%broken, "content of a result broke off");
                    }
                }
                // Room is made when there is something to read: an idle session holds none.
                readable = reader.readable(), if wants_more => {
                    let read = readable.and_then(|()| {
                        reader.try_read_buf(self.inbox.tail(READ_AT_A_TIME))
                    });
                    match read {
                        Ok(1..) => self.heard(),
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

    /// The client is there: the idle time begins anew.
    fn heard(&mut self) {
        self.clock.heard(self.limits.idle_time);
    }

    /// Does what is due at that time.
    fn woken(&mut self, at: Instant) -> Result<(), Ending> {
        if self.clock.is_idle(at) {
            // Nothing could be read of it.
            if !self.wants_more() {
                self.heard();
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
            // An idle session holds no memory for what it once sent.
            if self.out.capacity() > READ_AT_A_TIME {
                self.out = Vec::new();
            }
        }
    }

    /// Whether the client reads what it is sent.
    fn drains(&self) -> bool {
        let unsent = self.out.len() - self.sent + self.session.queued_bytes();
        unsent < self.limits.unsent_bytes
    }

    /// Whether one more operation may be begun.
    fn wants_more(&self) -> bool {
        self.running.len() < self.limits.operations_in_flight && self.drains()
    }

    /// What is to be done next. Operations wait until they may be begun; what belongs to those that run does
    /// not.
    fn next_of_got(&mut self) -> Option<FromClient> {
        let begins = matches!(
            self.got.front()?,
            FromClient::Operation(_) | FromClient::OperationWithContent(_)
        );
        let waits = begins && !self.wants_more();
        (!waits).then(|| self.got.pop_front())?
    }

    /// Opens what arrived and starts its operations, as many as may run. What is done at once is answered at
    /// once.
    async fn take_in(&mut self, shared: &Arc<Shared>) -> Result<(), Ending> {
        if self.got.is_empty() {
            let millis = u64::try_from(clock::now().millis()).unwrap_or_default();
            let mut got = Vec::new();
            let used = self
                .session
                .receive(millis, self.inbox.unread(), &mut got)?;
            self.inbox.consume(used);
            self.got = got.into();
        }
        while let Some(message) = self.next_of_got() {
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

    /// Agrees on new keys, with which the session's time begins anew.
    async fn renew(&mut self, offer: &KeyOffer, shared: &Arc<Shared>) -> Result<(), Ending> {
        let expires = shared.site.key_expiry(&self.info, clock::now());
        let millis = u64::try_from(expires.millis()).unwrap_or_default();
        let too_often = !self.rekeys.one_more(self.limits.rekeys_per_minute);
        let options = match too_often {
            // Nothing is on offer: it is declined.
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
            // It was cut; the reason is on its way.
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

    /// An id whose content is under way is not used again: nobody could tell whose the content is.
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
        let mut running: Pin<Box<dyn Future<Output = Answered> + Send>> =
            Box::pin(async move { shared.run_with_content(&caller, &operation, content).await });
        // Most operations are done as soon as they are looked at: those cost no bookkeeping.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match running.as_mut().poll(&mut context) {
            std::task::Poll::Ready(answered) => self.answer(answered)?,
            // The set polls it again at once, with a waker that counts.
            std::task::Poll::Pending => self.running.push(running),
        }
        Ok(())
    }

    fn answer(&mut self, (outcome, content): Answered) -> Result<(), Ending> {
        // What the handler left of the operation's content is not wanted.
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

async fn next_of(streams: &mut Option<Box<Pump<Content>>>) -> Moved<Content> {
    match streams {
        Some(streams) => streams.next().await,
        None => std::future::pending().await,
    }
}
