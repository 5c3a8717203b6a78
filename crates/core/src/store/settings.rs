//! Settings, and how far initialisation scripts were applied.

use async_trait::async_trait;

use super::StoreError;
use crate::timestamp::Timestamp;

/// Reads settings and the progress of initialisation scripts.
#[async_trait]
pub trait Settings: Send + Sync {
    /// The setting of that name.
    async fn setting(&self, name: &str) -> Result<Option<Setting>, StoreError>;

    /// How far the initialisation script of that name was applied.
    async fn script(&self, name: &str) -> Result<Option<ScriptProgress>, StoreError>;
}

/// A value that the site keeps under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: Vec<u8>,
    /// 1 at first, one more with each change.
    pub revision: u64,
}

/// How far an initialisation script was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptProgress {
    /// The script's file name.
    pub name: String,
    /// The SHA-256 of the lines that were applied.
    pub digest: [u8; 32],
    /// How many lines were applied.
    pub lines: u32,
    /// When the last line was applied; `None` while some are left.
    pub applied: Option<Timestamp>,
}
