//! `site backup` and `site backup_done`. These are available on the admin socket only: an attacker
//! with a copy of the database can guess the pass phrases of its persons offline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::{Done, NoParams};
use crate::access::{Channel, Role};
use crate::engine::{Answer, Context, Entry, Refusal, Site};
use crate::store::StoreCopy;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("site", "backup")
            .command_line("backup create")
            .summary("Returns a consistent copy of the database as content. The site stays in operation meanwhile.")
            .allow(&[Role::Admin])
            .only_on(&[Channel::AdminSocket])
            .while_sealed()
            .changes()
            .gives_content()
            .handler(backup),
        Entry::new("site", "backup_done")
            .for_programs()
            .summary("Records that a backup was stored, so that the site knows the age of the latest one.")
            .allow(&[Role::Admin])
            .only_on(&[Channel::AdminSocket])
            .while_sealed()
            .changes()
            .example(json!({ "sealed": true }))
            .handler(done),
    ]
}

/// Describes the content that follows.
#[derive(Debug, Serialize, JsonSchema)]
struct Backup {
    /// The length of the copy, in bytes.
    bytes: u64,
}

async fn backup(context: Context, _: NoParams) -> Result<Answer<Backup>, Refusal> {
    // Committed before the copy is made, so that the copy contains the audit entry.
    context.commit(Vec::new(), None, json!({})).await?;
    let StoreCopy { bytes, content } = context.site().store().copy().await?;
    Ok(Answer::new(Backup { bytes })
        .with_output(format!("A copy of {bytes} bytes."))
        .with(content))
}

/// How the copy was stored.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BackupDone {
    /// Whether the copy was encrypted.
    sealed: bool,
}

async fn done(context: Context, params: BackupDone) -> Result<Answer<Done>, Refusal> {
    let change = Site::record_backup(context.site().store(), context.now()).await?;
    let details = json!({ "sealed": params.sealed });
    context.commit(vec![change], None, details).await?;
    Ok(Answer::new(Done {}))
}
