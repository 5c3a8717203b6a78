//! Somebody between a client and a site: passes bytes on until told otherwise.

use std::sync::{Arc, Mutex};

use countersign_proto::risp::{self, Command, MaxLength, Reader, Value};
use countersign_proto::uri::SiteUri;
use countersign_testkit::harness::ServedSite;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// What is done with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    PassesOn,
    /// Swallows what clients say.
    Mutes,
    /// Cuts every connection, also new ones.
    Cuts,
}

pub(crate) struct Proxy {
    /// The site, as it is reached through the proxy.
    pub(crate) uri: SiteUri,
    does: Arc<watch::Sender<Does>>,
    cut_clients: Arc<Notify>,
    meddling: Arc<Mutex<Meddling>>,
}

/// Changes the value of a command.
pub(crate) type Change = Box<dyn Fn(&mut Vec<u8>) + Send>;

/// What is done to commands in the clear.
#[derive(Default)]
struct Meddling {
    changes: Vec<(Command, Change)>,
    records: Vec<(Command, Arc<Mutex<Vec<u8>>>)>,
}

impl Meddling {
    /// Changes the strings of the commands in `bytes`, which hold whole commands as far as they are in
    /// the clear.
    fn meddle(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.changes.is_empty() && self.records.is_empty() {
            return bytes.to_vec();
        }
        let mut out = Vec::new();
        let mut reader = Reader::new(bytes, &MaxLength(1 << 20));
        for step in reader.by_ref() {
            let (command, value) = step.unwrap();
            let Value::Bytes(text) = value else {
                risp::put(&mut out, command, value).unwrap();
                continue;
            };
            let mut text = text.to_vec();
            for (of, record) in &self.records {
                if *of == command {
                    record.lock().unwrap().clone_from(&text);
                }
            }
            for (of, change) in &self.changes {
                if *of == command {
                    change(&mut text);
                }
            }
            risp::put(&mut out, command, Value::Bytes(&text)).unwrap();
        }
        out.extend_from_slice(&bytes[reader.consumed()..]);
        out
    }
}

impl Proxy {
    pub(crate) async fn before(served: &ServedSite) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let uri = SiteUri::new("127.0.0.1", port, *served.uri.site_key()).unwrap();
        let does = Arc::new(watch::Sender::new(Does::PassesOn));
        let (site, told) = (served.uri.address(), does.clone());
        let cut_clients = Arc::new(Notify::new());
        let cut = cut_clients.clone();
        let meddling = Arc::new(Mutex::new(Meddling::default()));
        let meddled = meddling.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (site, told, cut) = (site.clone(), told.subscribe(), cut.clone());
                let meddled = meddled.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(site).await.unwrap();
                    let server = server.into_std().unwrap();
                    // A second handle keeps the connection to the site open when the first is dropped.
                    let kept = server.try_clone().unwrap();
                    let server = TcpStream::from_std(server).unwrap();
                    tokio::select! {
                        () = pass_on(client, server, told, &meddled) => {}
                        () = cut.notified() => {
                            std::future::pending::<()>().await;
                        }
                    }
                    drop(kept);
                });
            }
        });
        Self {
            uri,
            does,
            cut_clients,
            meddling,
        }
    }

    /// Changes the value of every such command in the clear, of either side.
    pub(crate) fn change(&self, command: Command, change: Change) {
        self.meddling
            .lock()
            .unwrap()
            .changes
            .push((command, change));
    }

    /// Keeps the value of the last such command in the clear.
    pub(crate) fn record(&self, command: Command) -> Arc<Mutex<Vec<u8>>> {
        let record = Arc::new(Mutex::new(Vec::new()));
        let records = &mut self.meddling.lock().unwrap().records;
        records.push((command, record.clone()));
        record
    }

    /// Swallows what clients say from now on.
    pub(crate) fn mute(&self) {
        self.does.send_replace(Does::Mutes);
    }

    /// Cuts every connection and lets none through.
    pub(crate) fn cut(&self) {
        self.does.send_replace(Does::Cuts);
    }

    /// Cuts the clients' ends alone, of the connections that there are: the site notices nothing.
    pub(crate) fn cut_clients(&self) {
        self.cut_clients.notify_waiters();
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.does.send_replace(Does::PassesOn);
    }
}

async fn pass_on(
    client: TcpStream,
    server: TcpStream,
    mut does: watch::Receiver<Does>,
    meddling: &Mutex<Meddling>,
) {
    let (client, server) = (client.into_split(), server.into_split());
    let up = copy(client.0, server.1, does.clone(), Does::Mutes, meddling);
    let down = copy(server.0, client.1, does.clone(), Does::Cuts, meddling);
    tokio::select! {
        _ = does.wait_for(|does| *does == Does::Cuts) => {}
        () = async { tokio::join!(up, down); } => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    does: watch::Receiver<Does>,
    not_while: Does,
    meddling: &Mutex<Meddling>,
) {
    let mut bytes = [0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let passed = meddling.lock().unwrap().meddle(&bytes[..read]);
        if *does.borrow() != not_while && to.write_all(&passed).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
