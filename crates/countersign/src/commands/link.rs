//! What `call` and `shell` run operations over: a session, or the connection of this device.

use countersign_client::device::DeviceConnection;
use countersign_client::{CallError, Client, Events};
use countersign_proto::operation::Outcome;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::failure::Failure;

/// A connection to a site.
pub(super) enum Link {
    Session(Box<Client>),
    Device {
        connection: DeviceConnection,
        /// The person's id.
        account: String,
    },
}

impl Link {
    /// The account that operations run as.
    pub(super) fn account(&self) -> String {
        match self {
            Self::Session(client) => client.welcome().account,
            Self::Device { account, .. } => account.clone(),
        }
    }

    pub(super) async fn call<P: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        group: &str,
        command: &str,
        params: &P,
    ) -> Result<R, CallError> {
        match self {
            Self::Session(client) => client.call(group, command, params).await,
            Self::Device { connection, .. } => connection.call(group, command, params).await,
        }
    }

    pub(super) async fn outcome(
        &self,
        group: &str,
        command: &str,
        params: Box<RawValue>,
    ) -> Result<Outcome, CallError> {
        match self {
            Self::Session(client) => client.outcome(group, command, params).await,
            Self::Device { connection, .. } => connection.outcome(group, command, params).await,
        }
    }

    /// The events from now on. They end with the connection.
    pub(super) fn events(&self) -> Events {
        match self {
            Self::Session(client) => client.events(),
            Self::Device { connection, .. } => connection.events(),
        }
    }

    /// Why the connection ended.
    pub(super) fn ended(&self) -> CallError {
        let reason = match self {
            Self::Session(client) => client.ended(),
            Self::Device { .. } => None,
        };
        reason.map_or(CallError::Lost, CallError::Ended)
    }

    /// The session.
    ///
    /// # Errors
    /// This is a device connection, which cannot do `what`.
    pub(super) fn session(&self, what: &str) -> Result<&Client, Failure> {
        match self {
            Self::Session(client) => Ok(client),
            Self::Device { .. } => Err(Failure::usage(format_args!(
                "a device connection does not carry {what}"
            ))
            .hint("log in with --site URI and --as NAME")),
        }
    }

    /// Closes the connection. A goodbye that does not arrive makes no difference.
    pub(super) async fn close(self) {
        let _ = match self {
            Self::Session(client) => client.close().await,
            Self::Device { connection, .. } => connection.close().await,
        };
    }
}
