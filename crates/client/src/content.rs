//! Content: bytes of any number behind an operation or its result, a piece at a time.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use countersign_proto::session::Refusal;
use countersign_proto::session::client::Session;
use countersign_proto::session::limits::{CONTENT_WINDOW, LEAST_PIECE_COST, piece_cost};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use crate::error::CallError;

/// As many pieces as may be under way to a reader, and the end.
const PIECES: usize = (CONTENT_WINDOW / LEAST_PIECE_COST) as usize + 1;
/// Bytes that are read of an upload at a time.
const READ_AT_A_TIME: usize = 64 * 1024;

/// The content of a result as it comes. The site sends no more than is read here: whoever does not read
/// makes only this content wait. Dropping it cancels the rest.
pub struct Download {
    id: u64,
    pieces: mpsc::Receiver<Result<Vec<u8>, CallError>>,
    used: mpsc::UnboundedSender<Moved>,
    over: bool,
}

impl Download {
    /// The next piece; `None` when the content is whole and its digest right.
    ///
    /// # Errors
    /// [`CallError::Broken`] when it ended before it was whole; the others when the session did. What came
    /// before must not be taken for the whole.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, CallError>> {
        if self.over {
            return None;
        }
        match self.pieces.recv().await {
            // An empty piece is the end.
            Some(Ok(piece)) if piece.is_empty() => {
                self.over = true;
                None
            }
            Some(Ok(piece)) => {
                let cost = piece_cost(piece.len());
                let _ = self.used.send(Moved::Used { id: self.id, cost });
                Some(Ok(piece))
            }
            Some(Err(error)) => {
                self.over = true;
                Some(Err(error))
            }
            None => {
                self.over = true;
                Some(Err(CallError::Lost))
            }
        }
    }

    /// All of it, when it is at most `longest` bytes.
    ///
    /// # Errors
    /// As for [`Self::next`]; [`CallError::Broken`] also when it is longer.
    pub async fn all(mut self, longest: usize) -> Result<Vec<u8>, CallError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > longest {
                return Err(CallError::Broken);
            }
        }
        Ok(all)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.used.send(Moved::Dropped { id: self.id });
        }
    }
}

/// The content of an operation: anything that can be read.
pub struct Upload(Pin<Box<dyn AsyncRead + Send>>);

impl Upload {
    /// Reads the content from there to its end. An error in between cancels the upload.
    #[must_use]
    pub fn new(from: impl AsyncRead + Send + 'static) -> Self {
        Self(Box::pin(from))
    }

    /// Content that is all there.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self::new(std::io::Cursor::new(bytes))
    }

    async fn piece(&mut self) -> std::io::Result<Vec<u8>> {
        let mut piece = Vec::with_capacity(READ_AT_A_TIME);
        self.0.read_buf(&mut piece).await?;
        Ok(piece)
    }
}

type Pull = Pin<Box<dyn Future<Output = (u64, std::io::Result<Vec<u8>>, Upload)> + Send>>;

/// The content that is under way over one connection.
pub(crate) struct Streams {
    downloads: HashMap<u64, mpsc::Sender<Result<Vec<u8>, CallError>>>,
    uses: mpsc::UnboundedSender<Moved>,
    used: mpsc::UnboundedReceiver<Moved>,
    /// `None` while a piece is being read.
    uploads: HashMap<u64, Option<Upload>>,
    pulling: FuturesUnordered<Pull>,
}

/// What happened to content that the session has to be told.
pub(crate) enum Moved {
    Used { id: u64, cost: u64 },
    Dropped { id: u64 },
    Pulled(u64, std::io::Result<Vec<u8>>, Upload),
}

impl Default for Streams {
    fn default() -> Self {
        let (uses, used) = mpsc::unbounded_channel();
        Self {
            downloads: HashMap::new(),
            uses,
            used,
            uploads: HashMap::new(),
            pulling: FuturesUnordered::new(),
        }
    }
}

impl Streams {
    pub(crate) fn download(&mut self, id: u64) -> Download {
        let (pieces, arriving) = mpsc::channel(PIECES);
        self.downloads.insert(id, pieces);
        Download {
            id,
            pieces: arriving,
            used: self.uses.clone(),
            over: false,
        }
    }

    pub(crate) fn upload(&mut self, id: u64, upload: Upload) {
        self.uploads.insert(id, Some(upload));
    }

    /// A piece arrived; `false` when nobody wants it.
    pub(crate) fn arrived(&mut self, id: u64, bytes: Vec<u8>) -> bool {
        match self.downloads.get(&id) {
            Some(reader) => reader.try_send(Ok(bytes)).is_ok(),
            None => false,
        }
    }

    pub(crate) fn ended(&mut self, id: u64) {
        if let Some(reader) = self.downloads.remove(&id) {
            let _ = reader.try_send(Ok(Vec::new()));
        }
    }

    pub(crate) fn cancelled(&mut self, id: u64) {
        self.uploads.remove(&id);
        if let Some(reader) = self.downloads.remove(&id) {
            let _ = reader.try_send(Err(CallError::Broken));
        }
    }

    /// The operation has its result: nobody reads the rest of its content. Whether some was left.
    pub(crate) fn answered(&mut self, id: u64) -> bool {
        self.uploads.remove(&id).is_some()
    }

    pub(crate) fn fail(&mut self, error: &CallError) {
        for (_, reader) in self.downloads.drain() {
            let _ = reader.try_send(Err(error.over()));
        }
    }

    /// Reads on where the session has room.
    pub(crate) fn pull(&mut self, session: &Session) {
        for (id, upload) in &mut self.uploads {
            if session.wants_content(*id)
                && let Some(mut upload) = upload.take()
            {
                let id = *id;
                self.pulling.push(Box::pin(async move {
                    let piece = upload.piece().await;
                    (id, piece, upload)
                }));
            }
        }
    }

    /// Waits for what is to be told to the session next; for ever when nothing is under way.
    pub(crate) async fn next(&mut self) -> Moved {
        tokio::select! {
            Some(moved) = self.used.recv() => moved,
            Some((id, piece, upload)) = self.pulling.next(), if !self.pulling.is_empty() => {
                Moved::Pulled(id, piece, upload)
            }
        }
    }

    /// Tells the session.
    pub(crate) fn settle(&mut self, moved: Moved, session: &mut Session) -> Result<(), Refusal> {
        match moved {
            Moved::Used { id, cost } => session.consumed(id, cost),
            Moved::Dropped { id } => match self.downloads.remove(&id) {
                Some(_) => session.cancel(id),
                None => Ok(()),
            },
            Moved::Pulled(id, piece, upload) => {
                let Some(place) = self.uploads.get_mut(&id) else {
                    return Ok(());
                };
                match piece {
                    Ok(piece) if piece.is_empty() => {
                        self.uploads.remove(&id);
                        session.end_content(id);
                    }
                    Ok(piece) => {
                        *place = Some(upload);
                        session.send_content(id, piece);
                    }
                    Err(_) => {
                        self.uploads.remove(&id);
                        session.cancel(id)?;
                    }
                }
                Ok(())
            }
        }
    }
}
