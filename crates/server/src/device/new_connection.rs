//! A device that has proved its key and named its person, until it has a session.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::engine::{Decision, NewDeviceSession};
use countersign_core::sessions::CloseReason;
use countersign_crypto::device_key::DeviceKey;
use countersign_proto::device::Hello;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::device_session::{DeviceSession, MAX_LINE, Signals};
use super::stream::DeviceStream;
use super::web_socket::Closing;
use crate::admission::Admitted;
use crate::clock;
use crate::handshake::Stream;
use crate::runtime::events::event_queue;
use crate::runtime::shared::{Shared, hook, log_trouble};

/// A device that has proved its key and named its person.
pub(super) struct NewConnection {
    pub(super) stream: Stream,
    pub(super) key: DeviceKey,
    pub(super) hello: Hello,
    /// The key in the request for a WebSocket, if there was one.
    pub(super) web_socket: Option<String>,
}

impl NewConnection {
    /// Opens the session. Returns `None` if the device is refused, which gets no reply, or is gone.
    ///
    /// Not cancelled by the client: a session that was opened has to be closed.
    pub(super) async fn open(
        self,
        peer: SocketAddr,
        mut admitted: Admitted,
        shared: &Arc<Shared>,
    ) -> Option<Box<DeviceSession>> {
        let began = Instant::from_std(clock::monotonic());
        let limits = shared.limits();
        let (event_sink, events) = event_queue();
        let (cut_sender, cut) = oneshot::channel();
        let new = NewDeviceSession {
            name: self.hello.id,
            thumbprint: self.key.thumbprint(),
            peer: peer.to_string(),
            source: admitted.source(),
            cut: hook(cut_sender),
            max_sessions: limits.sessions_per_account,
            max_connections: limits.connections_per_device,
        };
        let opened = shared.site.open_device_session(new, clock::now()).await;
        let Ok(Decision::Opened(info)) = log_trouble(opened) else {
            tokio::time::sleep_until(began + limits.refusal_time).await;
            return None;
        };
        admitted.authenticated();
        shared.site.events().subscribe(&info, event_sink);
        info!(session = %info.id, account = %info.name, %peer, "device connected");
        let closing = Closing::new();
        let stream = DeviceStream::open(self.stream, self.web_socket, MAX_LINE, &closing);
        let stream = timeout(limits.unauthenticated_timeout, stream).await;
        let Ok(Ok(stream)) = stream else {
            shared
                .close_session(&info, CloseReason::ConnectionLost)
                .await;
            return None;
        };
        let signals = Signals { events, cut };
        let session = DeviceSession::new(info, admitted, signals, stream, closing, limits);
        Some(session)
    }
}
