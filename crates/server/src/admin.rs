//! The local admin socket: operations as JSON lines, for whoever owns the site's folder.
//!
//! It always works, also when the site is sealed and when nobody can log in any more. The peer's user
//! id is checked besides the file's permissions: the site's own user and root may speak.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_core::caller::Caller;
use countersign_core::content::{Content, ContentBroken};
use countersign_proto::operation::{Operation, Outcome};
use data_encoding::BASE64;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::listener::Room;
use crate::shared::Shared;

/// The longest line in bytes: a dump with some room.
const LONGEST_LINE: usize = 4 << 20;
/// Bytes of content that a line carries.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces of content that are read ahead of a handler.
const PIECES_AHEAD: usize = 4;

/// The bound socket; its file is removed when this is dropped.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Binds `path`, readable and writable by its owner alone. A file that a killed site left there is
    /// replaced: the caller holds the folder's lock, so nobody listens on it.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Serves connections until it is dropped, as many at a time as it has places for.
    pub(crate) async fn serve(
        self,
        shared: Arc<Shared>,
        room: Arc<Room>,
        places: usize,
    ) -> io::Result<Infallible> {
        let places = Arc::new(tokio::sync::Semaphore::new(places));
        loop {
            let place = places.clone().acquire_owned().await;
            let place = place.map_err(io::Error::other)?;
            let socket = room.next_first(&self.listener).await?;
            let Some(uid) = may_speak(&socket) else {
                warn!("a process of another user may not speak at the admin socket");
                continue;
            };
            let shared = shared.clone();
            tokio::spawn(async move {
                if let Err(error) = converse(socket, uid, &shared).await {
                    debug!(%error, "admin connection lost");
                }
                drop(place);
            });
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The user id of the process at the other end, if it may speak.
fn may_speak(socket: &UnixStream) -> Option<u32> {
    let own = rustix::process::geteuid().as_raw();
    let uid = socket.peer_cred().ok()?.uid();
    (uid == own || uid == 0).then_some(uid)
}

/// An operation as it stands on a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: u64,
    group: String,
    command: String,
    params: Option<Box<RawValue>>,
    /// Whether lines with its content follow.
    #[serde(default)]
    content: bool,
}

/// A line of content: pieces, and a last one that says whether they are all.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum ContentLine {
    /// Bytes, in base64.
    Piece(String),
    /// The content is whole.
    End,
    /// The content is not whole, and why.
    Broken(String),
}

type Lines = BufReader<tokio::net::unix::OwnedReadHalf>;

/// Reads operations and answers each before it reads the next.
async fn converse(socket: UnixStream, uid: u32, shared: &Arc<Shared>) -> io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::new(reader);
    let caller = Caller::admin_socket_of(uid);
    let mut line = Vec::new();
    while read_line(&mut reader, &mut line).await? {
        if line.len() > LONGEST_LINE {
            let outcome = Shared::malformed(0, "the line is too long");
            return answer(&mut writer, &outcome, false).await;
        }
        let (outcome, content) = match serde_json::from_slice::<Line>(&line) {
            Ok(line) => run(line, &caller, shared, &mut reader).await?,
            Err(error) => {
                let problem = format!("the line is no operation: {error}");
                (Shared::malformed(0, &problem), None)
            }
        };
        answer(&mut writer, &outcome, content.is_some()).await?;
        if let Some(content) = content {
            send_content(&mut writer, content).await?;
        }
    }
    Ok(())
}

/// The next line; `false` when there is none.
async fn read_line(reader: &mut Lines, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    reader
        .take(LONGEST_LINE as u64 + 1)
        .read_until(b'\n', line)
        .await?;
    Ok(!line.is_empty())
}

async fn run(
    line: Line,
    caller: &Caller,
    shared: &Arc<Shared>,
    reader: &mut Lines,
) -> io::Result<(Outcome, Option<Content>)> {
    let params = line.params.unwrap_or_else(|| RawValue::NULL.to_owned());
    let operation = Operation::new(line.id, &line.group, &line.command, params);
    if !line.content {
        return Ok(shared.run_with_content(caller, &operation, None).await);
    }
    let (pieces, arriving) = mpsc::channel(PIECES_AHEAD);
    let content = Content::new(stream::unfold(arriving, |mut arriving| async move {
        let piece: Result<Vec<u8>, ContentBroken> = arriving.recv().await?;
        Some((piece, arriving))
    }));
    let running = shared.run_with_content(caller, &operation, Some(content));
    let (answered, fed) = tokio::join!(running, feed(reader, pieces));
    fed.map(|()| answered)
}

/// Reads the lines of an operation's content to their end, also when nobody wants them any more.
async fn feed(
    reader: &mut Lines,
    pieces: mpsc::Sender<Result<Vec<u8>, ContentBroken>>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        let broken = if read_line(reader, &mut line).await? {
            match serde_json::from_slice(&line) {
                Ok(ContentLine::Piece(text)) => match BASE64.decode(text.as_bytes()) {
                    Ok(bytes) => {
                        let _ = pieces.send(Ok(bytes)).await;
                        continue;
                    }
                    Err(error) => format!("a piece is not base64: {error}"),
                },
                Ok(ContentLine::End) => return Ok(()),
                Ok(ContentLine::Broken(why)) => why,
                Err(error) => format!("a line is no content: {error}"),
            }
        } else {
            "the connection was closed".to_owned()
        };
        let _ = pieces.send(Err(ContentBroken(broken.clone()))).await;
        if line.is_empty() || !matches!(serde_json::from_slice(&line), Ok(ContentLine::Broken(_))) {
            return Err(io::Error::other(broken));
        }
        return Ok(());
    }
}

async fn send_content(
    writer: &mut tokio::net::unix::OwnedWriteHalf,
    mut content: Content,
) -> io::Result<()> {
    loop {
        let line = match content.next().await {
            Some(Ok(bytes)) => {
                for piece in bytes.chunks(PIECE_BYTES) {
                    let line = ContentLine::Piece(BASE64.encode(piece));
                    write_line(writer, &line).await?;
                }
                continue;
            }
            Some(Err(broken)) => ContentLine::Broken(broken.0),
            None => ContentLine::End,
        };
        return write_line(writer, &line).await;
    }
}

async fn answer(
    writer: &mut tokio::net::unix::OwnedWriteHalf,
    outcome: &Outcome,
    content: bool,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Answer<'a> {
        #[serde(flatten)]
        outcome: &'a Outcome,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        content: bool,
    }
    write_line(writer, &Answer { outcome, content }).await
}

async fn write_line(
    writer: &mut tokio::net::unix::OwnedWriteHalf,
    value: &impl Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    writer.write_all(&line).await
}
