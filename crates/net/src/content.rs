//! The content pump: moves the content of operations and results between packets and their readers
//! and writers. It buffers at most what the session's flow-control windows allow.
//!
//! ```text
//! packets --arrived--> Pump --Incoming--> reader       a slow reader stops the sender
//! packets <--settle--- Pump <--stream---- writer       polled only when the session has room
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use countersign_proto::session::limits::{CONTENT_WINDOW, MIN_PIECE_COST, piece_cost};
use countersign_proto::session::{Goodbye, SessionRefusal, client, server};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt, StreamFuture};
use tokio::sync::mpsc;

/// Maximum number of pieces in a reader's queue, and one for the end.
const MAX_PIECES: usize = (CONTENT_WINDOW / MIN_PIECE_COST) as usize + 1;

/// Why received content is incomplete. The received part must not be used as the complete content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The sender cancelled it.
    #[error("the sender cancelled the content")]
    Cancelled,
    /// The connection was lost.
    #[error("the connection was lost")]
    Lost,
    /// The other side ended the session.
    #[error("the session was ended: {}", .0.in_words())]
    Ended(Goodbye),
}

/// A piece of received content; an empty one is the end.
type Piece = Result<Vec<u8>, ContentError>;

/// The session, of client or server, that sends and receives the pump's content.
pub trait Session {
    /// Whether the session has room for a piece of the content of message `id`.
    fn wants_content(&self, id: u64) -> bool;
    /// Queues a piece to be sent.
    fn send_content(&mut self, id: u64, bytes: Vec<u8>);
    /// Ends the content of message `id`.
    fn end_content(&mut self, id: u64);
    /// Cancels content of message `id` in both directions.
    ///
    /// # Errors
    /// The session is over.
    fn cancel(&mut self, id: u64) -> Result<(), SessionRefusal>;
    /// Returns `bytes` of the flow-control window to the sender.
    ///
    /// # Errors
    /// The session is over.
    fn consumed(&mut self, id: u64, bytes: u64) -> Result<(), SessionRefusal>;
}

macro_rules! impl_session {
    ($session:ty) => {
        impl Session for $session {
            fn wants_content(&self, id: u64) -> bool {
                Self::wants_content(self, id)
            }

            fn send_content(&mut self, id: u64, bytes: Vec<u8>) {
                Self::send_content(self, id, bytes);
            }

            fn end_content(&mut self, id: u64) {
                Self::end_content(self, id);
            }

            fn cancel(&mut self, id: u64) -> Result<(), SessionRefusal> {
                Self::cancel(self, id)
            }

            fn consumed(&mut self, id: u64, bytes: u64) -> Result<(), SessionRefusal> {
                Self::consumed(self, id, bytes)
            }
        }
    };
}

impl_session!(client::ClientSession);
impl_session!(server::ServerSession);

/// Received content, as a stream. The sender stops when it is not read.
#[derive(Debug)]
pub struct Incoming {
    id: u64,
    pieces: mpsc::Receiver<Piece>,
    reports: mpsc::UnboundedSender<Report>,
    over: bool,
}

impl Incoming {
    /// Cancels the rest of the content. If it is dropped without this, the rest arrives unread
    /// until the operation has its result.
    pub fn abandon(&mut self) {
        if !self.over {
            self.over = true;
            let _ = self.reports.send(Report::Abandoned { id: self.id });
        }
    }
}

impl Stream for Incoming {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(context)).unwrap_or(Err(ContentError::Lost));
        Poll::Ready(match piece {
            // An empty piece is the end.
            Ok(piece) if piece.is_empty() => {
                self.over = true;
                None
            }
            Ok(piece) => {
                let (id, cost) = (self.id, piece_cost(piece.len()));
                let _ = self.reports.send(Report::Used { id, cost });
                Some(Ok(piece))
            }
            Err(broken) => {
                self.over = true;
                Some(Err(broken))
            }
        })
    }
}

/// A report from a reader to the pump.
#[derive(Debug)]
enum Report {
    /// The reader used a piece that counts for `cost` bytes of the window.
    Used {
        id: u64,
        cost: u64,
    },
    Abandoned {
        id: u64,
    },
}

/// A future that waits for the next piece of outgoing content.
struct Pull<S> {
    of: MessageRef,
    next: StreamFuture<S>,
}

impl<S: Stream + Unpin> Future for Pull<S> {
    type Output = (MessageRef, Option<S::Item>, S);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (piece, content) = ready!(Pin::new(&mut self.next).poll(context));
        Poll::Ready((self.of, piece, content))
    }
}

/// Identifies outgoing content by message id and a serial number, because ids are reused.
#[derive(Clone, Copy, PartialEq, Eq)]
struct MessageRef {
    id: u64,
    number: u64,
}

struct Outgoing<S> {
    number: u64,
    /// `None` while a [`Pull`] waits for the next piece.
    content: Option<S>,
}

/// The content in transit over one connection. `S` is a stream of pieces of outgoing content, which
/// ends normally or with an error.
pub struct Pump<S: Stream> {
    /// The queues to readers by message id; `None` when all content has arrived.
    incoming: HashMap<u64, Option<mpsc::Sender<Piece>>>,
    reports: mpsc::UnboundedSender<Report>,
    reported: mpsc::UnboundedReceiver<Report>,
    outgoing: HashMap<u64, Outgoing<S>>,
    /// The serial number of the last outgoing content.
    sent: u64,
    pulling: FuturesUnordered<Pull<S>>,
}

/// An event that [`Pump::settle`] passes to the session.
pub struct PumpEvent<S: Stream>(EventKind<S>);

enum EventKind<S: Stream> {
    Reported(Report),
    Pulled(MessageRef, Option<S::Item>, S),
}

impl<S: Stream> Default for Pump<S> {
    fn default() -> Self {
        let (reports, reported) = mpsc::unbounded_channel();
        Self {
            incoming: HashMap::new(),
            reports,
            reported,
            outgoing: HashMap::new(),
            sent: 0,
            pulling: FuturesUnordered::new(),
        }
    }
}

impl<S, E> Pump<S>
where
    S: Stream<Item = Result<Vec<u8>, E>> + Unpin,
{
    /// The number of contents in transit, including cancelled ones whose writer is still polled.
    #[must_use]
    pub fn count(&self) -> usize {
        let outgoing = self.outgoing.values();
        let idle = outgoing.filter(|outgoing| outgoing.content.is_some());
        self.incoming.len() + idle.count() + self.pulling.len()
    }

    /// Whether content of message `id` is in transit.
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        self.incoming.contains_key(&id) || self.outgoing.contains_key(&id)
    }

    /// Registers content that will arrive, and returns it for its reader.
    pub fn receive(&mut self, id: u64) -> Incoming {
        let (sender, pieces) = mpsc::channel(MAX_PIECES);
        self.incoming.insert(id, Some(sender));
        Incoming {
            id,
            pieces,
            reports: self.reports.clone(),
            over: false,
        }
    }

    /// Registers content to be sent.
    pub fn send(&mut self, id: u64, content: S) {
        self.sent += 1;
        let outgoing = Outgoing {
            number: self.sent,
            content: Some(content),
        };
        self.outgoing.insert(id, outgoing);
    }

    /// Passes a received piece to its reader. Returns `false`, and drops it, if there is no reader.
    pub fn arrived(&self, id: u64, bytes: Vec<u8>) -> bool {
        match self.incoming.get(&id) {
            Some(Some(reader)) => reader.try_send(Ok(bytes)).is_ok(),
            Some(None) | None => false,
        }
    }

    /// Marks incoming content as complete. Its id stays in use until [released](Self::release).
    pub fn ended(&mut self, id: u64) {
        if let Some(reader) = self.incoming.get_mut(&id).and_then(Option::take) {
            let _ = reader.try_send(Ok(Vec::new()));
        }
    }

    /// Handles a cancellation by the peer. The id of incoming content stays in use until
    /// [released](Self::release).
    pub fn cancelled(&mut self, id: u64) {
        if let Some(reader) = self.incoming.get_mut(&id).and_then(Option::take) {
            let _ = reader.try_send(Err(ContentError::Cancelled));
        }
        self.outgoing.remove(&id);
    }

    /// Removes incoming content. Returns whether it was incomplete; then the rest has to be
    /// cancelled.
    pub fn release(&mut self, id: u64) -> bool {
        matches!(self.incoming.remove(&id), Some(Some(_)))
    }

    /// Removes outgoing content. Returns whether it was incomplete; then the rest has to be
    /// cancelled.
    pub fn withdraw(&mut self, id: u64) -> bool {
        self.outgoing.remove(&id).is_some()
    }

    /// Fails the readers of incomplete content because the connection has ended.
    pub fn fail(&mut self, why: ContentError) {
        for reader in self.incoming.drain().filter_map(|(_, reader)| reader) {
            let _ = reader.try_send(Err(why));
        }
    }

    /// Polls writers for content for which the session has room.
    pub fn pull(&mut self, session: &impl Session) {
        for (id, outgoing) in &mut self.outgoing {
            if session.wants_content(*id)
                && let Some(content) = outgoing.content.take()
            {
                let (id, number) = (*id, outgoing.number);
                self.pulling.push(Pull {
                    of: MessageRef { id, number },
                    next: content.into_future(),
                });
            }
        }
    }

    /// Waits for the next event; for ever if nothing is in transit. No event is lost if the future
    /// is dropped.
    pub async fn next(&mut self) -> PumpEvent<S> {
        PumpEvent(tokio::select! {
            Some(report) = self.reported.recv() => EventKind::Reported(report),
            Some((of, piece, content)) = self.pulling.next(), if !self.pulling.is_empty() => {
                EventKind::Pulled(of, piece, content)
            }
        })
    }

    /// Passes an event to the session. If a writer failed, the content is cancelled and the
    /// writer's error returned.
    ///
    /// # Errors
    /// The session has ended.
    pub fn settle(
        &mut self,
        moved: PumpEvent<S>,
        session: &mut impl Session,
    ) -> Result<Option<E>, SessionRefusal> {
        match moved.0 {
            EventKind::Reported(Report::Used { id, cost }) => session.consumed(id, cost)?,
            EventKind::Reported(Report::Abandoned { id }) => {
                if self.incoming.remove(&id).is_some() {
                    session.cancel(id)?;
                }
            }
            EventKind::Pulled(MessageRef { id, number }, piece, content) => {
                // If it was cancelled meanwhile, other content may use its id already.
                let outgoing = self.outgoing.get_mut(&id);
                let Some(outgoing) = outgoing.filter(|outgoing| outgoing.number == number) else {
                    return Ok(None);
                };
                match piece {
                    Some(Ok(bytes)) => {
                        outgoing.content = Some(content);
                        session.send_content(id, bytes);
                    }
                    Some(Err(error)) => {
                        self.outgoing.remove(&id);
                        session.cancel(id)?;
                        return Ok(Some(error));
                    }
                    None => {
                        self.outgoing.remove(&id);
                        session.end_content(id);
                    }
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, BoxStream};

    use super::*;

    type Content = BoxStream<'static, Result<Vec<u8>, String>>;

    /// A session that records what is sent.
    #[derive(Default)]
    struct Sent(Vec<(u64, Vec<u8>)>);

    impl Session for Sent {
        fn wants_content(&self, _: u64) -> bool {
            true
        }

        fn send_content(&mut self, id: u64, bytes: Vec<u8>) {
            self.0.push((id, bytes));
        }

        fn end_content(&mut self, _: u64) {}

        fn cancel(&mut self, _: u64) -> Result<(), SessionRefusal> {
            Ok(())
        }

        fn consumed(&mut self, _: u64, _: u64) -> Result<(), SessionRefusal> {
            Ok(())
        }
    }

    fn content() -> (mpsc::Sender<Vec<u8>>, Content) {
        let (sender, pieces) = mpsc::channel::<Vec<u8>>(1);
        let content = stream::unfold(pieces, |mut pieces| async move {
            Some((Ok(pieces.recv().await?), pieces))
        });
        (sender, content.boxed())
    }

    /// Regression: content that was cancelled while its writer was polled was sent as content of
    /// the next message with its id. It was not counted either, so a client could keep any number
    /// of writers busy by cancelling.
    #[tokio::test]
    async fn cancelled_content_is_not_sent_for_the_next_message_with_its_id() {
        let (mut pump, mut sent) = (Pump::<Content>::default(), Sent::default());
        let ((old, first), (new, second)) = (content(), content());
        pump.send(7, first);
        pump.pull(&sent);
        pump.cancelled(7);
        assert_eq!(pump.count(), 1, "its writer is still polled");
        pump.send(7, second);
        pump.pull(&sent);
        assert_eq!(pump.count(), 2);
        for (writer, piece) in [(old, b"old"), (new, b"new")] {
            writer.send(piece.to_vec()).await.unwrap();
            let moved = pump.next().await;
            pump.settle(moved, &mut sent).unwrap();
        }
        assert_eq!(sent.0, [(7, b"new".to_vec())]);
        assert_eq!(pump.count(), 1);
    }
}
