//! The task that owns a session's socket: it seals what callers send and hands out what arrives.

use std::collections::HashMap;

use countersign_proto::operation::{Event, Operation, Outcome};
use countersign_proto::session::client::{FromSite, Session};
use countersign_proto::session::{Goodbye, Inbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc};

use crate::error::CallError;

/// Where the result of an operation goes.
pub(crate) type ReplyTo = mpsc::UnboundedSender<Result<Outcome, CallError>>;

/// What a caller asks of the task.
pub(crate) enum Ask {
    Call(Operation, ReplyTo),
    Close,
}

/// Unsent bytes past which no further operations are taken: a slow site slows its callers.
const HIGH_WATER: usize = 256 * 1024;
/// Bytes asked of the socket at a time.
const READ_AT_A_TIME: usize = 64 * 1024;

pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    pub(crate) inbox: Inbox,
    pub(crate) session: Session,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) events: broadcast::Sender<Event>,
}

enum Over {
    Goodbye(Goodbye),
    Lost,
}

impl Connection {
    /// Runs until either side ends the session; every open call then learns why.
    pub(crate) async fn run(self) {
        let Self {
            socket,
            mut inbox,
            mut session,
            mut asks,
            events,
        } = self;
        let mut waiting: HashMap<u64, ReplyTo> = HashMap::new();
        let over = serve(
            socket,
            &mut inbox,
            &mut session,
            &mut asks,
            &events,
            &mut waiting,
        )
        .await;
        let why = || match over {
            Over::Goodbye(reason) => CallError::Ended(reason),
            Over::Lost => CallError::Lost,
        };
        for (_, reply) in waiting.drain() {
            let _ = reply.send(Err(why()));
        }
        asks.close();
        while let Some(ask) = asks.recv().await {
            if let Ask::Call(_, reply) = ask {
                let _ = reply.send(Err(why()));
            }
        }
    }
}

async fn serve(
    socket: TcpStream,
    inbox: &mut Inbox,
    session: &mut Session,
    asks: &mut mpsc::Receiver<Ask>,
    events: &broadcast::Sender<Event>,
    waiting: &mut HashMap<u64, ReplyTo>,
) -> Over {
    let (mut reader, mut writer) = socket.into_split();
    let mut out = Vec::new();
    let mut sent = 0;
    let mut closing = false;
    let mut got = Vec::new();
    loop {
        // What came with the welcome is read first, then whatever arrives.
        let Ok(used) = session.receive(inbox.unread(), &mut got) else {
            return Over::Lost;
        };
        inbox.consume(used);
        for message in got.drain(..) {
            match message {
                FromSite::Outcome(outcome) => {
                    if let Some(reply) = waiting.remove(&outcome.id) {
                        let _ = reply.send(Ok(outcome));
                    }
                }
                FromSite::Event(event) => {
                    let _ = events.send(event);
                }
                FromSite::Goodbye(reason) => return Over::Goodbye(reason),
            }
        }
        if closing && sent == out.len() {
            let _ = writer.shutdown().await;
            return Over::Goodbye(Goodbye::Done);
        }
        let unsent = out.get(sent..).unwrap_or_default();
        tokio::select! {
            read = reader.read_buf(inbox.tail(READ_AT_A_TIME)) => match read {
                Ok(0) | Err(_) => return Over::Lost,
                Ok(_) => {}
            },
            wrote = writer.write(unsent), if !unsent.is_empty() => match wrote {
                Ok(0) | Err(_) => return Over::Lost,
                Ok(bytes) => sent += bytes,
            },
            ask = asks.recv(), if !closing && unsent.len() < HIGH_WATER => {
                if sent == out.len() {
                    out.clear();
                    sent = 0;
                }
                let mut next = ask;
                // Whatever else is ready goes into the same packets.
                loop {
                    match next {
                        Some(Ask::Call(operation, reply)) => {
                            if session.send_operation(&operation).is_err() {
                                return Over::Lost;
                            }
                            waiting.insert(operation.id, reply);
                        }
                        Some(Ask::Close) | None => {
                            closing = true;
                            if session.send_goodbye(Goodbye::Done).is_err() {
                                return Over::Lost;
                            }
                        }
                    }
                    if closing {
                        break;
                    }
                    match asks.try_recv() {
                        Ok(ask) => next = Some(ask),
                        Err(_) => break,
                    }
                }
                if session.flush(&mut out).is_err() {
                    return Over::Lost;
                }
            }
        }
    }
}
