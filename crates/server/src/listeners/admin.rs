//! The local admin socket: operations as JSON lines, for the user that runs the site.
//!
//! It works also when the site is sealed and when no account can log in. In addition to the permissions of
//! the file, the user id of the client is checked: the site's own user and root have access.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};

use countersign_core::access::Caller;
use countersign_core::content::{Content, ContentBroken};
use countersign_net::lines::Lines;
use countersign_proto::lines::{ContentLine, PIECE_BYTES, put_outcome, read_operation};
use countersign_proto::operation::{Operation, Outcome};
use futures_util::stream;
use tokio::io::AsyncRead;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::accept_loop::{self, Access, Connections, DescriptorReserve, Listener};
use crate::runtime::shared::Shared;

/// The greatest length of a line in bytes: more than a dump needs.
const MAX_LINE: usize = 4 << 20;
/// Pieces of content that are read ahead of a handler.
const PIECES_AHEAD: usize = 4;

/// The bound socket. Dropping it removes its file.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Binds `path` with mode 0600. An existing file is replaced: the caller holds the lock of the folder, so
    /// it was left by a site that was killed.
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

    /// Accepts at most `places` connections at a time, until the listener fails.
    pub(crate) async fn accept(
        self,
        room: Arc<DescriptorReserve>,
        connections: Connections,
        shared: Arc<Shared>,
        places: usize,
    ) -> io::Result<Infallible> {
        let service = move |socket: UnixStream| {
            let Some(uid) = permitted(&socket) else {
                warn!("rejected a connection of another user to the admin socket");
                return None;
            };
            let shared = shared.clone();
            Some(async move {
                if let Err(error) = converse(socket, uid, &shared).await {
                    debug!(%error, "admin connection lost");
                }
            })
        };
        let access = Access::Operators { places };
        accept_loop::run(self, access, room, connections, service).await
    }
}

impl Listener for AdminSocket {
    type Accepted = UnixStream;

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        Listener::poll_accept(&self.listener, context)
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The user id of the client, if it has access.
fn permitted(socket: &UnixStream) -> Option<u32> {
    let own = rustix::process::geteuid().as_raw();
    let uid = socket.peer_cred().ok()?.uid();
    (uid == own || uid == 0).then_some(uid)
}

/// Reads operations and replies to each before it reads the next one. A shutdown ends it between two
/// operations.
async fn converse(socket: UnixStream, uid: u32, shared: &Arc<Shared>) -> io::Result<()> {
    let caller = Caller::admin_socket_of(uid);
    let mut stopping = shared.stopping.clone();
    let mut lines = Lines::new(socket, MAX_LINE);
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
        };
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                // The beginning of the next line is unknown, so the connection ends.
                let outcome = Shared::malformed(0, &error.to_string());
                return answer(&mut lines, &outcome, None).await;
            }
            Err(error) => return Err(error),
        };
        let (outcome, content) = match read_operation(line) {
            Ok((operation, false)) => shared.run_with_content(&caller, &operation, None).await,
            Ok((operation, true)) => run(&operation, &caller, shared, &mut lines).await?,
            Err(error) => (Shared::malformed(0, &error.to_string()), None),
        };
        answer(&mut lines, &outcome, content).await?;
    }
}

/// Runs an operation whose content follows in further lines.
async fn run(
    operation: &Operation,
    caller: &Caller,
    shared: &Arc<Shared>,
    lines: &mut Lines<UnixStream>,
) -> io::Result<(Outcome, Option<Content>)> {
    let (pieces, arriving) = mpsc::channel(PIECES_AHEAD);
    let content = Content::new(stream::unfold(arriving, |mut arriving| async move {
        let piece: Piece = arriving.recv().await?;
        Some((piece, arriving))
    }));
    let running = shared.run_with_content(caller, operation, Some(content));
    let (answered, fed) = tokio::join!(running, feed(lines, pieces));
    fed.map(|()| answered)
}

type Piece = Result<Vec<u8>, ContentBroken>;

/// Reads the lines of an operation's content to the end, also if its handler needs no more. For the handler, a
/// closed channel means the end of the content, so an error is sent before the channel closes early.
async fn feed<S: AsyncRead + Unpin>(
    lines: &mut Lines<S>,
    pieces: mpsc::Sender<Piece>,
) -> io::Result<()> {
    loop {
        let broken = match lines.next().await {
            Ok(Some(line)) => match ContentLine::read(line) {
                Ok(ContentLine::Piece(bytes)) => {
                    let _ = pieces.send(Ok(bytes)).await;
                    continue;
                }
                Ok(ContentLine::End) => return Ok(()),
                Ok(ContentLine::Broken(why)) => {
                    let _ = pieces.send(Err(ContentBroken(why))).await;
                    return Ok(());
                }
                Err(error) => error.to_string(),
            },
            Ok(None) => "the connection was closed".to_owned(),
            Err(error) => error.to_string(),
        };
        let _ = pieces.send(Err(ContentBroken(broken.clone()))).await;
        return Err(io::Error::other(broken));
    }
}

/// Sends a result with its content.
async fn answer(
    lines: &mut Lines<UnixStream>,
    outcome: &Outcome,
    content: Option<Content>,
) -> io::Result<()> {
    let mut out = Vec::new();
    put_outcome(&mut out, outcome, content.is_some())?;
    lines.send(&out).await?;
    let Some(mut content) = content else {
        return Ok(());
    };
    loop {
        let last = match content.next().await {
            Some(Ok(bytes)) => {
                for piece in bytes.chunks(PIECE_BYTES) {
                    out.clear();
                    ContentLine::put_piece(&mut out, piece)?;
                    lines.send(&out).await?;
                }
                continue;
            }
            Some(Err(broken)) => ContentLine::Broken(broken.0),
            None => ContentLine::End,
        };
        out.clear();
        last.put(&mut out)?;
        return lines.send(&out).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fed(lines: &str) -> (io::Result<()>, Vec<Piece>) {
        let (pieces, mut arriving) = mpsc::channel(PIECES_AHEAD);
        let fed = feed(&mut Lines::new(lines.as_bytes(), 24), pieces).await;
        let mut arrived = Vec::new();
        while let Some(piece) = arriving.recv().await {
            arrived.push(piece);
        }
        (fed, arrived)
    }

    /// If a connection failed during the content of an operation, the handler took the received part for the
    /// whole content.
    #[tokio::test]
    async fn content_without_its_last_line_is_an_error() {
        let piece = "{\"piece\":\"AA==\"}\n";
        let (whole, arrived) = fed(&format!("{piece}\"end\"\n")).await;
        assert!(whole.is_ok());
        assert_eq!(arrived, [Ok(vec![0])]);
        for rest in [
            "",
            "\"ended\"\n",
            "{\"piece\":\"AAAAAAAAAAAAAAAAAAAAAAAA\"}\n",
        ] {
            let (failed, arrived) = fed(&format!("{piece}{rest}")).await;
            assert!(failed.is_err(), "{rest}");
            assert!(matches!(arrived[..], [Ok(_), Err(_)]), "{arrived:?}");
        }
        let (read, arrived) = fed("{\"broken\":\"why\"}\n").await;
        assert!(read.is_ok());
        assert_eq!(arrived, [Err(ContentBroken("why".to_owned()))]);
    }
}
