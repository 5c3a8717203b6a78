//! The task that owns a session: it sends callers' requests, distributes received messages, sends
//! keep-alives, renews keys, and resumes the session when the connection is lost.

use std::time::Duration;

use countersign_net::content::ContentError;
use countersign_proto::session::client::Resumption;
use countersign_proto::session::{Goodbye, SessionRefusal, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use crate::calls::Callers;
use crate::connection::Connection;
use crate::connector::{Connector, Opened};
use crate::platform::{self, Reader, Writer};
use crate::requests::Request;

/// Unsent bytes above which no further requests are accepted: a slow site slows down callers.
const MAX_UNSENT: usize = 256 * 1024;
/// Bytes that are read from the socket at a time.
const READ_SIZE: usize = 64 * 1024;
/// How long a client still reads from a site to which it cannot write any more.
const FINAL_READ_TIMEOUT: Duration = Duration::from_secs(2);
/// Keep-alives per idle limit of the site.
const KEEP_ALIVES_PER_IDLE_LIMIT: u32 = 3;

pub(crate) struct SessionTask {
    pub(crate) callers: Callers<Request>,
    /// Resumes the session.
    pub(crate) connector: Connector,
    /// The last welcome, for the handle.
    pub(crate) welcome: watch::Sender<Welcome>,
    /// What the handle gives to another program to resume the session.
    pub(crate) resumption: watch::Sender<Resumption>,
}

/// Why a connection ended.
enum End {
    Goodbye(Goodbye),
    Lost,
}

impl End {
    fn content_error(&self) -> ContentError {
        match self {
            Self::Goodbye(reason) => ContentError::Ended(*reason),
            Self::Lost => ContentError::Lost,
        }
    }

    /// Whether the session is suspended and may be resumed over a new connection.
    fn suspends(&self) -> bool {
        matches!(self, Self::Lost | Self::Goodbye(Goodbye::Idle))
    }
}

impl SessionTask {
    /// Runs until either side ends the session. When the connection is lost, pending requests fail,
    /// and the session is resumed over a new connection if the site still has it.
    pub(crate) async fn run(mut self, opened: Opened) {
        let mut opened = Some(opened);
        let mut end = End::Lost;
        while let Some(now) = opened.take() {
            let resumption = now.logged_in.resumption.clone();
            end = self.serve(now).await;
            if end.suspends() {
                opened = self.resume(resumption).await;
            }
        }
        if let End::Goodbye(reason) = end {
            let _ = self.callers.ended.set(reason);
        }
        self.callers.requests.close();
        while let Some(request) = self.callers.requests.recv().await {
            request.fail(end.content_error());
        }
    }

    async fn resume(&mut self, resumption: Resumption) -> Option<Opened> {
        let opened = self.connector.resume(resumption).await?;
        self.welcome.send_replace(opened.logged_in.welcome.clone());
        self.resumption
            .send_replace(opened.logged_in.resumption.clone());
        Some(opened)
    }

    async fn serve(&mut self, opened: Opened) -> End {
        let mut connection = Connection::new(opened.logged_in.session, opened.inbox);
        let idle = opened.logged_in.welcome.idle_limit;
        let keep_alive = Duration::from_millis(u64::from(idle / KEEP_ALIVES_PER_IDLE_LIMIT));
        let exchanged = self.exchange(opened.halves, &mut connection, keep_alive);
        let end = exchanged.await.unwrap_or(End::Lost);
        connection.fail(end.content_error());
        end
    }

    async fn exchange(
        &mut self,
        (mut reader, mut writer): (Reader, Writer),
        connection: &mut Connection,
        keep_alive: Duration,
    ) -> Result<End, SessionRefusal> {
        let (mut out, mut sent) = (Vec::new(), 0);
        let mut last_sent = platform::now();
        loop {
            // The inbox may already contain data that arrived with the welcome.
            if let Some(reason) = connection.receive(&self.callers.events)? {
                return Ok(End::Goodbye(reason));
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
                return Ok(End::Goodbye(Goodbye::Done));
            }
            let renewal = connection.renewal.due(&connection.session);
            let renew_at = renewal.unwrap_or_else(platform::now);
            let accepts_requests = !connection.closing
                && unsent.len() + connection.session.queued_bytes() < MAX_UNSENT;
            tokio::select! {
                read = reader.read_buf(connection.inbox.tail(READ_SIZE)) => match read {
                    Ok(0) | Err(_) => return Ok(End::Lost),
                    Ok(_) => {}
                },
                wrote = writer.write(unsent), if !unsent.is_empty() => match wrote {
                    Ok(0) | Err(_) => return self.read_final(&mut reader, connection).await,
                    Ok(bytes) => {
                        sent += bytes;
                        last_sent = platform::now();
                    }
                },
                moved = connection.streams.next() => {
                    connection.streams.settle(moved, &mut connection.session)?;
                }
                request = self.callers.requests.recv(), if accepts_requests => {
                    let mut next = Some(request.unwrap_or(Request::Close));
                    // Further waiting requests go into the same packets.
                    while let Some(request) = next.filter(|_| !connection.closing) {
                        connection.handle_request(request)?;
                        next = self.callers.requests.try_recv().ok();
                    }
                }
                () = platform::sleep_until(renew_at), if renewal.is_some() => {}
                () = platform::sleep_until(last_sent + keep_alive), if !keep_alive.is_zero() => {
                    connection.session.keep_alive()?;
                    last_sent = platform::now();
                }
            }
        }
    }

    /// After a failed write, reads what the site has sent before, which may contain its reason.
    async fn read_final(
        &self,
        reader: &mut Reader,
        connection: &mut Connection,
    ) -> Result<End, SessionRefusal> {
        let reading = async {
            while let Ok(1..) = reader.read_buf(connection.inbox.tail(READ_SIZE)).await {
                if let Some(reason) = connection.receive(&self.callers.events)? {
                    return Ok(End::Goodbye(reason));
                }
            }
            Ok(End::Lost)
        };
        let outcome = platform::timeout(FINAL_READ_TIMEOUT, reading).await;
        outcome.unwrap_or(Ok(End::Lost))
    }
}
