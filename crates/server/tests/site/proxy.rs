//! A man in the middle between client and site, which forwards, changes, records or blocks data.

use std::sync::{Arc, Mutex};

use countersign_proto::risp::{self, Command, MaxLength, Reader, Value};
use countersign_proto::uri::SiteUri;
use countersign_testkit::harness::ServedSite;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// The handling of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    /// Discards data from clients.
    Mute,
    /// Closes every connection, also new ones.
    Cut,
}

pub(crate) struct Proxy {
    /// The URI of the site through the proxy.
    pub(crate) uri: SiteUri,
    mode: Arc<watch::Sender<Mode>>,
    cut_clients: Arc<Notify>,
    tampering: Arc<Mutex<Tampering>>,
}

/// Changes the value of a command.
pub(crate) type Change = Box<dyn Fn(&mut Vec<u8>) + Send>;

/// Changes and recordings of plaintext commands.
#[derive(Default)]
struct Tampering {
    changes: Vec<(Command, Change)>,
    records: Vec<(Command, Arc<Mutex<Vec<u8>>>)>,
}

impl Tampering {
    /// Changes the values of the commands in `bytes`. The plaintext commands in it are complete.
    fn tamper(&mut self, bytes: &[u8]) -> Vec<u8> {
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
        let mode = Arc::new(watch::Sender::new(Mode::Forward));
        let (site, mode_changes) = (served.uri.address(), mode.clone());
        let cut_clients = Arc::new(Notify::new());
        let cut = cut_clients.clone();
        let tampering = Arc::new(Mutex::new(Tampering::default()));
        let tampered = tampering.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (site, mode_changes, cut) =
                    (site.clone(), mode_changes.subscribe(), cut.clone());
                let tampered = tampered.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(site).await.unwrap();
                    let server = server.into_std().unwrap();
                    // A second handle keeps the connection to the site open when the first is dropped.
                    let site_side = server.try_clone().unwrap();
                    let server = TcpStream::from_std(server).unwrap();
                    tokio::select! {
                        () = pass_on(client, server, mode_changes, &tampered) => {}
                        () = cut.notified() => {
                            std::future::pending::<()>().await;
                        }
                    }
                    drop(site_side);
                });
            }
        });
        Self {
            uri,
            mode,
            cut_clients,
            tampering,
        }
    }

    /// Changes the value of every such plaintext command, of either side.
    pub(crate) fn change(&self, command: Command, change: Change) {
        self.tampering
            .lock()
            .unwrap()
            .changes
            .push((command, change));
    }

    /// Records the value of the last such plaintext command.
    pub(crate) fn record(&self, command: Command) -> Arc<Mutex<Vec<u8>>> {
        let record = Arc::new(Mutex::new(Vec::new()));
        let records = &mut self.tampering.lock().unwrap().records;
        records.push((command, record.clone()));
        record
    }

    /// Discards data from clients from now on.
    pub(crate) fn mute(&self) {
        self.mode.send_replace(Mode::Mute);
    }

    /// Closes every connection and accepts no new one.
    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Closes the clients' side of existing connections; the site's side stays open.
    pub(crate) fn cut_clients(&self) {
        self.cut_clients.notify_waiters();
    }

    /// Forwards connections again.
    pub(crate) fn mend(&self) {
        self.mode.send_replace(Mode::Forward);
    }
}

async fn pass_on(
    client: TcpStream,
    server: TcpStream,
    mut mode: watch::Receiver<Mode>,
    tampering: &Mutex<Tampering>,
) {
    let (client, server) = (client.into_split(), server.into_split());
    let up = copy(client.0, server.1, mode.clone(), Mode::Mute, tampering);
    let down = copy(server.0, client.1, mode.clone(), Mode::Cut, tampering);
    tokio::select! {
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
        () = async { tokio::join!(up, down); } => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mode: watch::Receiver<Mode>,
    not_while: Mode,
    tampering: &Mutex<Tampering>,
) {
    let mut bytes = [0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let passed = tampering.lock().unwrap().tamper(&bytes[..read]);
        if *mode.borrow() != not_while && to.write_all(&passed).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
