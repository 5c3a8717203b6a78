//! The local admin socket: operations as JSON lines, for whoever owns the site's folder.
//!
//! It always works, also when the site is sealed and when nobody can log in any more. The peer's user
//! id is checked besides the file's permissions: the site's own user and root may speak.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_core::caller::Caller;
use countersign_proto::operation::Operation;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tracing::{debug, warn};

use crate::shared::Shared;

/// The longest line in bytes: a dump with some room.
const LONGEST_LINE: usize = 4 << 20;
/// Connections to the admin socket at a time: scripts, not crowds.
const CONNECTIONS: usize = 64;

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

    /// Serves connections until it is dropped.
    pub(crate) async fn serve(self, shared: Arc<Shared>) {
        let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((socket, _)) if may_speak(&socket) => {
                    let shared = shared.clone();
                    tokio::spawn(async move {
                        if let Err(error) = converse(socket, &shared).await {
                            debug!(%error, "admin connection lost");
                        }
                        drop(place);
                    });
                }
                Ok(_) => warn!("a stranger's process was turned away from the admin socket"),
                Err(error) => {
                    warn!(%error, "admin socket");
                    tokio::time::sleep(crate::server::ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn may_speak(socket: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    socket
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// Reads operations and answers each before it reads the next.
async fn converse(socket: UnixStream, shared: &Arc<Shared>) -> io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::new(reader);
    let caller = Caller::admin_socket();
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut reader)
            .take(LONGEST_LINE as u64 + 1)
            .read_until(b'\n', &mut line)
            .await?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() > LONGEST_LINE {
            answer(&mut writer, &Shared::malformed(0, "the line is too long")).await?;
            return Ok(());
        }
        let outcome = match serde_json::from_slice::<Operation>(&line) {
            Ok(operation) => shared.run(&caller, &operation).await,
            Err(error) => Shared::malformed(0, &format!("the line is no operation: {error}")),
        };
        answer(&mut writer, &outcome).await?;
    }
}

async fn answer(
    writer: &mut tokio::net::unix::OwnedWriteHalf,
    outcome: &countersign_proto::operation::Outcome,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(outcome).map_err(io::Error::other)?;
    line.push(b'\n');
    writer.write_all(&line).await
}
