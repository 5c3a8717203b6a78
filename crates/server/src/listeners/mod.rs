//! Starts and stops a server with its listeners.

mod admin;
mod builder;
mod reloader;
mod start_error;
mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::engine::Site;
use countersign_core::sessions::CloseReason;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::accept_loop::Connections;
use crate::delivery::Channels;
use crate::limits::Limits;
use crate::proxies::Proxies;
use crate::runtime::shared::Shared;
use tasks::Tasks;

pub use builder::Builder;
pub use reloader::Reloader;
pub use start_error::StartError;
pub use tasks::Ended;

/// A running server. It runs until it is stopped or dropped.
pub struct Server {
    shared: Arc<Shared>,
    session_address: Option<SocketAddr>,
    http_address: Option<SocketAddr>,
    device_address: Option<SocketAddr>,
    health_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Tasks,
    connections: Connections,
    reloader: Reloader,
}

impl Server {
    /// Configures a server for `site`.
    #[must_use]
    pub fn builder(site: Site) -> Builder {
        Builder::new(site)
    }

    /// The address of the session listener, with the actual port.
    #[must_use]
    pub fn session_address(&self) -> Option<SocketAddr> {
        self.session_address
    }

    /// The address of the HTTP listener, with the actual port.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// The address of the device listener, with the actual port.
    #[must_use]
    pub fn device_address(&self) -> Option<SocketAddr> {
        self.device_address
    }

    /// The address of the health listener, with the actual port.
    #[must_use]
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// Changes the limits and the trusted proxies, as [`Reloader::reload`].
    pub fn reload(&self, limits: Limits, proxies: Proxies) {
        self.reloader.reload(limits, proxies);
    }

    /// Delivers alarms over these channels from now on, as [`Reloader::deliver_over`].
    pub fn deliver_over(&self, channels: Channels) {
        self.reloader.deliver_over(channels);
    }

    /// Returns a handle with which other threads change the limits, the trusted proxies and the channels
    /// of alarms.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Waits until a required task ends because a listener failed or the task panicked. The future may be
    /// dropped and created again.
    pub async fn ended(&mut self) -> Ended {
        self.tasks.ended().await
    }

    /// Stops the server: accepts and opens no more connections, ends every session with GOODBYE and every
    /// connection with a peer with its last line, and waits for operations that run, at most
    /// [`Limits::shutdown_timeout`]. The health listener ends last.
    pub async fn stop(mut self) {
        self.tasks.stop().await;
        let _ = self.stop.send(true);
        let events = self.shared.site.events();
        events.end_streams(CloseReason::SiteStopping, |_| true);
        if !self
            .connections
            .end(self.shared.limits().shutdown_timeout)
            .await
        {
            warn!("some connections did not end before the shutdown timeout");
        }
        self.shared.close_suspended().await;
        self.shared.write_all_counted().await;
        info!("stopped");
    }
}
