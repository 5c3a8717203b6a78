//! The session with the site through which tickets and ticket keys are requested.

use async_trait::async_trait;
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
}
