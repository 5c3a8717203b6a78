//! Somebody between a client and a site: passes bytes on until told otherwise.

use std::sync::Arc;

use countersign_proto::uri::SiteUri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::founded::Founded;

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
}

impl Proxy {
    pub(crate) async fn before(founded: &Founded) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let uri = SiteUri::new("127.0.0.1", port, *founded.uri.site_key()).unwrap();
        let does = Arc::new(watch::Sender::new(Does::PassesOn));
        let (site, told) = (founded.uri.address(), does.clone());
        let cut_clients = Arc::new(Notify::new());
        let cut = cut_clients.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (site, told, cut) = (site.clone(), told.subscribe(), cut.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(site).await.unwrap();
                    let server = server.into_std().unwrap();
                    // A second handle keeps the connection to the site open when the first is dropped.
                    let kept = server.try_clone().unwrap();
                    let server = TcpStream::from_std(server).unwrap();
                    tokio::select! {
                        () = pass_on(client, server, told) => {}
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
        }
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

async fn pass_on(client: TcpStream, server: TcpStream, mut does: watch::Receiver<Does>) {
    let (client, server) = (client.into_split(), server.into_split());
    let up = copy(client.0, server.1, does.clone(), Does::Mutes);
    let down = copy(server.0, client.1, does.clone(), Does::Cuts);
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
) {
    let mut bytes = [0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if *does.borrow() != not_while && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
