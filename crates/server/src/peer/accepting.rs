//! Incoming connections on the peer port.
//!
//! ```text
//! admitted --> TLS --no client certificate--> request to join -----> answer, closed
//!               |                         '-> key events asked for -> answer, closed
//!               '---- client certificate ---> hello --> welcome --> link --> closed
//! ```
//!
//! Every refusal is the same: no reply, and the connection is closed after the refusal time.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::access::Channel;
use countersign_core::engine::{NewPeerConnection, NotEnrolled};
use countersign_core::lockdown::Activity;
use countersign_core::throttle::Abuse;
use countersign_crypto::sign::VerifyingKey;
use countersign_net::tls::TlsStream;
use countersign_proto::device::DeviceWelcome;
use countersign_proto::peer::{
    AwaitingFirst, BadPeerHello, FirstStep, JoinAnswer, MAX_PEER_HELLO, PeerHello, PeerWelcome,
    SealedJoin,
};
use countersign_proto::site_identity::{KeyEventsRequest, MAX_EVENTS_IN_LINE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info};

use super::PeerServer;
use super::link::{self, IDLE, MAX_IN_FLIGHT, MAX_LINE, OpenPeer};
use crate::admission::Admitted;
use crate::clock;
use crate::handshake::{self, Refused, Stream, note_malformed};
use crate::runtime::shared::{Shared, hook, log_trouble};
use crate::tls::acceptors::Acceptors;

/// Bytes read from the stream at a time.
const READ_SIZE: usize = 4 * 1_024;

/// What a client asks for, after the handshake.
enum Asked {
    Join(Stream, SealedJoin),
    KeyEvents(Stream, KeyEventsRequest),
    Connection(Stream, VerifyingKey, PeerHello),
}

/// Serves one connection until it ends.
pub(super) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    mut admitted: Admitted,
    server: Arc<PeerServer>,
    shared: Arc<Shared>,
    acceptors: Arc<Acceptors>,
) {
    let began = Instant::from_std(clock::monotonic());
    let refusal_time = shared.limits().refusal_time;
    let mut evicted = Box::pin(admitted.evicted());
    let asked = Box::pin(first_line(socket, &admitted, &shared, &acceptors));
    let asked = Box::pin(handshake::in_time(asked, &mut evicted, &shared))
        .await
        .flatten();
    match asked {
        Ok(Asked::Join(stream, sealed)) => {
            Box::pin(join(stream, &sealed, &admitted, &shared)).await;
        }
        Ok(Asked::KeyEvents(mut stream, asked)) => {
            // A site that was sealed meanwhile closes without a reply.
            if let Some(settings) = shared.login_settings() {
                let page = settings.key_events.page(asked.0, MAX_EVENTS_IN_LINE);
                let line = KeyEventsRequest::answer(page);
                // An evicted connection is counted no longer, so it is not kept for the reply.
                tokio::select! {
                    () = reply(&mut stream, &line, &shared) => {}
                    () = evicted => {}
                }
            }
            // A point, as for a client that asks for key events and nothing else: the handshake is
            // public-key work.
            admitted.punish(Abuse::Refused, clock::now());
        }
        Ok(Asked::Connection(stream, key, hello)) => {
            let opened = Box::pin(open(stream, key, hello, &admitted, &server, &shared)).await;
            match opened {
                Some((open, stream)) => {
                    admitted.authenticated();
                    info!(%peer, site = %open.site(), "a peer connected");
                    let _ = Box::pin(link::run(open, stream, None)).await;
                }
                None => tokio::time::sleep_until(began + refusal_time).await,
            }
        }
        Err(refused) => {
            debug!(%peer, %refused, "refused on the peer port");
            refused.note(&admitted, Channel::Peer, &shared);
            if !matches!(refused, Refused::Ended) {
                tokio::time::sleep_until(began + refusal_time).await;
            }
        }
    }
}

/// Does the handshake and reads the first line.
async fn first_line(
    socket: TcpStream,
    admitted: &Admitted,
    shared: &Shared,
    acceptors: &Acceptors,
) -> Result<Asked, Refused> {
    let asked_for = [Activity::PeerJoin, Activity::PeerConnection];
    let mut stream = handshake::answer(socket, asked_for, admitted, shared, acceptors).await?;
    let Some(key) = stream.peer_key()? else {
        let mut awaiting = AwaitingFirst::new();
        loop {
            let room = awaiting.room().min(READ_SIZE);
            let mut bytes = Vec::with_capacity(room);
            let mut limited = (&mut stream).take(room as u64);
            if limited.read_buf(&mut bytes).await? == 0 {
                return Err(awaiting.closed().into());
            }
            match awaiting.receive(&bytes)? {
                FirstStep::More(more) => awaiting = more,
                FirstStep::Join(sealed) => return Ok(Asked::Join(stream, sealed)),
                FirstStep::KeyEvents(asked) => return Ok(Asked::KeyEvents(stream, asked)),
            }
        }
    };
    let line = link::first_line(&mut stream, MAX_PEER_HELLO).await?;
    let line = line.ok_or(BadPeerHello::TooLong)?;
    let hello = PeerHello::read(&line)?;
    // A site has an Ed25519 key. Another key is that of no peer.
    let key = key.ed25519().unwrap_or(VerifyingKey([0; 32]));
    Ok(Asked::Connection(stream, key, hello))
}

/// Makes the site a peer and answers. It runs to its end also if the site goes away, because a site
/// that sent a token must not be able to keep it unused.
async fn join(mut stream: Stream, sealed: &SealedJoin, admitted: &Admitted, shared: &Shared) {
    let began = Instant::from_std(clock::monotonic());
    if joined(&stream, sealed, admitted, shared).await.is_none() {
        tokio::time::sleep_until(began + shared.limits().refusal_time).await;
        return;
    }
    let events = shared.site.key_events().to_vec();
    let line = JoinAnswer { events }.to_line();
    reply(&mut stream, &line, shared).await;
}

/// `None` if the request was refused.
async fn joined(
    stream: &TlsStream<TcpStream>,
    sealed: &SealedJoin,
    admitted: &Admitted,
    shared: &Shared,
) -> Option<()> {
    // Checked before the request is opened, which is public-key work.
    if !shared.site.permits(Activity::PeerJoin) {
        return None;
    }
    let exporter = stream.enrolment_exporter().ok()?;
    let keys = shared.site.unsealed_keys()?;
    let source = admitted.source();
    let turn = shared.logins.turn(source.network()).await?;
    let opened = sealed.open(keys.key.agreement(), &exporter);
    drop(turn);
    let Ok(request) = opened else {
        admitted.punish(Abuse::Malformed, clock::now());
        note_malformed("join", admitted, Channel::Peer, shared);
        return None;
    };
    let proof = async {
        // The token is right. If the queue is full, the proof is verified without a turn: no proof
        // would revoke the ticket.
        let turn = shared.logins.turn(source.network()).await;
        let proven = request.verify(&exporter, &keys.key.public()).ok();
        drop(turn);
        proven
    };
    let accepted = shared
        .site
        .accept_peer(&request, proof, source, clock::now())
        .await;
    match accepted {
        Ok(()) => {
            info!(site = %request.claimed_site(), id = %request.id(), %source, "a site that presented a ticket is a peer");
            Some(())
        }
        Err(NotEnrolled::Refused) => None,
        Err(NotEnrolled::Store(trouble)) => {
            error!(%trouble, "a site could not become a peer because the store failed");
            None
        }
    }
}

async fn reply(stream: &mut TlsStream<TcpStream>, line: &[u8], shared: &Shared) {
    let sending = async {
        stream.write_all(line).await?;
        stream.shutdown().await
    };
    let sent = timeout(shared.limits().unauthenticated_timeout, sending).await;
    if !matches!(sent, Ok(Ok(()))) {
        debug!("a reply was not sent; the other site can repeat its request");
    }
}

/// Opens the connection and welcomes the peer; `None` if it is refused.
async fn open(
    mut stream: Stream,
    key: VerifyingKey,
    hello: PeerHello,
    admitted: &Admitted,
    server: &Arc<PeerServer>,
    shared: &Arc<Shared>,
) -> Option<(OpenPeer, Stream)> {
    let (cut_sender, cut) = oneshot::channel();
    let new = NewPeerConnection {
        hello,
        key,
        source: admitted.source(),
        cut: hook(cut_sender),
    };
    // A peer that replaced its key has more than one key event, and new ones are verified.
    let turn = match new.hello.events.len() {
        0 | 1 => None,
        _ => Some(shared.logins.turn(admitted.source().network()).await?),
    };
    let opened = shared.site.open_peer(new, clock::now()).await;
    drop(turn);
    let connection = log_trouble(opened).ok().flatten()?;
    let open = OpenPeer::new(server, shared, connection, cut);
    let limits = DeviceWelcome {
        idle_seconds: u32::try_from(IDLE.as_secs()).unwrap_or(u32::MAX),
        line_bytes: u32::try_from(MAX_LINE).unwrap_or(u32::MAX),
        in_flight: u32::try_from(MAX_IN_FLIGHT).unwrap_or(u32::MAX),
    };
    let welcome = PeerWelcome::new(limits, &shared.site.key_events()).to_line();
    let sending = async {
        stream.write_all(&welcome).await?;
        stream.flush().await
    };
    let limit = shared.limits().unauthenticated_timeout;
    match timeout(limit, sending).await {
        Ok(Ok(())) => Some((open, stream)),
        _ => None,
    }
}
