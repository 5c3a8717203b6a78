//! The content pump: carries the content of a session's operations and results between packets and their readers
//! and writers. It holds no more than the session's windows allow.
//!
//! ```text
//! packets --arrived--> Pump --Incoming--> reader       a reader that falls behind makes the sender wait
//! packets <--settle--- Pump <--stream---- writer       asked for more only when the session has room
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use countersign_proto::session::limits::{CONTENT_WINDOW, MIN_PIECE_COST, piece_cost};
use countersign_proto::session::{Goodbye, SessionRefusal, client, server};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt, StreamFuture};
use tokio::sync::mpsc;

/// As many pieces as may be on their way to a reader, and the end.
const PIECES: usize = (CONTENT_WINDOW / MIN_PIECE_COST) as usize + 1;

/// Why content that arrives is incomplete. What came of it must not be taken for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Its sender cancelled it.
    #[error("it was cancelled")]
    Cancelled,
    /// The connection was lost.
    #[error("the connection was lost")]
    Lost,
    /// The other side ended the session.
    #[error("the session was ended: {}", .0.in_words())]
    Ended(Goodbye),
}

/// A piece of content that arrives; an empty one is the end.
type Piece = Result<Vec<u8>, Broken>;

/// The end of a session that the pump feeds.
pub trait Session {
    /// Whether it has room for a piece of this message's content.
    fn wants_content(&self, id: u64) -> bool;
    /// Queues a piece.
    fn send_content(&mut self, id: u64, bytes: Vec<u8>);
    /// The content is all queued.
    fn end_content(&mut self, id: u64);
    /// Sends and takes no more content of that message.
    ///
    /// # Errors
    /// The session is over.
    fn cancel(&mut self, id: u64) -> Result<(), SessionRefusal>;
    /// So many bytes of the window were used.
    ///
    /// # Errors
    /// The session is over.
    fn consumed(&mut self, id: u64, bytes: u64) -> Result<(), SessionRefusal>;
}

macro_rules! feeds {
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

feeds!(client::ClientSession);
feeds!(server::ServerSession);

/// Content as it arrives. Its sender sends no more than is read here.
#[derive(Debug)]
pub struct Incoming {
    id: u64,
    pieces: mpsc::Receiver<Piece>,
    reports: mpsc::UnboundedSender<Report>,
    over: bool,
}

impl Incoming {
    /// Wants no more of it, before its end: the rest is cancelled. Dropping it instead lets the rest arrive
    /// unread until its message is answered.
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
        let piece = ready!(self.pieces.poll_recv(context)).unwrap_or(Err(Broken::Lost));
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

/// What a reader did.
#[derive(Debug)]
enum Report {
    /// Used a piece, which counts for that many bytes of the window.
    Used {
        id: u64,
        cost: u64,
    },
    Abandoned {
        id: u64,
    },
}

/// Waits for the next piece of outgoing content.
struct Pull<S> {
    of: Place,
    next: StreamFuture<S>,
}

impl<S: Stream + Unpin> Future for Pull<S> {
    type Output = (Place, Option<S::Item>, S);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (piece, content) = ready!(Pin::new(&mut self.next).poll(context));
        Poll::Ready((self.of, piece, content))
    }
}

/// Which outgoing content it is: that of a message of this id, and its number, since an id is used again.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    id: u64,
    number: u64,
}

struct Outgoing<S> {
    number: u64,
    /// `None` while a piece of it is waited for.
    content: Option<S>,
}

/// The content that is under way over one connection. `S` is outgoing content: pieces, until there are no more or
/// one is an error.
pub struct Pump<S: Stream> {
    /// To readers; `None` when all of it has arrived.
    incoming: HashMap<u64, Option<mpsc::Sender<Piece>>>,
    reports: mpsc::UnboundedSender<Report>,
    reported: mpsc::UnboundedReceiver<Report>,
    outgoing: HashMap<u64, Outgoing<S>>,
    /// How much outgoing content there was.
    sent: u64,
    pulling: FuturesUnordered<Pull<S>>,
}

/// What happened to content that the session has to learn: [`Pump::settle`] tells it.
pub struct Moved<S: Stream>(What<S>);

enum What<S: Stream> {
    Reported(Report),
    Pulled(Place, Option<S::Item>, S),
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
    /// How much content is under way, with that which was cancelled while its writer is waited for.
    #[must_use]
    pub fn count(&self) -> usize {
        let outgoing = self.outgoing.values();
        let held = outgoing.filter(|outgoing| outgoing.content.is_some());
        self.incoming.len() + held.count() + self.pulling.len()
    }

    /// Whether content of a message of that id is under way.
    #[must_use]
    pub fn has(&self, id: u64) -> bool {
        self.incoming.contains_key(&id) || self.outgoing.contains_key(&id)
    }

    /// Content of a message that is to arrive, for its reader.
    pub fn receive(&mut self, id: u64) -> Incoming {
        let (sender, pieces) = mpsc::channel(PIECES);
        self.incoming.insert(id, Some(sender));
        Incoming {
            id,
            pieces,
            reports: self.reports.clone(),
            over: false,
        }
    }

    /// Content of a message that is to be sent.
    pub fn send(&mut self, id: u64, content: S) {
        self.sent += 1;
        let outgoing = Outgoing {
            number: self.sent,
            content: Some(content),
        };
        self.outgoing.insert(id, outgoing);
    }

    /// A piece arrived. Whether it has a reader; otherwise it is dropped.
    pub fn arrived(&self, id: u64, bytes: Vec<u8>) -> bool {
        match self.incoming.get(&id) {
            Some(Some(reader)) => reader.try_send(Ok(bytes)).is_ok(),
            Some(None) | None => false,
        }
    }

    /// Incoming content is complete. Its id stays taken until it is [released](Self::release).
    pub fn ended(&mut self, id: u64) {
        if let Some(reader) = self.incoming.get_mut(&id).and_then(Option::take) {
            let _ = reader.try_send(Ok(Vec::new()));
        }
    }

    /// The other side sends and takes no more content of that message. The id of incoming content stays taken until
    /// it is [released](Self::release).
    pub fn cancelled(&mut self, id: u64) {
        if let Some(reader) = self.incoming.get_mut(&id).and_then(Option::take) {
            let _ = reader.try_send(Err(Broken::Cancelled));
        }
        self.outgoing.remove(&id);
    }

    /// Nothing more of incoming content is awaited. Whether it was incomplete: cancel the rest then.
    pub fn release(&mut self, id: u64) -> bool {
        matches!(self.incoming.remove(&id), Some(Some(_)))
    }

    /// Nothing more of outgoing content is to be sent. Whether some was left: cancel the rest then.
    pub fn withdraw(&mut self, id: u64) -> bool {
        self.outgoing.remove(&id).is_some()
    }

    /// The connection is over: readers of incomplete content learn why.
    pub fn fail(&mut self, why: Broken) {
        for reader in self.incoming.drain().filter_map(|(_, reader)| reader) {
            let _ = reader.try_send(Err(why));
        }
    }

    /// Asks writers for content where the session has room for it.
    pub fn pull(&mut self, session: &impl Session) {
        for (id, outgoing) in &mut self.outgoing {
            if session.wants_content(*id)
                && let Some(content) = outgoing.content.take()
            {
                let (id, number) = (*id, outgoing.number);
                self.pulling.push(Pull {
                    of: Place { id, number },
                    next: content.into_future(),
                });
            }
        }
    }

    /// Waits for what the session has to learn next; for ever when nothing is under way. Nothing is lost when the
    /// future is dropped.
    pub async fn next(&mut self) -> Moved<S> {
        Moved(tokio::select! {
            Some(report) = self.reported.recv() => What::Reported(report),
            Some((of, piece, content)) = self.pulling.next(), if !self.pulling.is_empty() => {
                What::Pulled(of, piece, content)
            }
        })
    }

    /// Tells the session. The error of outgoing content, if its writer failed; the content was cancelled.
    ///
    /// # Errors
    /// The session is over.
    pub fn settle(
        &mut self,
        moved: Moved<S>,
        session: &mut impl Session,
    ) -> Result<Option<E>, SessionRefusal> {
        match moved.0 {
            What::Reported(Report::Used { id, cost }) => session.consumed(id, cost)?,
            What::Reported(Report::Abandoned { id }) => {
                if self.incoming.remove(&id).is_some() {
                    session.cancel(id)?;
                }
            }
            What::Pulled(Place { id, number }, piece, content) => {
                // Cancelled meanwhile, if it is not there; then other content may have its id.
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

    /// What was sent.
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

    /// Content that was cancelled while its writer was waited for was sent as that of the next message of its id, and
    /// did not count as under way: a client that cancels what it asked for had any number of writers at work.
    #[tokio::test]
    async fn content_that_was_cancelled_is_not_sent_for_the_next_message_of_its_id() {
        let (mut pump, mut sent) = (Pump::<Content>::default(), Sent::default());
        let ((old, first), (new, second)) = (content(), content());
        pump.send(7, first);
        pump.pull(&sent);
        pump.cancelled(7);
        assert_eq!(pump.count(), 1, "its writer is at work");
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
