//! The session with the site through which tickets and ticket keys are requested.

use async_trait::async_trait;
use countersign_proto::operation::Event;
use serde_json::Value;
use serde_json::value::RawValue;

/// Why an operation in a session failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SessionError(pub String);

/// An authenticated session with the site. Its account is the service that is registered for the
/// application at the site.
///
/// With the feature `session`, `countersign_client::Client` implements it.
#[async_trait]
pub trait SiteSession: Send + Sync + 'static {
    /// Runs an operation and returns the data of its result, as JSON.
    ///
    /// # Errors
    /// [`SessionError`] if the operation failed or the session has ended.
    async fn call(
        &self,
        group: &str,
        command: &str,
        params: &Value,
    ) -> Result<Box<RawValue>, SessionError>;

    /// Subscribes to the events of the session from now on. `None`, the default, if it has none: a
    /// provider then learns neither of locked and deleted applications nor of lockdowns, and accepts
    /// their tickets until these expire.
    fn events(&self) -> Option<Box<dyn SiteEvents>> {
        None
    }

    /// Whether the session was ended by a lockdown.
    fn ended_by_lockdown(&self) -> bool {
        false
    }
}

/// The events of a session with the site.
#[async_trait]
pub trait SiteEvents: Send + 'static {
    /// The next event; `None` when the session has ended.
    async fn next(&mut self) -> Option<Event>;
}

#[cfg(feature = "session")]
#[async_trait]
impl SiteEvents for countersign_client::Events {
    async fn next(&mut self) -> Option<Event> {
        Self::next(self).await
    }
}

#[cfg(feature = "session")]
#[async_trait]
impl SiteSession for countersign_client::Client {
    async fn call(
        &self,
        group: &str,
        command: &str,
        params: &Value,
    ) -> Result<Box<RawValue>, SessionError> {
        let result = Self::call(self, group, command, params).await;
        result.map_err(|error| SessionError(error.to_string()))
    }
    fn events(&self) -> Option<Box<dyn SiteEvents>> {
        Some(Box::new(Self::events(self)))
    }

    fn ended_by_lockdown(&self) -> bool {
        self.ended() == Some(countersign_proto::session::Goodbye::Lockdown)
    }
}
