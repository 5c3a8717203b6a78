//! The peer server: an admin starts and stops it, and the choice survives a restart.

use schemars::JsonSchema;
use serde::Serialize;

use super::Site;
use crate::engine::Refusal;
use crate::engine::site::put;
use crate::sessions::CloseReason;
use crate::store::{Change, StoreError};

/// The name of the setting that says whether the peer server runs, as JSON.
pub(crate) const PEER_SERVER: &str = "peer_server";

/// The state of the peer server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PeerServerState {
    /// It accepts and opens connections.
    Running,
    /// An admin stopped it, or never started it.
    Stopped,
    /// It waits for the site key.
    Sealed,
    /// No address is configured for it.
    NotConfigured,
    /// It cannot listen.
    Failed {
        /// The error of the operating system.
        problem: String,
    },
}

impl PeerServerState {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Sealed => "sealed",
            Self::NotConfigured => "not_configured",
            Self::Failed { .. } => "failed",
        }
    }
}

impl Site {
    /// Whether an admin wants the peer server to run. A setting that cannot be read counts as not:
    /// `peer start` writes it again.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn wants_peer_server(&self) -> Result<bool, StoreError> {
        let setting = self.store().setting(PEER_SERVER).await?;
        let runs = setting.and_then(|setting| serde_json::from_slice(&setting.value).ok());
        Ok(runs.unwrap_or(false))
    }

    /// The state of the peer server.
    #[must_use]
    pub fn peer_server(&self) -> PeerServerState {
        let transport = self.peer_transport();
        transport.map_or(PeerServerState::NotConfigured, |transport| {
            transport.state()
        })
    }

    /// Returns the change that starts or stops the peer server.
    pub(crate) async fn change_peer_server(&self, runs: bool) -> Result<Change, Refusal> {
        let was = self.store().setting(PEER_SERVER).await?;
        let revision = was.map_or(0, |setting| setting.revision).saturating_add(1);
        put(PEER_SERVER, &runs, revision).map_err(|error| Refusal::internal(error.to_string()))
    }

    /// The setting was changed: a stopped peer server ends all connections with peers.
    pub(crate) fn peer_server_changed(&self, value: &[u8]) {
        let ends = serde_json::from_slice::<bool>(value).is_ok_and(|runs| !runs);
        self.end_peers(CloseReason::Cut, |_| ends);
    }
}
