//! The content of a session's operations and results, on its way between packets and handlers. No more of
//! it is held than the session's windows allow.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use countersign_core::content::{Content, ContentBroken};
use countersign_proto::session::Refusal;
use countersign_proto::session::limits::{CONTENT_WINDOW, LEAST_PIECE_COST, piece_cost};
use countersign_proto::session::server::Session;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tracing::debug;

/// As many pieces as may be under way to a handler, and the end.
const PIECES: usize = (CONTENT_WINDOW / LEAST_PIECE_COST) as usize + 1;

/// A handler used a piece of an operation's content.
pub(super) struct Used {
    id: u64,
    /// What the piece counts for, in bytes of the window.
    cost: u64,
}

type Piece = Result<Vec<u8>, ContentBroken>;
type Pull = Pin<Box<dyn Future<Output = (u64, Option<Piece>, Content)> + Send>>;

/// The content that is under way in one session.
pub(super) struct Streams {
    /// To the handlers that take content; `None` when all of it has arrived, until the operation is answered.
    uploads: HashMap<u64, Option<mpsc::Sender<Piece>>>,
    /// Says what handlers have used.
    uses: mpsc::UnboundedSender<Used>,
    used: mpsc::UnboundedReceiver<Used>,
    /// Of results whose content is being sent; `None` while a piece of it is waited for.
    downloads: HashMap<u64, Option<Content>>,
    pulling: FuturesUnordered<Pull>,
}

/// What happened to content that the session has to be told.
pub(super) enum Moved {
    Used(Used),
    Pulled(u64, Option<Piece>, Content),
}

impl Streams {
    pub(super) fn new() -> Self {
        let (uses, used) = mpsc::unbounded_channel();
        Self {
            uploads: HashMap::new(),
            uses,
            used,
            downloads: HashMap::new(),
            pulling: FuturesUnordered::new(),
        }
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.uploads.len() + self.downloads.len()
    }

    /// Whether an operation of that id is under way with content.
    pub(super) fn has(&self, id: u64) -> bool {
        self.uploads.contains_key(&id) || self.downloads.contains_key(&id)
    }

    /// The content of an operation, for its handler.
    pub(super) fn upload(&mut self, id: u64) -> Content {
        let (pieces, arriving) = mpsc::channel(PIECES);
        self.uploads.insert(id, Some(pieces));
        let uses = self.uses.clone();
        Content::new(stream::unfold(
            (arriving, uses, false),
            move |(mut arriving, uses, ended)| async move {
                if ended {
                    return None;
                }
                let lost = || Err(ContentBroken("the connection was lost".to_owned()));
                match arriving.recv().await {
                    // An empty piece is the end.
                    Some(Ok(piece)) if piece.is_empty() => None,
                    Some(Ok(piece)) => {
                        let cost = piece_cost(piece.len());
                        let _ = uses.send(Used { id, cost });
                        Some((Ok(piece), (arriving, uses, false)))
                    }
                    Some(Err(broken)) => Some((Err(broken), (arriving, uses, true))),
                    None => Some((lost(), (arriving, uses, true))),
                }
            },
        ))
    }

    /// A piece arrived. What its handler does not want any more is dropped.
    pub(super) fn arrived(&mut self, id: u64, bytes: Vec<u8>) {
        if let Some(Some(handler)) = self.uploads.get(&id) {
            let _ = handler.try_send(Ok(bytes));
        }
    }

    /// An operation's content is whole.
    pub(super) fn ended(&mut self, id: u64) {
        if let Some(handler) = self.uploads.get_mut(&id).and_then(Option::take) {
            let _ = handler.try_send(Ok(Vec::new()));
        }
    }

    /// The client abandons an operation's content.
    pub(super) fn cancelled(&mut self, id: u64) {
        if let Some(handler) = self.uploads.get_mut(&id).and_then(Option::take) {
            let _ = handler.try_send(Err(ContentBroken("it was cancelled".to_owned())));
        }
        self.downloads.remove(&id);
    }

    /// The operation has its result: what its handler left of its content is not wanted.
    pub(super) fn answered(&mut self, id: u64, session: &mut Session) -> Result<(), Refusal> {
        match self.uploads.remove(&id) {
            Some(Some(_)) => session.cancel(id),
            Some(None) | None => Ok(()),
        }
    }

    /// The content of a result is to be sent.
    pub(super) fn download(&mut self, id: u64, content: Content) {
        self.downloads.insert(id, Some(content));
    }

    /// Asks handlers for content where the session has room for it.
    pub(super) fn pull(&mut self, session: &Session) {
        for (id, content) in &mut self.downloads {
            if session.wants_content(*id)
                && let Some(mut content) = content.take()
            {
                let id = *id;
                self.pulling.push(Box::pin(async move {
                    let piece = content.next().await;
                    (id, piece, content)
                }));
            }
        }
    }

    /// Waits for what is to be told to the session next; for ever when nothing is under way.
    pub(super) async fn next(&mut self) -> Moved {
        tokio::select! {
            Some(used) = self.used.recv() => Moved::Used(used),
            Some((id, piece, content)) = self.pulling.next(), if !self.pulling.is_empty() => {
                Moved::Pulled(id, piece, content)
            }
        }
    }

    /// Tells the session.
    pub(super) fn settle(&mut self, moved: Moved, session: &mut Session) -> Result<(), Refusal> {
        match moved {
            Moved::Used(Used { id, cost }) => session.consumed(id, cost)?,
            Moved::Pulled(id, piece, content) => {
                // Cancelled meanwhile, if it is not there.
                let Some(place) = self.downloads.get_mut(&id) else {
                    return Ok(());
                };
                match piece {
                    Some(Ok(bytes)) => {
                        *place = Some(content);
                        session.send_content(id, bytes);
                    }
                    Some(Err(broken)) => {
                        debug!(%broken, "content of a result broke off");
                        self.downloads.remove(&id);
                        session.cancel(id)?;
                    }
                    None => {
                        self.downloads.remove(&id);
                        session.end_content(id);
                    }
                }
            }
        }
        Ok(())
    }
}
