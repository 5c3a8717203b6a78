//! The session with the site over which tickets and ticket keys are requested.

use async_trait::async_trait;
use serde_json::Value;
use serde_json::value::RawValue;

/// Why an operation in a session has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SessionError(pub String);

/// An authenticated session with the site, of the service that is named for the application there.
///
/// With the feature `session` it is implemented for `countersign_client::Client`.
#[async_trait]
pub trait SiteSession: Send + Sync + 'static {
    /// Runs an operation and returns the data of its result, as JSON.
    ///
    /// # Errors
    /// [`SessionError`] when the operation failed or the session is over.
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
