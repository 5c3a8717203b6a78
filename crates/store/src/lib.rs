//! Stores a site durably: [`SqliteStore`] implements the storage traits of `countersign_core::store` with
//! one SQLite file.
//!
//! Every change set is written atomically and synced to the disk before the caller gets its reply. Change
//! sets that arrive together share one sync. The store makes no decisions: it checks only that the data
//! on which a change rests is still current. It does not lock the site's folder; the caller does.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use countersign_core::store::Settings;
//! use countersign_store::SqliteStore;
//!
//! let store = SqliteStore::open("site/site.db".as_ref()).await?;
//! let offer = store.setting("offer").await?;
//! store.close().await;
//! # Ok(())
//! # }
//! ```

mod sqlite;

pub use sqlite::{Inspection, OpenError, SqliteStore};
