//! Data that an earlier version stored in the clear.

use async_trait::async_trait;
use countersign_crypto::secret::SecretBytes;

use super::StoreError;
use crate::applications::ApplicationId;
use crate::id::MessageId;

/// Reads data that an earlier version stored in the clear, and that today's version seals under the
/// root secret. [`Change::SealData`](super::Change::SealData) replaces it.
#[async_trait]
pub trait ClearData: Send + Sync {
    /// Returns data that is stored in the clear, at most `limit` of it. Data that cannot be read is
    /// left out. A store without an earlier version has none.
    async fn clear_data(&self, limit: u32) -> Result<Vec<ClearDatum>, StoreError>;
}

/// A text that is stored in the clear.
#[derive(Debug)]
pub struct ClearDatum {
    /// Its number in the store.
    pub number: u64,
    /// What it belongs to.
    pub owner: ClearOwner,
    /// The text.
    pub text: SecretBytes,
}

/// What a text that is stored in the clear belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClearOwner {
    /// It is the data about this application.
    Application(ApplicationId),
    /// It is the text of this message to or from a person of a peer.
    Message(MessageId),
}
