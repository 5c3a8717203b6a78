//! Checks the files of an extracted backup.

use std::path::Path;
use std::sync::Arc;

use countersign_core::engine::Site;
use countersign_store::{Inspection, OpenError, SqliteStore};
use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::site::folder::DATABASE;
use crate::site::parts;

/// The properties of an intact database.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    /// The version of its schema.
    pub(crate) layout: i64,
    /// The number of audit entries.
    pub(crate) audit_entries: u64,
    /// The digest of the last audit entry, in hexadecimal.
    pub(crate) audit_head: String,
}

/// Checks the database in `folder`, extracted from `backup`: schema version, integrity, references, audit
/// chain.
pub(crate) async fn check(folder: &Path, backup: &Path) -> Result<Checked, Failure> {
    let shown = backup.display();
    let problem = |text: std::fmt::Arguments<'_>| {
        Failure::new(Exit::Problems, "damaged_backup", text).hint("use another backup")
    };
    let inspection = Inspection::of(&folder.join(DATABASE[0])).await;
    let inspection = inspection.map_err(|error| match error {
        OpenError::Newer { layout, .. } => Failure::new(
            Exit::Failure,
            "newer_backup",
            format_args!(
                "the database in {shown} was written by a newer version of Countersign (its layout {layout} is \
                 unknown here)"
            ),
        )
        .hint("use that version or a later one"),
        OpenError::Damaged { problem: text, .. } | OpenError::Unavailable { problem: text, .. } => {
            problem(format_args!("the database in {shown} is damaged: {text}"))
        }
        OpenError::NotOurs { .. } | OpenError::NotWritable { .. } => {
            problem(format_args!("there is no site's database in {shown}"))
        }
    })?;
    let found = (inspection.flaws.first(), inspection.broken);
    let checked = match found {
        (Some(flaw), _) => Err(problem(format_args!(
            "the database in {shown} is damaged: {flaw}"
        ))),
        (None, Some(broken)) => Err(problem(format_args!("in {shown}, {broken}"))),
        (None, None) => Ok(Checked {
            layout: inspection.layout,
            audit_entries: inspection.head.seq,
            audit_head: HEXLOWER.encode(&inspection.head.hash),
        }),
    };
    inspection.close().await;
    checked
}

/// Opens the site in a folder that no other process serves.
pub(crate) async fn open_site(folder: &Path) -> Result<(Arc<SqliteStore>, Site), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failure, "store", error);
    let store = SqliteStore::open(&folder.join(DATABASE[0])).await;
    let store = Arc::new(store.map_err(|error| failed(&error))?);
    let floor = countersign_proto::session::Strength::Delivered;
    match Site::open(parts(store.clone(), floor)?).await {
        Ok(site) => Ok((store, site)),
        Err(error) => {
            store.close().await;
            Err(failed(&error))
        }
    }
}
