//! The enrolment dialog over its connection: one request, and one reply or none.

use std::io;

use countersign_core::engine::{Enrolled, NotEnrolled};
use countersign_crypto::secret::SecretBytes;
use countersign_proto::enrolment::passphrase::RegistrationRequest;
use countersign_proto::enrolment::server::{AwaitingRequest, RequestStep};
use countersign_proto::enrolment::{EnrolmentReply, EnrolmentRequest, Exporter};
use countersign_proto::site_identity::{KeyEventsRequest, MAX_EVENTS_IN_LINE};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info};

use crate::admission::Admitted;
use crate::clock;
use crate::handshake::{Refused, Stream};
use crate::runtime::shared::Shared;

/// Bytes read from the stream at a time.
const READ_SIZE: usize = 1_024;

/// What a client without a key asks for.
pub(super) enum FirstLine {
    Enrolment(Box<EnrolmentRequest>),
    Registration(Box<RegistrationRequest>),
}

/// Reads the first line and nothing after it. Before it the client may request key events, once.
pub(super) async fn first_line(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin + Send),
    shared: &Shared,
) -> Result<FirstLine, Refused> {
    let mut awaiting = AwaitingRequest::new();
    loop {
        let room = awaiting.room().min(READ_SIZE);
        let mut bytes = Vec::with_capacity(room);
        let mut limited = (&mut *stream).take(room as u64);
        let read = limited.read_buf(&mut bytes).await?;
        // The bytes hold the token, so they are erased after use.
        let bytes = SecretBytes::from(bytes);
        if read == 0 {
            return Err(awaiting.closed().into());
        }
        match awaiting.receive(bytes.expose())? {
            RequestStep::More(more) => awaiting = more,
            RequestStep::Request(request) => return Ok(FirstLine::Enrolment(request)),
            RequestStep::Registration(request) => return Ok(FirstLine::Registration(request)),
            RequestStep::KeyEvents(request, next) => {
                let settings = shared.login_settings().ok_or(Refused::Sealed)?;
                let page = settings.key_events.page(request.0, MAX_EVENTS_IN_LINE);
                stream.write_all(&KeyEventsRequest::answer(page)).await?;
                stream.flush().await?;
                awaiting = next;
            }
        }
    }
}

/// Enrols the device and sends the reply. It runs to its end also if the client goes away, because
/// a client that sent a token must not be able to keep it unused.
pub(super) async fn enrol(
    mut stream: Stream,
    request: &EnrolmentRequest,
    admitted: &Admitted,
    shared: &Shared,
) {
    let began = Instant::from_std(clock::monotonic());
    let replied = match stream.enrolment_exporter() {
        Ok(exporter) => enrolled(request, &exporter, admitted, shared).await,
        Err(problem) => {
            error!(%problem, "a TLS connection has no exporter");
            None
        }
    };
    let Some(reply) = replied else {
        tokio::time::sleep_until(began + shared.limits().refusal_time).await;
        return;
    };
    let limit = shared.limits().unauthenticated_timeout;
    let sent = timeout(limit, send(&mut stream, &reply)).await;
    if !matches!(sent, Ok(Ok(()))) {
        debug!("the reply to an enrolment was not sent; the device can repeat its request");
    }
}

/// Returns the reply; `None` if the enrolment was refused.
async fn enrolled(
    request: &EnrolmentRequest,
    exporter: &Exporter,
    admitted: &Admitted,
    shared: &Shared,
) -> Option<EnrolmentReply> {
    let source = admitted.source();
    let proof = async {
        // Token and id are right. If the queue is full, the proof is verified without a turn: no
        // proof would revoke the ticket. A ticket causes one verification, and one for each
        // repetition by its own key.
        let turn = shared.logins.turn(source.network()).await;
        let proven = request.verify(exporter).ok();
        drop(turn);
        proven
    };
    let Enrolled { device, repeated } = match shared
        .site
        .enrol(request, proof, source, clock::now())
        .await
    {
        Ok(enrolled) => enrolled,
        Err(NotEnrolled::Refused) => return None,
        Err(NotEnrolled::Store(trouble)) => {
            error!(%trouble, "a device could not be enrolled because the store failed");
            return None;
        }
    };
    info!(%device, repeated, %source, "device enrolled");
    let address = shared.site.endpoints().device?;
    let site = shared.site.id();
    EnrolmentReply::new(&device.to_string(), &address.host, address.port, site)
        .inspect_err(|problem| error!(%problem, "the address of the device port is invalid"))
        .ok()
}

async fn send(stream: &mut Stream, reply: &EnrolmentReply) -> io::Result<()> {
    stream.write_all(&reply.to_line()).await?;
    stream.shutdown().await
}
