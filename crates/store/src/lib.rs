//! Makes decisions durable and atomic.
//!
//! [`SqliteStore`] keeps a site in one SQLite file. What it answers was synced to the disk first, and
//! changes that arrive together share a sync.

mod sqlite;

pub use sqlite::{Inspection, OpenError, SqliteStore};
