//! Setting a pass phrase over a sealed channel, in a WebSocket of the HTTP listener
//! (`docs/protocol/device.md`, Sealed channel). The dialog and its limits are those of the device port.
//!
//! ```text
//! WebSocket --> client's key --> site's answer --> [key events] registration --> closed
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::access::Channel;
use countersign_core::engine::RegistrationOrigin;
use countersign_core::lockdown::Activity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_net::sealed_stream::{SealedStream, client_key};
use countersign_proto::enrolment::passphrase::RegistrationRequest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::debug;

use super::enrolling::{self, FirstLine};
use super::{late, registering};
use crate::admission::Admitted;
use crate::clock;
use crate::handshake::{Refused, in_time};
use crate::runtime::shared::Shared;

/// Serves one connection until it ends.
pub(crate) async fn serve(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send,
    peer: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
) {
    let began = Instant::from_std(clock::monotonic());
    let mut evicted = Box::pin(admitted.evicted());
    let asked = Box::pin(request(socket, &admitted, &shared));
    let asked = Box::pin(in_time(asked, &mut evicted, &shared))
        .await
        .flatten();
    match asked {
        Ok((stream, request)) => {
            let (exporter, origin) = (
                stream.enrolment_exporter(),
                RegistrationOrigin::http(admitted.source(), admitted.client().is_some()),
            );
            let dialog =
                registering::register(stream, &exporter, &request, origin, evicted, &shared);
            Box::pin(dialog).await;
        }
        Err(refused) => {
            debug!(%peer, %refused, "refused on a sealed channel");
            refused.note(&admitted, Channel::Http, &shared);
            if !matches!(refused, Refused::Ended) {
                tokio::time::sleep_until(began + shared.limits().refusal_time).await;
            }
        }
    }
}

/// Opens the channel and reads the request.
async fn request<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: S,
    admitted: &Admitted,
    shared: &Shared,
) -> Result<(SealedStream<S>, Box<RegistrationRequest>), Refused> {
    // Checked before the channel is opened, which is public-key work.
    let asked_for = [Activity::PassphraseTicket, Activity::FirstAdmin];
    if !asked_for
        .into_iter()
        .any(|asked_for| shared.site.permits(asked_for))
    {
        return Err(Refused::Lockdown);
    }
    let mut stream = open(socket, admitted, shared).await?;
    let line = enrolling::first_line(&mut stream, shared).await;
    match late(line, shared).await? {
        FirstLine::Registration(request) => Ok((stream, request)),
        // A page has no key of a device.
        FirstLine::Enrolment(_) => Err(Refused::NotRegistration),
    }
}

/// Opens the channel. The key is received without a turn at public-key work: a slow client must not hold one.
async fn open<S: AsyncRead + AsyncWrite + Unpin + Send>(
    mut socket: S,
    admitted: &Admitted,
    shared: &Shared,
) -> Result<SealedStream<S>, Refused> {
    let key = client_key(&mut socket).await?;
    admitted.first_flight_received();
    let keys = shared.site.unsealed_keys().ok_or(Refused::Sealed)?;
    let network = admitted.source().network();
    let turn = shared.logins.turn(network).await.ok_or(Refused::Busy)?;
    let answered = key.answer(keys.key.signing(), &mut SystemEntropy);
    drop(turn);
    let (channel, answer) =
        answered.map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))?;
    Ok(SealedStream::answer(socket, channel, &answer).await?)
}
