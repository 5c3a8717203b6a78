//! A device connection: the handle, and the task that owns the stream.

use std::collections::HashMap;
use std::time::Duration;

use countersign_net::tls::TlsStream;
use countersign_proto::device::DeviceWelcome;
use countersign_proto::lines::{put_operation, read_event, read_outcome};
use countersign_proto::operation::{Operation, Outcome};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Map;
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, error::SendError};
use tokio::task::JoinHandle;

use super::connecting::DeviceLines;
use crate::calls::{Callers, Calls};
use crate::error::CallError;
use crate::platform;
use crate::requests::{CallRequest, ReplyTo};
use crate::results::{Events, Results};

/// The longest line that is received, in bytes: more than a page of the longest list needs.
const MAX_RECEIVED_LINE: usize = 16 << 20;
/// Lines that wait to be sent. Above that, requests wait.
const MAX_WAITING_LINES: usize = 64;
/// Keep-alives per idle time of the site.
const KEEP_ALIVES_PER_IDLE_TIME: u32 = 3;
/// The time for the last lines and the end of TLS.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// The id of operations that keep the connection alive. Callers' ids begin with 1.
const KEEP_ALIVE: u64 = 0;

/// An open connection of a device. Many tasks may call it concurrently. It sends an operation when
/// nothing else was sent for a third of the idle time, so that the site does not close it.
pub struct DeviceConnection {
    calls: Calls<CallRequest>,
    welcome: DeviceWelcome,
    task: JoinHandle<()>,
}

impl DeviceConnection {
    /// Takes the stream after the welcome.
    pub(super) fn over(stream: TlsStream<TcpStream>, welcome: DeviceWelcome) -> Self {
        let (calls, callers) = Calls::new();
        let (reader, writer) = tokio::io::split(stream);
        let (outgoing, waiting) = mpsc::channel(MAX_WAITING_LINES);
        let task = Task {
            callers,
            welcome,
            pending: HashMap::new(),
            outgoing,
        };
        let lines = DeviceLines::new(reader, MAX_RECEIVED_LINE);
        let task = tokio::spawn(task.run(lines, tokio::spawn(write(writer, waiting))));
        Self {
            calls,
            welcome,
            task,
        }
    }

    /// The limits that the site announced.
    #[must_use]
    pub fn limits(&self) -> DeviceWelcome {
        self.welcome
    }

    /// Runs an operation and deserialises its result.
    ///
    /// # Errors
    /// [`CallError::Failed`] if the operation failed; another error if there is no result.
    pub async fn call<P: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        group: &str,
        command: &str,
        params: &P,
    ) -> Result<R, CallError> {
        self.calls.call(group, command, params).await
    }

    /// Runs an operation and returns its result unchanged, whether it succeeded or not.
    ///
    /// # Errors
    /// [`CallError::Lost`] if the connection has ended, [`CallError::TooLong`] if the site would
    /// not read the operation.
    pub async fn outcome(
        &self,
        group: &str,
        command: &str,
        params: Box<RawValue>,
    ) -> Result<Outcome, CallError> {
        self.calls.outcome(group, command, params).await
    }

    /// Sends several operations at once. Their results arrive in any order.
    ///
    /// # Errors
    /// [`CallError::Lost`] if the connection has ended.
    pub async fn send<'a>(
        &self,
        operations: impl IntoIterator<Item = (&'a str, &'a str, Box<RawValue>)>,
    ) -> Result<Results, CallError> {
        self.calls.send(operations).await
    }

    /// Subscribes to the events of this connection from now on. They end with the connection.
    #[must_use]
    pub fn events(&self) -> Events {
        self.calls.events()
    }

    /// Closes the connection after the operations that were sent before.
    ///
    /// # Errors
    /// [`CallError::Lost`] if the connection had ended already.
    pub async fn close(self) -> Result<(), CallError> {
        self.calls.request(CallRequest::Close).await?;
        self.task.await.map_err(|_| CallError::Lost)
    }
}

/// Sends lines, and ends the stream when there are no more.
async fn write(
    mut writer: WriteHalf<TlsStream<TcpStream>>,
    mut waiting: mpsc::Receiver<Vec<u8>>,
) -> std::io::Result<()> {
    while let Some(line) = waiting.recv().await {
        writer.write_all(&line).await?;
        if waiting.is_empty() {
            writer.flush().await?;
        }
    }
    writer.shutdown().await
}

struct Task {
    callers: Callers<CallRequest>,
    welcome: DeviceWelcome,
    /// Operations without a result yet.
    pending: HashMap<u64, ReplyTo>,
    outgoing: mpsc::Sender<Vec<u8>>,
}

impl Task {
    /// Runs until either side closes the connection.
    async fn run(mut self, lines: DeviceLines, writer: JoinHandle<std::io::Result<()>>) {
        self.exchange(lines).await;
        let Self {
            mut callers,
            pending,
            outgoing,
            ..
        } = self;
        callers.requests.close();
        drop(outgoing);
        let stop = writer.abort_handle();
        if tokio::time::timeout(GOODBYE_TIMEOUT, writer).await.is_err() {
            stop.abort();
        }
        for reply in pending.into_values() {
            let _ = reply.send(Err(CallError::Lost));
        }
        while let Some(request) = callers.requests.recv().await {
            if let CallRequest::Call(_, reply) = request {
                let _ = reply.send(Err(CallError::Lost));
            }
        }
    }

    async fn exchange(&mut self, mut lines: DeviceLines) {
        let idle = Duration::from_secs(self.welcome.idle_seconds.into());
        let keep_alive = idle / KEEP_ALIVES_PER_IDLE_TIME;
        let most = usize::try_from(self.welcome.in_flight).unwrap_or(usize::MAX);
        let mut last_sent = platform::now();
        let mut is_unanswered = false;
        loop {
            tokio::select! {
                line = lines.next() => match line {
                    Ok(Some(line)) => {
                        is_unanswered = false;
                        self.receive(line);
                    }
                    // A line that is too long has no known end.
                    Ok(None) | Err(_) => return,
                },
                next = next(&self.outgoing, &mut self.callers.requests), if self.pending.len() < most => {
                    match next {
                        Ok(Some(CallRequest::Call(operation, reply))) => {
                            self.submit(&operation, reply);
                            last_sent = platform::now();
                        }
                        Ok(Some(CallRequest::Close) | None) | Err(SendError(())) => return,
                    }
                }
                () = tokio::time::sleep_until(last_sent + keep_alive) => {
                    // Such as behind a router that forgot the connection. A site with all places taken
                    // by operations reads no further one.
                    if is_unanswered && self.pending.len() < most {
                        return;
                    }
                    is_unanswered = true;
                    self.keep_alive();
                    last_sent = platform::now();
                }
            }
        }
    }

    /// Passes a result or an event on. A line that is neither is ignored: a later site may send
    /// more.
    fn receive(&mut self, line: &[u8]) {
        if let Ok((outcome, _)) = read_outcome(line) {
            if let Some(reply) = self.pending.remove(&outcome.id) {
                let _ = reply.send(Ok(outcome));
            }
        } else if let Ok(event) = read_event(line) {
            let _ = self.callers.events.send(event);
        }
    }

    fn submit(&mut self, operation: &Operation, reply: ReplyTo) {
        let mut line = Vec::new();
        if let Err(error) = put_operation(&mut line, operation, false) {
            let _ = reply.send(Err(CallError::Params(error)));
            return;
        }
        let (length, most) = (line.len() - 1, self.welcome.line_bytes);
        if length > usize::try_from(most).unwrap_or(usize::MAX) {
            let _ = reply.send(Err(CallError::TooLong { length, most }));
            return;
        }
        // There is room: `next` has waited for it. If the writer has ended, so has the connection.
        if self.outgoing.try_send(line).is_err() {
            let _ = reply.send(Err(CallError::Lost));
            return;
        }
        self.pending.insert(operation.id, reply);
    }

    /// Sends an operation whose result tells only that the site is there.
    fn keep_alive(&self) {
        let Ok(params) = to_raw_value(&Map::new()) else {
            return;
        };
        let operation = Operation::new(KEEP_ALIVE, "site", "status", params);
        let mut line = Vec::new();
        if put_operation(&mut line, &operation, false).is_ok() {
            // Without room, other lines wait and keep the connection alive.
            let _ = self.outgoing.try_send(line);
        }
    }
}

/// Waits for room for a line and then for the next request. No request is lost if the future is
/// dropped.
async fn next(
    outgoing: &mpsc::Sender<Vec<u8>>,
    requests: &mut mpsc::Receiver<CallRequest>,
) -> Result<Option<CallRequest>, SendError<()>> {
    drop(outgoing.reserve().await?);
    Ok(requests.recv().await)
}
