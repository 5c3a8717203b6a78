//! Examples of requests and results for readers.
//!
//! Those of the site's own operations were recorded from a site (`examples.json`), with long texts cut.
//! Those of an embedding program come from its entries and schemas.

use serde_json::{Map, Value};

use super::sample::sample;
use crate::engine::Entry;

const RECORDED: &str = include_str!("examples.json");

/// The recorded examples, by the name of the operation.
pub(super) struct Examples(Map<String, Value>);

impl Examples {
    pub(super) fn read() -> Self {
        // A test reads the file with this function.
        Self(serde_json::from_str(RECORDED).unwrap_or_default())
    }

    /// Returns parameters that the operation was called with.
    pub(super) fn params<'a>(&'a self, entry: &'a Entry) -> &'a Value {
        let recorded = self.0.get(entry.name()).and_then(|one| one.get("params"));
        recorded.unwrap_or_else(|| entry.example())
    }

    /// Returns the content that the operation returned then.
    pub(super) fn content(&self, entry: &Entry) -> Option<&str> {
        self.0.get(entry.name())?.get("content")?.as_str()
    }

    /// Returns what the operation returned then.
    pub(super) fn result(&self, entry: &Entry) -> Value {
        let recorded = self.0.get(entry.name()).and_then(|one| one.get("result"));
        let root = entry.result().as_value();
        recorded.cloned().unwrap_or_else(|| sample(root, root))
    }
}
