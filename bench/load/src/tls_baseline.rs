//! The baseline of device connections: bare rustls over the same socket library, with the same
//! configuration of TLS. It sends a line to each new connection, and a line to all connections when
//! its parent process asks for it.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::sign::VerifyingKey;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_net::tls::Acceptor;
use countersign_server::descriptors;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::baseline_process::BaselineProcess;
use crate::{Result, report};

/// The argument with which this program runs as the baseline.
pub(crate) const MODE: &str = "--serve-tls";

/// The length of a line in bytes: that of an alarm's event.
const LINE: usize = 512;

/// The running baseline. It stops when this is dropped.
pub(crate) struct TlsBaseline {
    process: BaselineProcess,
    pub(crate) address: SocketAddr,
    pub(crate) key: VerifyingKey,
}

/// The first line of output of the baseline's process.
#[derive(Deserialize)]
struct Announcement {
    address: SocketAddr,
    key: String,
}

impl TlsBaseline {
    pub(crate) async fn start() -> Result<Self> {
        let (process, announced) = BaselineProcess::start::<Announcement>(MODE).await?;
        let key = HEXLOWER.decode(announced.key.as_bytes())?;
        let key = key.try_into().map_err(|_| "a key has 32 bytes")?;
        Ok(Self {
            process,
            address: announced.address,
            key: VerifyingKey(key),
        })
    }

    pub(crate) fn process_id(&self) -> Result<u32> {
        self.process.id()
    }

    /// Lets the baseline send a line to all connections.
    pub(crate) async fn broadcast(&mut self) -> Result<()> {
        self.process.request().await
    }
}

/// Serves until standard input ends.
pub(crate) fn run() -> Result<()> {
    descriptors::raise();
    tokio::runtime::Runtime::new()?.block_on(async {
        let key = Arc::new(SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy)));
        let acceptor = Acceptor::new(key.clone())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        report::print_line(&json!({
            "address": listener.local_addr()?,
            "key": HEXLOWER.encode(&key.public().signing.0),
        }));
        let (sender, lines) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, lines) = (acceptor.clone(), lines.clone());
                tokio::spawn(async move { serve(socket, acceptor, lines).await });
            }
        });
        let mut requests = BufReader::new(tokio::io::stdin()).lines();
        while requests.next_line().await?.is_some() {
            let _ = sender.send(());
        }
        Ok(())
    })
}

async fn serve(
    socket: TcpStream,
    acceptor: Acceptor,
    mut lines: watch::Receiver<()>,
) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut stream = acceptor.accept(socket).await?;
    let mut line = vec![b' '; LINE - 1];
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await?;
    drop(line);
    loop {
        let mut byte = [0];
        tokio::select! {
            read = stream.read(&mut byte) => {
                if read? == 0 {
                    return Ok(());
                }
            }
            changed = lines.changed() => {
                changed?;
                let mut line = vec![b' '; LINE - 1];
                line.push(b'\n');
                stream.write_all(&line).await?;
                stream.flush().await?;
            }
        }
    }
}
