//! Reading settings and the progress of initialisation scripts.

use async_trait::async_trait;

use super::StoreError;
use crate::timestamp::Timestamp;

/// Reads settings and the progress of initialisation scripts.
#[async_trait]
pub trait Settings: Send + Sync {
    /// Returns the setting with this name.
    async fn setting(&self, name: &str) -> Result<Option<Setting>, StoreError>;

    /// Returns the progress of the initialisation script with this name.
    async fn script(&self, name: &str) -> Result<Option<ScriptProgress>, StoreError>;
}

/// A named value of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: Vec<u8>,
    /// The revision: 1 at first, incremented by each change.
    pub revision: u64,
}

/// The progress of an initialisation script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptProgress {
    /// The script's file name.
    pub name: String,
    /// The SHA-256 of the lines that were applied.
    pub digest: [u8; 32],
    /// How many lines were applied.
    pub lines: u32,
    /// When the last line was applied; `None` while lines remain.
    pub applied: Option<Timestamp>,
}
