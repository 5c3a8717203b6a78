//! The task that owns a session: it seals what callers send, hands out what arrives, keeps the session
//! alive and its keys fresh, and resumes it when the connection is lost.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countersign_net::content::Broken;
use countersign_proto::operation::Event;
use countersign_proto::session::client::Resumption;
use countersign_proto::session::{Goodbye, SessionRefusal, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use crate::asks::Ask;
use crate::connection::Connection;
use crate::connector::{Connector, Opened};

/// Unsent bytes past which no further operations are taken: a slow site slows its callers.
const HIGH_WATER: usize = 256 * 1024;
/// Bytes asked of the socket at a time.
const READ_AT_A_TIME: usize = 64 * 1024;
/// How long a client listens to a site that takes no more.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A session says something at least three times within the site's idle limit.
const KEEP_ALIVES: u32 = 3;

pub(crate) struct SessionTask {
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) events: broadcast::Sender<Event>,
    /// Resumes the session.
    pub(crate) connector: Connector,
    /// What is known of the session, for its handle.
    pub(crate) welcome: watch::Sender<Welcome>,
    /// Why the site ended the session, once it has.
    pub(crate) ended: Arc<OnceLock<Goodbye>>,
}

/// Why a connection is over.
enum Over {
    Goodbye(Goodbye),
    Lost,
}

impl Over {
    fn broken(&self) -> Broken {
        match self {
            Self::Goodbye(reason) => Broken::Ended(*reason),
            Self::Lost => Broken::Lost,
        }
    }

    /// Whether the session is suspended, and may go on over a new connection.
    fn suspends(&self) -> bool {
        matches!(self, Self::Lost | Self::Goodbye(Goodbye::Idle))
    }
}

impl SessionTask {
    /// Runs until either side ends the session. When the connection is lost, what was under way fails,
    /// and the session is resumed over a new one if the site still has it.
    pub(crate) async fn run(mut self, opened: Opened) {
        let mut opened = Some(opened);
        let mut over = Over::Lost;
        while let Some(now) = opened.take() {
            let resumption = now.logged_in.resumption.clone();
            over = self.serve(now).await;
            if over.suspends() {
                opened = self.resume(resumption).await;
            }
        }
        if let Over::Goodbye(reason) = over {
            let _ = self.ended.set(reason);
        }
        self.asks.close();
        while let Some(ask) = self.asks.recv().await {
            ask.fail(over.broken());
        }
    }

    async fn resume(&mut self, resumption: Resumption) -> Option<Opened> {
        let opened = self.connector.resume(resumption).await?;
        self.welcome.send_replace(opened.logged_in.welcome.clone());
        Some(opened)
    }

    async fn serve(&mut self, opened: Opened) -> Over {
        let mut connection = Connection::new(opened.logged_in.session, opened.inbox);
        let idle = opened.logged_in.welcome.idle_limit;
        let keep_alive = Duration::from_millis(u64::from(idle / KEEP_ALIVES));
        let exchanged = self.exchange(opened.socket, &mut connection, keep_alive);
        let over = exchanged.await.unwrap_or(Over::Lost);
        connection.fail(over.broken());
        over
    }

    async fn exchange(
        &mut self,
        socket: TcpStream,
        connection: &mut Connection,
        keep_alive: Duration,
    ) -> Result<Over, SessionRefusal> {
        let (mut reader, mut writer) = socket.into_split();
        let (mut out, mut sent) = (Vec::new(), 0);
        let mut said = Instant::now();
        loop {
            // What came with the welcome is read first, then whatever arrives.
            if let Some(reason) = connection.take_in(&self.events)? {
                return Ok(Over::Goodbye(reason));
            }
            connection.renewal.offer_when_due(&mut connection.session)?;
            connection.streams.pull(&connection.session);
            if sent == out.len() {
                out.clear();
                sent = 0;
            }
            connection.session.flush(&mut out)?;
            let unsent = out.get(sent..).unwrap_or_default();
            if connection.closing && unsent.is_empty() {
                let _ = writer.shutdown().await;
                return Ok(Over::Goodbye(Goodbye::Done));
            }
            let renewal = connection.renewal.due(&connection.session);
            let renew_at = renewal.unwrap_or_else(Instant::now);
            let takes_asks = !connection.closing
                && unsent.len() + connection.session.queued_bytes() < HIGH_WATER;
            tokio::select! {
                read = reader.read_buf(connection.inbox.tail(READ_AT_A_TIME)) => match read {
                    Ok(0) | Err(_) => return Ok(Over::Lost),
                    Ok(_) => {}
                },
                wrote = writer.write(unsent), if !unsent.is_empty() => match wrote {
                    Ok(0) | Err(_) => return self.last_words(&mut reader, connection).await,
                    Ok(bytes) => {
                        sent += bytes;
                        said = Instant::now();
                    }
                },
                moved = connection.streams.next() => {
                    connection.streams.settle(moved, &mut connection.session)?;
                }
                ask = self.asks.recv(), if takes_asks => {
                    let mut next = Some(ask.unwrap_or(Ask::Close));
                    // Whatever else is ready goes into the same packets.
                    while let Some(ask) = next.filter(|_| !connection.closing) {
                        connection.take(ask)?;
                        next = self.asks.try_recv().ok();
                    }
                }
                () = tokio::time::sleep_until(renew_at), if renewal.is_some() => {}
                () = tokio::time::sleep_until(said + keep_alive), if !keep_alive.is_zero() => {
                    connection.session.keep_alive()?;
                    said = Instant::now();
                }
            }
        }
    }

    /// The site takes no more: what it said before that is still to be read, and may say why.
    async fn last_words(
        &self,
        reader: &mut OwnedReadHalf,
        connection: &mut Connection,
    ) -> Result<Over, SessionRefusal> {
        let listening = async {
            while let Ok(1..) = reader.read_buf(connection.inbox.tail(READ_AT_A_TIME)).await {
                if let Some(reason) = connection.take_in(&self.events)? {
                    return Ok(Over::Goodbye(reason));
                }
            }
            Ok(Over::Lost)
        };
        let heard = tokio::time::timeout(LAST_WORDS, listening).await;
        heard.unwrap_or(Ok(Over::Lost))
    }
}
