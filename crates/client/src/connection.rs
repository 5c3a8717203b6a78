//! The task that owns a session: it seals what callers send, hands out what arrives, keeps the session
//! alive and its keys fresh, and returns to it when the connection is lost.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_net::content::Broken;
use countersign_proto::operation::{Event, Operation, Outcome};
use countersign_proto::session::client::{FromSite, LoggedIn, Resumption, Session};
use countersign_proto::session::{EncryptionOption, Goodbye, Inbox, OptionList, Refusal, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::connect::Connector;
use crate::content::{Download, Streams, Upload};
use crate::error::CallError;

/// Where the result of an operation goes.
pub(crate) type ReplyTo = mpsc::UnboundedSender<Result<Outcome, CallError>>;
/// Where the result of an operation with content goes.
pub(crate) type StreamTo = oneshot::Sender<Result<(Outcome, Option<Download>), CallError>>;

/// What a caller asks of the task.
pub(crate) enum Ask {
    Call(Operation, ReplyTo),
    /// An operation whose result may have content, with content of its own or without.
    Stream(Operation, Option<Upload>, StreamTo),
    /// Fresh keys, for the present option or another one.
    Rekey(
        Option<EncryptionOption>,
        oneshot::Sender<Result<bool, CallError>>,
    ),
    /// The options that the site has on offer now.
    Options(oneshot::Sender<Result<OptionList, CallError>>),
    Close,
}

/// Unsent bytes past which no further operations are taken: a slow site slows its callers.
const HIGH_WATER: usize = 256 * 1024;
/// Bytes asked of the socket at a time.
const READ_AT_A_TIME: usize = 64 * 1024;
/// How long a client waits after it could not renew its keys before it tries again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);
/// How long a client listens to a site that takes no more.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A session says something at least three times within the site's idle limit.
const KEEP_ALIVES: u32 = 3;

/// A connection that a login or a return has opened.
pub(crate) struct Opened {
    pub(crate) socket: TcpStream,
    pub(crate) inbox: Inbox,
    pub(crate) logged_in: LoggedIn,
}

pub(crate) struct Connection {
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) events: broadcast::Sender<Event>,
    /// Where to return to.
    pub(crate) connector: Connector,
    /// What is known of the session, for whoever asks.
    pub(crate) welcome: watch::Sender<Welcome>,
    /// Why the site ended the session, once it has.
    pub(crate) ended: Arc<OnceLock<Goodbye>>,
}

enum Over {
    Goodbye(Goodbye),
    Lost,
}

impl Over {
    fn error(&self) -> CallError {
        match self {
            Self::Goodbye(reason) => CallError::Ended(*reason),
            Self::Lost => CallError::Lost,
        }
    }

    fn broken(&self) -> Broken {
        match self {
            Self::Goodbye(reason) => Broken::Ended(*reason),
            Self::Lost => Broken::Lost,
        }
    }

    /// Whether the session may go on over a new connection.
    fn may_return(&self) -> bool {
        matches!(self, Self::Lost | Self::Goodbye(Goodbye::Idle))
    }
}

/// What callers wait for on one connection.
#[derive(Default)]
struct Waiting {
    results: HashMap<u64, ReplyTo>,
    streamed: HashMap<u64, StreamTo>,
    rekey: Option<oneshot::Sender<Result<bool, CallError>>>,
    options: Vec<oneshot::Sender<Result<OptionList, CallError>>>,
}

impl Waiting {
    fn fail(&mut self, over: &Over) {
        for (_, reply) in self.results.drain() {
            let _ = reply.send(Err(over.error()));
        }
        for (_, reply) in self.streamed.drain() {
            let _ = reply.send(Err(over.error()));
        }
        if let Some(reply) = self.rekey.take() {
            let _ = reply.send(Err(over.error()));
        }
        for reply in self.options.drain(..) {
            let _ = reply.send(Err(over.error()));
        }
    }
}

impl Connection {
    /// Runs until either side ends the session. When the connection is lost, what was under way fails,
    /// and the session goes on over a new one if the site still has it.
    pub(crate) async fn run(mut self, opened: Opened) {
        let mut opened = Some(opened);
        let mut over = Over::Lost;
        while let Some(now) = opened.take() {
            let resumption = now.logged_in.resumption.clone();
            over = self.serve(now).await;
            if over.may_return() {
                opened = self.returned(resumption).await;
            }
        }
        if let Over::Goodbye(reason) = over {
            let _ = self.ended.set(reason);
        }
        self.asks.close();
        while let Some(ask) = self.asks.recv().await {
            match ask {
                Ask::Call(_, reply) => drop(reply.send(Err(over.error()))),
                Ask::Stream(_, _, reply) => drop(reply.send(Err(over.error()))),
                Ask::Rekey(_, reply) => drop(reply.send(Err(over.error()))),
                Ask::Options(reply) => drop(reply.send(Err(over.error()))),
                Ask::Close => {}
            }
        }
    }

    async fn returned(&mut self, resumption: Resumption) -> Option<Opened> {
        let opened = self.connector.resume(resumption).await?;
        self.welcome.send_replace(opened.logged_in.welcome.clone());
        Some(opened)
    }

    async fn serve(&mut self, opened: Opened) -> Over {
        let mut link = Serving {
            session: opened.logged_in.session,
            inbox: opened.inbox,
            waiting: Waiting::default(),
            streams: Streams::default(),
            renewal: Renewal::NotDue,
            closing: false,
        };
        let idle = opened.logged_in.welcome.idle_limit;
        let keep_alive = Duration::from_millis(u64::from(idle / KEEP_ALIVES));
        let over = match self.exchange(opened.socket, &mut link, keep_alive).await {
            Ok(over) => over,
            Err(_) => Over::Lost,
        };
        link.waiting.fail(&over);
        link.streams.fail(over.broken());
        over
    }

    async fn exchange(
        &mut self,
        socket: TcpStream,
        link: &mut Serving,
        keep_alive: Duration,
    ) -> Result<Over, Refusal> {
        let (mut reader, mut writer) = socket.into_split();
        let (mut out, mut sent) = (Vec::new(), 0);
        let mut said = Instant::now();
        loop {
            // What came with the welcome is read first, then whatever arrives.
            if let Some(reason) = link.take_in(&self.events)? {
                return Ok(Over::Goodbye(reason));
            }
            link.renew_keys()?;
            link.streams.pull(&link.session);
            if sent == out.len() {
                out.clear();
                sent = 0;
            }
            link.session.flush(&mut out)?;
            let unsent = out.get(sent..).unwrap_or_default();
            if link.closing && unsent.is_empty() {
                let _ = writer.shutdown().await;
                return Ok(Over::Goodbye(Goodbye::Done));
            }
            let (tries_again, try_again) = (link.tries_again(), link.try_again());
            let takes_asks =
                !link.closing && unsent.len() + link.session.queued_bytes() < HIGH_WATER;
            tokio::select! {
                read = reader.read_buf(link.inbox.tail(READ_AT_A_TIME)) => match read {
                    Ok(0) | Err(_) => return Ok(Over::Lost),
                    Ok(_) => {}
                },
                wrote = writer.write(unsent), if !unsent.is_empty() => match wrote {
                    Ok(0) | Err(_) => return self.last_words(&mut reader, link).await,
                    Ok(bytes) => {
                        sent += bytes;
                        said = Instant::now();
                    }
                },
                moved = link.streams.next() => {
                    link.streams.settle(moved, &mut link.session)?;
                }
                ask = self.asks.recv(), if takes_asks => {
                    let mut next = Some(ask.unwrap_or(Ask::Close));
                    // Whatever else is ready goes into the same packets.
                    while let Some(ask) = next.filter(|_| !link.closing) {
                        link.take(ask)?;
                        next = self.asks.try_recv().ok();
                    }
                }
                () = tokio::time::sleep_until(try_again), if tries_again => {}
                () = tokio::time::sleep_until(said + keep_alive), if !keep_alive.is_zero() => {
                    link.session.keep_alive()?;
                    said = Instant::now();
                }
            }
        }
    }

    /// The site takes no more: what it said before that is still to be read, and may say why.
    async fn last_words(
        &self,
        reader: &mut OwnedReadHalf,
        link: &mut Serving,
    ) -> Result<Over, Refusal> {
        let listening = async {
            while let Ok(1..) = reader.read_buf(link.inbox.tail(READ_AT_A_TIME)).await {
                if let Some(reason) = link.take_in(&self.events)? {
                    return Ok(Over::Goodbye(reason));
                }
            }
            Ok(Over::Lost)
        };
        let heard = tokio::time::timeout(LAST_WORDS, listening).await;
        heard.unwrap_or(Ok(Over::Lost))
    }
}

/// A session over one connection.
struct Serving {
    session: Session,
    inbox: Inbox,
    waiting: Waiting,
    streams: Streams,
    renewal: Renewal,
    closing: bool,
}

/// Whether the site is to be offered new keys without anybody having asked for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renewal {
    NotDue,
    /// As soon as no other exchange is under way, and not before.
    Due(Instant),
    /// Offered for the present option.
    Offered,
    /// Offered for another one, since the present one was declined.
    OfferedOther,
    /// The present option was declined; the site was asked which ones it has.
    Asked,
}

impl Renewal {
    /// Not at once: whoever declined has a reason.
    fn later() -> Self {
        Self::Due(Instant::now() + RENEWAL_PAUSE)
    }
}

impl Serving {
    /// Offers new keys when it is time.
    fn renew_keys(&mut self) -> Result<(), Refusal> {
        let due = match self.renewal {
            Renewal::Due(not_before) => Instant::now() >= not_before,
            Renewal::NotDue => self.session.wants_rekey(),
            Renewal::Offered | Renewal::OfferedOther | Renewal::Asked => false,
        };
        if due {
            let option = self.session.option();
            if self.session.offer_keys(option, &mut SystemEntropy)? {
                self.renewal = Renewal::Offered;
            }
        }
        Ok(())
    }

    /// Whether the keys are to be renewed later.
    fn tries_again(&self) -> bool {
        matches!(self.renewal, Renewal::Due(_)) && !self.session.renews()
    }

    /// When.
    fn try_again(&self) -> Instant {
        match self.renewal {
            Renewal::Due(not_before) => not_before,
            _ => Instant::now(),
        }
    }

    /// The site answered an offer.
    fn renewed(&mut self, renewed: bool) -> Result<(), Refusal> {
        if let Some(reply) = self.waiting.rekey.take() {
            let _ = reply.send(Ok(renewed));
            // Whoever asked for it renewed the session too.
            if renewed && matches!(self.renewal, Renewal::Due(_)) {
                self.renewal = Renewal::NotDue;
            }
            return Ok(());
        }
        self.renewal = match (self.renewal, renewed) {
            (Renewal::Offered | Renewal::OfferedOther, true) => Renewal::NotDue,
            (Renewal::Offered, false) => {
                self.session.ask_for_options()?;
                Renewal::Asked
            }
            (Renewal::OfferedOther, false) => Renewal::later(),
            (other, _) => other,
        };
        Ok(())
    }

    /// The site told its options: the first that is accepted is offered, if the present one was declined.
    fn offered(&mut self, list: &OptionList) -> Result<(), Refusal> {
        if self.renewal == Renewal::Asked {
            let option = self.session.choose(list);
            let other = option.filter(|option| *option != self.session.option());
            let offered = match other {
                Some(option) => self.session.offer_keys(option, &mut SystemEntropy)?,
                None => false,
            };
            self.renewal = match offered {
                true => Renewal::OfferedOther,
                // Declined for another reason, or the site offers just now.
                false => Renewal::later(),
            };
        }
        for reply in self.waiting.options.drain(..) {
            let _ = reply.send(Ok(list.clone()));
        }
        Ok(())
    }

    fn take(&mut self, ask: Ask) -> Result<(), Refusal> {
        match ask {
            Ask::Call(operation, reply) => {
                self.session.send_operation(&operation)?;
                self.waiting.results.insert(operation.id, reply);
            }
            Ask::Stream(operation, upload, reply) => {
                match upload {
                    Some(upload) => {
                        self.session.send_operation_with_content(&operation)?;
                        self.streams.send(operation.id, upload.0);
                    }
                    None => self.session.send_operation(&operation)?,
                }
                self.waiting.streamed.insert(operation.id, reply);
            }
            Ask::Rekey(option, reply) => {
                let option = option.unwrap_or_else(|| self.session.option());
                if self.session.offer_keys(option, &mut SystemEntropy)? {
                    self.waiting.rekey = Some(reply);
                } else {
                    let _ = reply.send(Ok(false));
                }
            }
            Ask::Options(reply) => {
                self.session.ask_for_options()?;
                self.waiting.options.push(reply);
            }
            Ask::Close => {
                self.closing = true;
                self.session.send_goodbye(Goodbye::Done)?;
            }
        }
        Ok(())
    }

    /// Hands out what arrived; the reason when the site ended the session.
    fn take_in(&mut self, events: &broadcast::Sender<Event>) -> Result<Option<Goodbye>, Refusal> {
        let mut got = Vec::new();
        let used = self.session.receive(self.inbox.unread(), &mut got)?;
        self.inbox.consume(used);
        for message in got {
            match message {
                FromSite::Outcome(outcome) => {
                    if self.streams.withdraw(outcome.id) {
                        self.session.cancel(outcome.id)?;
                    }
                    if let Some(reply) = self.waiting.results.remove(&outcome.id) {
                        let _ = reply.send(Ok(outcome));
                    } else if let Some(reply) = self.waiting.streamed.remove(&outcome.id) {
                        let _ = reply.send(Ok((outcome, None)));
                    }
                }
                FromSite::OutcomeWithContent(outcome) => {
                    let id = outcome.id;
                    if let Some(reply) = self.waiting.streamed.remove(&id) {
                        let download = Download(self.streams.receive(id));
                        let _ = reply.send(Ok((outcome, Some(download))));
                    } else {
                        // The caller wants the result alone.
                        self.session.cancel(id)?;
                        if let Some(reply) = self.waiting.results.remove(&id) {
                            let _ = reply.send(Ok(outcome));
                        }
                    }
                }
                FromSite::Content { id, bytes } => {
                    if !self.streams.arrived(id, bytes) {
                        self.session.cancel(id)?;
                    }
                }
                FromSite::ContentEnd { id } => {
                    self.streams.ended(id);
                    self.streams.release(id);
                }
                FromSite::Cancelled { id } => {
                    self.streams.cancelled(id);
                    self.streams.release(id);
                }
                FromSite::Event(event) => {
                    if (event.group.as_str(), event.event.as_str()) == ("session", "expiring") {
                        self.renewal = Renewal::Due(Instant::now());
                    }
                    let _ = events.send(event);
                }
                FromSite::Options(list) => self.offered(&list)?,
                FromSite::KeyOffer(offer) => {
                    self.session.answer_keys(&offer, &mut SystemEntropy)?;
                }
                FromSite::KeysRenewed(renewed) => self.renewed(renewed)?,
                FromSite::Goodbye(reason) => return Ok(Some(reason)),
            }
        }
        Ok(None)
    }
}
