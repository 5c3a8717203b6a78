//! The device port: enrolment and device connections over TLS (`docs/protocol/device.md`).
//!
//! ```text
//! admitted --> TLS --no client certificate--> [key events] enrolment ---> closed
//!               '---- client certificate ----> first line, or request --> session --> closed
//! ```
//!
//! Every refusal is the same: no reply, and the connection is closed after the refusal time.

mod device_session;
mod enrolling;
mod new_connection;
mod registering;
mod sealed;
mod stream;
mod web_socket;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::access::Channel;
use countersign_core::engine::RegistrationOrigin;
use countersign_core::lockdown::Activity;
use countersign_proto::device::{
    BadHello, BadUpgrade, Hello, MAX_HELLO, MAX_UPGRADE, UPGRADE_START, UpgradeRequest,
};
use countersign_proto::enrolment::EnrolmentRequest;
use countersign_proto::enrolment::passphrase::RegistrationRequest;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tracing::{debug, error};

use self::enrolling::FirstLine;
use self::new_connection::NewConnection;
pub(crate) use self::sealed::serve as serve_sealed;
use crate::accept_loop::{self, Access, Connections, DescriptorReserve};
use crate::admission::{Admission, Admitted};
use crate::clock;
use crate::handshake::{self, Refused, Stream};
use crate::runtime::shared::Shared;
use crate::tls::acceptors::Acceptors;

/// Accepts the connections of devices until the listener fails.
pub(crate) async fn accept(
    listener: TcpListener,
    room: Arc<DescriptorReserve>,
    connections: Connections,
    shared: Arc<Shared>,
    clients: Arc<Admission>,
) -> io::Result<Infallible> {
    let acceptors = Arc::new(Acceptors::default());
    let cached = acceptors.clone();
    shared.add_cache(move || cached.clear());
    let service = move |(socket, peer): (TcpStream, SocketAddr)| match clients.admit_from(peer) {
        Ok(admitted) => {
            let _ = socket.set_nodelay(true);
            let (shared, acceptors) = (shared.clone(), acceptors.clone());
            Some(serve(socket, peer, admitted, shared, acceptors))
        }
        Err(reason) => {
            debug!(%peer, %reason, "connection to the device port rejected");
            None
        }
    };
    accept_loop::run(listener, Access::Clients, room, connections, service).await
}

/// What a client asks for, after the handshake.
enum Asked {
    Enrolment(Stream, Box<EnrolmentRequest>),
    Registration(Stream, Box<RegistrationRequest>),
    Session(Box<NewConnection>),
}

/// Serves one connection until it ends.
///
/// The handshake, the opening and the session are boxed separately: the memory of one is freed before the
/// next begins, so that an idle connection needs little memory.
async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    mut admitted: Admitted,
    shared: Arc<Shared>,
    acceptors: Arc<Acceptors>,
) {
    let began = Instant::from_std(clock::monotonic());
    let mut evicted = Box::pin(admitted.evicted());
    let asked = Box::pin(first_line(socket, &admitted, &shared, &acceptors));
    let asked = Box::pin(handshake::in_time(asked, &mut evicted, &shared))
        .await
        .flatten();
    match asked {
        Ok(Asked::Enrolment(stream, request)) => {
            Box::pin(enrolling::enrol(stream, &request, &admitted, &shared)).await;
        }
        Ok(Asked::Registration(stream, request)) => {
            let origin = RegistrationOrigin::device(admitted.source());
            match stream.enrolment_exporter() {
                Ok(exporter) => {
                    let dialog = registering::register(
                        stream, &exporter, &request, origin, evicted, &shared,
                    );
                    Box::pin(dialog).await;
                }
                Err(problem) => error!(%problem, "a TLS connection has no exporter"),
            }
        }
        Ok(Asked::Session(new)) => {
            drop(evicted);
            let opened = Box::pin(new.open(peer, admitted, &shared)).await;
            if let Some(session) = opened {
                Box::pin(session.serve(&shared)).await;
            }
        }
        Err(refused) => {
            debug!(%peer, %refused, "refused on the device port");
            refused.note(&admitted, Channel::Device, &shared);
            if !matches!(refused, Refused::Ended) {
                tokio::time::sleep_until(began + shared.limits().refusal_time).await;
            }
        }
    }
}

/// Does the handshake and reads the client's first line.
async fn first_line(
    socket: TcpStream,
    admitted: &Admitted,
    shared: &Shared,
    acceptors: &Acceptors,
) -> Result<Asked, Refused> {
    let asked_for = [Activity::DeviceEnrolment, Activity::DeviceConnection];
    let mut stream = handshake::answer(socket, asked_for, admitted, shared, acceptors).await?;
    let Some(key) = stream.peer_key()? else {
        let line = enrolling::first_line(&mut stream, shared).await;
        return Ok(match late(line, shared).await? {
            FirstLine::Enrolment(request) => Asked::Enrolment(stream, request),
            FirstLine::Registration(request) => Asked::Registration(stream, request),
        });
    };
    let line = hello_line(&mut stream).await;
    let (hello, web_socket) = late(line, shared).await?;
    Ok(Asked::Session(Box::new(NewConnection {
        stream,
        key,
        hello,
        web_socket,
    })))
}

/// The result of reading a first line. A refusal is returned after the time for refusals: when the caller
/// drops the stream, the connection closes.
async fn late<T, E: Into<Refused>>(line: Result<T, E>, shared: &Shared) -> Result<T, Refused> {
    if line.is_err() {
        tokio::time::sleep(shared.limits().refusal_time).await;
    }
    line.map_err(Into::into)
}

/// Reads the line of a device, or its request for a WebSocket, of which the key is returned. What follows stays
/// in the stream for the reader of operations.
async fn hello_line(stream: &mut Stream) -> Result<(Hello, Option<String>), Refused> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() == MAX_HELLO {
            return Err(BadHello::TooLong.into());
        }
        line.push(stream.read_u8().await?);
    }
    if line.starts_with(UPGRADE_START) {
        let head = rest_of_head(stream, line).await?;
        let upgrade = UpgradeRequest::read(&head)?;
        return Ok((upgrade.hello, Some(upgrade.key)));
    }
    Ok((Hello::read(&line)?, None))
}

/// Reads a request for a WebSocket to its empty line.
async fn rest_of_head(stream: &mut Stream, mut head: Vec<u8>) -> Result<Vec<u8>, Refused> {
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_UPGRADE {
            return Err(BadUpgrade::TooLong.into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}
