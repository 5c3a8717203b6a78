//! A connection between peers after its first lines: operations and results of both sides.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Caller;
use countersign_core::engine::{PeerBreach, PeerConnection, delay_of_answer};
use countersign_core::sessions::CloseReason;
use countersign_net::lines::Lines;
use countersign_net::tls::TlsStream;
use countersign_proto::lines::{put_operation, put_outcome};
use countersign_proto::operation::{Operation, Outcome};
use countersign_proto::peer::{PeerEnd, PeerLine};
use countersign_proto::site_identity::SiteId;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncReadExt, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::PeerServer;
use super::asking::{Asking, NextAsk};
use super::outgoing::{Answered, Next, Outgoing};
use crate::clock;
use crate::line_output::Output;
use crate::runtime::shared::{Shared, log_trouble};

/// The greatest length of a line in bytes, without its line end: 32 messages of 4 KiB, each
/// character of them escaped as six, and room to spare.
pub(super) const MAX_LINE: usize = 1 << 20;
/// Operations of the peer that may be under way at a time.
pub(super) const MAX_IN_FLIGHT: usize = 16;
/// The site that was connected to ends a connection without a line for so long.
pub(super) const IDLE: Duration = Duration::from_secs(300);
/// Lines that are neither operation nor result; the last of them ends the connection.
const MAX_ERRORS: u32 = 3;
/// The time for the last lines and the end of TLS.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// Unsent bytes above which nothing more is read.
const MAX_UNSENT: usize = 256 * 1024;

/// A registered connection, which is closed when this is dropped.
pub(super) struct OpenPeer {
    shared: Arc<Shared>,
    server: Arc<PeerServer>,
    connection: PeerConnection,
    cut: oneshot::Receiver<CloseReason>,
}

impl OpenPeer {
    pub(super) fn new(
        server: &Arc<PeerServer>,
        shared: &Arc<Shared>,
        mut connection: PeerConnection,
        cut: oneshot::Receiver<CloseReason>,
    ) -> Self {
        let _ = log_trouble(std::mem::replace(&mut connection.seen, Ok(())));
        Self {
            shared: shared.clone(),
            server: server.clone(),
            connection,
            cut,
        }
    }

    pub(super) fn site(&self) -> SiteId {
        self.connection.site
    }
}

/// Reads the first line, with its line end, and nothing after it; `None` if it is longer than
/// `most` bytes.
pub(super) async fn first_line(
    stream: &mut TlsStream<TcpStream>,
    most: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() == most {
            return Ok(None);
        }
        line.push(stream.read_u8().await?);
    }
    Ok(Some(line))
}

type Running = FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>;

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// This site.
    Us,
    /// The peer, which said why.
    Peer(PeerEnd),
    /// The peer without a word, or the network.
    Unknown,
    /// This site, because the peer broke the protocol.
    Breach,
    /// This site, because the peer did not answer an operation in time.
    TooLate,
    /// This site, because another peer needed the place of the connection.
    OutOfTurn,
}

/// How a connection ended.
pub(super) struct Ended {
    /// Whether the peer took a message, a head of the audit log or an address, or answered another
    /// operation.
    pub(super) has_sent: bool,
    pub(super) by: EndedBy,
}

/// Serves a connection until it ends. `quiet` is the time without anything to do after which this
/// site closes it; `None` on the side that was connected to.
pub(super) async fn run(
    mut open: OpenPeer,
    stream: Box<TlsStream<TcpStream>>,
    quiet: Option<Duration>,
) -> Ended {
    let (reader, writer) = tokio::io::split(*stream);
    let site = open.site();
    let mut link = Link {
        shared: open.shared.clone(),
        caller: Arc::new(open.connection.caller.clone()),
        output: Output::new(writer, Vec::new()),
        outgoing: Outgoing::new(&open.server, &open.shared, site),
        asking: Asking::new(open.server.asks.of(site)),
        running: Running::new(),
        in_flight: Vec::new(),
        errors: 0,
        breach: None,
        ended_by: None,
    };
    let mut lines = Lines::new(reader, MAX_LINE);
    let reason = link.serve(&mut lines, &mut open.cut, quiet).await;
    link.running.clear();
    let end = log_trouble(open.shared.site.end_for_peer(site, reason).await);
    if let Ok(Some(end)) = end {
        let _ = link.output.put(|out| {
            out.extend(end.to_line());
            Ok(())
        });
    }
    let _ = timeout(GOODBYE_TIMEOUT, link.output.finish()).await;
    info!(%site, %reason, "the connection with a peer ended");
    if let Some(breach) = link.breach {
        count(&open.shared, site, breach).await;
    }
    let by = link.ended_by.unwrap_or(match reason {
        CloseReason::ConnectionLost => EndedBy::Unknown,
        CloseReason::ProtocolFault => EndedBy::Breach,
        CloseReason::Replaced => EndedBy::OutOfTurn,
        _ => EndedBy::Us,
    });
    let has_sent = link.outgoing.has_sent() || link.asking.has_answer();
    Ended { has_sent, by }
}

/// Counts a breach of the protocol. The connection ends if the peer is suspended.
async fn count(shared: &Shared, site: SiteId, breach: PeerBreach) {
    let counted = shared.site.peer_fault(site, breach, clock::now()).await;
    let _ = log_trouble(counted);
}

struct Link {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    output: Output<WriteHalf<TlsStream<TcpStream>>>,
    outgoing: Outgoing,
    /// The operations of this site that wait for results.
    asking: Asking,
    running: Running,
    /// The ids of the running operations.
    in_flight: Vec<u64>,
    errors: u32,
    /// A breach of the protocol that is not counted yet.
    breach: Option<PeerBreach>,
    /// Who ended the connection, if the reason does not say it.
    ended_by: Option<EndedBy>,
}

impl Link {
    /// Returns why the connection ends.
    async fn serve(
        &mut self,
        lines: &mut Lines<tokio::io::ReadHalf<TlsStream<TcpStream>>>,
        cut: &mut oneshot::Receiver<CloseReason>,
        quiet: Option<Duration>,
    ) -> CloseReason {
        let mut stopping = self.shared.stopping.clone();
        let idle_timeout = quiet.unwrap_or(IDLE);
        let mut idle = now() + idle_timeout;
        let mut has_ended = false;
        loop {
            if has_ended && !self.serves() {
                self.ended_by = Some(EndedBy::Unknown);
                return CloseReason::Goodbye;
            }
            if self.is_in_use() {
                idle = now() + idle_timeout;
            }
            let drains = self.output.unsent() < MAX_UNSENT;
            let wants_more = drains && self.running.len() < MAX_IN_FLIGHT && !has_ended;
            let ended = tokio::select! {
                biased;
                Ok(reason) = &mut *cut => Some(reason),
                _ = stopping.wait_for(|stopping| *stopping) => Some(CloseReason::SiteStopping),
                wrote = self.output.write(), if self.output.is_pending() => {
                    wrote.err().map(|_| CloseReason::ConnectionLost)
                }
                Some(outcome) = self.running.next(), if !self.running.is_empty() => {
                    self.in_flight.retain(|id| *id != outcome.id);
                    self.output.put(|out| put_outcome(out, &outcome, false))
                }
                next = self.outgoing.next(), if !has_ended && drains => match next {
                    Next::Send(operation) => {
                        self.output.put(|out| put_operation(out, &operation, false))
                    }
                    Next::TooLate => self.unanswered(),
                },
                next = self.asking.next(), if !has_ended && drains => match next {
                    NextAsk::Send(operation) => {
                        self.output.put(|out| put_operation(out, &operation, false))
                    }
                    NextAsk::TooLate => self.unanswered(),
                },
                line = lines.next(), if wants_more => {
                    idle = now() + idle_timeout;
                    has_ended = matches!(line, Ok(None));
                    self.received(line)
                }
                // An operation that waits for its result has a time of its own.
                () = tokio::time::sleep_until(idle) => match (self.is_in_use(), quiet) {
                    (true, _) => None,
                    (false, Some(_)) => Some(CloseReason::Goodbye),
                    (false, None) => Some(CloseReason::Idle),
                },
            };
            if ended.is_none()
                && let Some(breach) = self.breach.take()
            {
                count(&self.shared, self.outgoing.site(), breach).await;
            }
            if let Some(reason) = ended {
                return reason;
            }
        }
    }

    /// Whether an operation of the peer runs, or bytes wait to be sent.
    fn serves(&self) -> bool {
        !self.running.is_empty() || self.output.is_pending()
    }

    /// Whether an operation of either side is under way.
    fn is_in_use(&self) -> bool {
        self.serves() || self.outgoing.is_busy() || self.asking.is_busy()
    }

    /// Ends the connection because the peer did not answer an operation in time.
    fn unanswered(&mut self) -> Option<CloseReason> {
        self.ended_by = Some(EndedBy::TooLate);
        Some(CloseReason::ConnectionLost)
    }

    /// Takes a line. Returns why the connection ends, if it does.
    fn received(&mut self, line: io::Result<Option<&[u8]>>) -> Option<CloseReason> {
        let line = match line {
            Ok(Some(line)) => line,
            // The results of the operations that run are sent first.
            Ok(None) => return None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return self.broken();
            }
            Err(_) => return Some(CloseReason::ConnectionLost),
        };
        match PeerLine::read(line) {
            Ok(PeerLine::Operation(operation)) if self.in_flight.contains(&operation.id) => {
                self.malformed(operation.id, "an operation with this id is in progress")
            }
            Ok(PeerLine::Operation(operation)) => {
                self.start(operation);
                None
            }
            Ok(PeerLine::Outcome(outcome)) if self.asking.answered(&outcome) => None,
            Ok(PeerLine::Outcome(outcome)) => match self.outgoing.answered(&outcome) {
                Answered::Taken => None,
                Answered::Unexpected => {
                    self.malformed(outcome.id, "no operation waits for this result")
                }
                Answered::Foreign => self.broken(),
            },
            Ok(PeerLine::End(end)) => Some(self.ended(end)),
            Err(error) => self.malformed(0, &error.to_string()),
        }
    }

    /// The peer ends the connection.
    fn ended(&mut self, end: PeerEnd) -> CloseReason {
        self.ended_by = Some(EndedBy::Peer(end));
        let site = self.outgoing.site();
        info!(%site, reason = end.as_str(), "a peer ended the connection");
        self.shared.site.peer_ended(site, end, clock::now());
        CloseReason::Goodbye
    }

    /// Ends the connection for a breach of the protocol.
    fn broken(&mut self) -> Option<CloseReason> {
        self.breach = Some(PeerBreach::Connection);
        Some(CloseReason::ProtocolFault)
    }

    fn start(&mut self, operation: Operation) {
        self.in_flight.push(operation.id);
        let (shared, caller) = (self.shared.clone(), self.caller.clone());
        self.running.push(Box::pin(async move {
            // No operation that a peer may call returns content.
            let (outcome, _) = shared.run_with_content(&caller, &operation, None).await;
            if let Some(millis) = delay_of_answer(&operation, &outcome) {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            outcome
        }));
    }

    /// Replies to a line that is neither operation nor expected result, and counts it.
    fn malformed(&mut self, id: u64, problem: &str) -> Option<CloseReason> {
        let outcome = Shared::malformed(id, problem);
        self.errors += 1;
        self.breach = Some(PeerBreach::Line);
        match self.errors >= MAX_ERRORS {
            true => Some(CloseReason::ProtocolFault),
            false => self.output.put(|out| put_outcome(out, &outcome, false)),
        }
    }
}

fn now() -> Instant {
    Instant::from_std(clock::monotonic())
}
