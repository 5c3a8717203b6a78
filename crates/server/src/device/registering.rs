//! Setting a pass phrase with a ticket: a challenge, a record, and a reply. Any refusal is silence.

use std::io;
use std::time::Duration;

use countersign_core::engine::{Begun, NotEnrolled, RegistrationOrigin, StartedRegistration};
use countersign_crypto::secret::SecretBytes;
use countersign_proto::enrolment::Exporter;
use countersign_proto::enrolment::passphrase::{
    AwaitingRecord, RecordStep, RegistrationRecord, RegistrationReply, RegistrationRequest,
};
use countersign_proto::enrolment::server::RequestRefused;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info};

use crate::clock;
use crate::runtime::shared::Shared;

/// Bytes read from the stream at a time.
const READ_SIZE: usize = 1_024;
/// The time from the challenge to the end of the record. A slow device stretches the pass phrase
/// within it.
const RECORD_TIMEOUT: Duration = Duration::from_secs(60);

/// Why no record came.
#[derive(Debug, thiserror::Error)]
enum NoRecord {
    /// The client went away, took too long, or was evicted: the ticket stays as it was.
    #[error("the client did not send a record")]
    Missing,
    /// The line is no record.
    #[error(transparent)]
    Malformed(RequestRefused),
}

/// Runs the dialog after its first line, on a connection with this exporter.
pub(super) async fn register(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    exporter: &Exporter,
    request: &RegistrationRequest,
    origin: RegistrationOrigin,
    evicted: impl Future<Output = ()> + Send,
    shared: &Shared,
) {
    let began = Instant::from_std(clock::monotonic());
    let reply = match begin(exporter, request, origin, shared).await {
        Some(Begun::Repeated(reply)) => reply,
        Some(Begun::Started(started)) => {
            let record = record(&mut stream, &started, evicted, shared).await;
            let began = Instant::from_std(clock::monotonic());
            let Some(reply) = finish(record, &started, shared).await else {
                return sleep_until(began + shared.limits().refusal_time).await;
            };
            reply
        }
        None => return sleep_until(began + shared.limits().refusal_time).await,
    };
    let (id, repeated) = (&reply.id, reply.repeated);
    info!(account = %id, repeated, source = %origin.source, "pass phrase set with a ticket");
    let limit = shared.limits().unauthenticated_timeout;
    let sent = timeout(limit, send(&mut stream, &reply)).await;
    if !matches!(sent, Ok(Ok(()))) {
        debug!("the reply to a registration was not sent; the client can repeat its request");
    }
}

async fn begin(
    exporter: &Exporter,
    request: &RegistrationRequest,
    origin: RegistrationOrigin,
    shared: &Shared,
) -> Option<Begun> {
    let proof = async {
        // Token and id are right. If the queue is full, the proof is verified without a turn: no
        // proof would revoke the ticket.
        let turn = shared.logins.turn(origin.source.network()).await;
        let proven = request.verify(exporter).ok();
        drop(turn);
        proven
    };
    let begun = shared
        .site
        .begin_registration(request, proof, origin, clock::now());
    reported(begun.await)
}

/// Sends the challenge and reads the record, and nothing after it.
async fn record(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin + Send),
    started: &StartedRegistration,
    evicted: impl Future<Output = ()> + Send,
    shared: &Shared,
) -> Result<RegistrationRecord, NoRecord> {
    let mut stopping = shared.stopping.clone();
    let line = started.challenge().to_line();
    let exchange = async {
        stream
            .write_all(&line)
            .await
            .map_err(|_| NoRecord::Missing)?;
        stream.flush().await.map_err(|_| NoRecord::Missing)?;
        read(stream).await
    };
    tokio::select! {
        record = timeout(RECORD_TIMEOUT, exchange) => record.unwrap_or(Err(NoRecord::Missing)),
        () = evicted => Err(NoRecord::Missing),
        _ = stopping.wait_for(|stopping| *stopping) => Err(NoRecord::Missing),
    }
}

async fn read(
    stream: &mut (impl AsyncRead + Unpin + Send),
) -> Result<RegistrationRecord, NoRecord> {
    let mut awaiting = AwaitingRecord::new();
    loop {
        let room = awaiting.room().min(READ_SIZE);
        let mut bytes = Vec::with_capacity(room);
        let mut limited = (&mut *stream).take(room as u64);
        let read = limited.read_buf(&mut bytes).await;
        let read = read.map_err(|_| NoRecord::Missing)?;
        let bytes = SecretBytes::from(bytes);
        if read == 0 {
            return Err(NoRecord::Missing);
        }
        match awaiting.receive(bytes.expose()) {
            Ok(RecordStep::More(more)) => awaiting = more,
            Ok(RecordStep::Record(record)) => return Ok(*record),
            Err(refused) => return Err(NoRecord::Malformed(refused)),
        }
    }
}

async fn finish(
    record: Result<RegistrationRecord, NoRecord>,
    started: &StartedRegistration,
    shared: &Shared,
) -> Option<RegistrationReply> {
    match record {
        Ok(record) => {
            let finished = shared
                .site
                .finish_registration(started, record, clock::now());
            reported(finished.await)
        }
        Err(problem) => {
            debug!(%problem, "a registration ended without a record");
            if matches!(problem, NoRecord::Malformed(_)) {
                let abandoned = shared.site.abandon_registration(started, clock::now());
                reported(abandoned.await);
            }
            None
        }
    }
}

fn reported<T>(result: Result<T, NotEnrolled>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(NotEnrolled::Refused) => None,
        Err(NotEnrolled::Store(trouble)) => {
            error!(%trouble, "a pass phrase could not be set because the store failed");
            None
        }
    }
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin + Send),
    reply: &RegistrationReply,
) -> io::Result<()> {
    stream.write_all(&reply.to_line()).await?;
    stream.shutdown().await
}
