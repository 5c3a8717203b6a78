//! Backups of the site. Only at the admin socket: an attacker with the database can guess at the pass phrases
//! of its people, and needs nothing but time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Done, NoParams};
use crate::access::{Channel, Role};
use crate::engine::{Answer, Context, Entry, Refusal, Site};
use crate::store::StoreCopy;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("site", "backup")
            .summary("Gives a consistent copy of the database as content, while the site runs on.")
            .allow(&[Role::Admin])
            .only_on(&[Channel::AdminSocket])
            .while_sealed()
            .changes()
            .gives_content()
            .handler(backup),
        Entry::new("site", "backup_done")
            .summary("Records that such a copy was kept, so that its age can be told.")
            .allow(&[Role::Admin])
            .only_on(&[Channel::AdminSocket])
            .while_sealed()
            .changes()
            .example(json!({ "sealed": true }))
            .handler(done),
    ]
}

/// The copy that follows.
#[derive(Debug, Serialize, JsonSchema)]
struct Backup {
    /// Its length in bytes.
    bytes: u64,
}

async fn backup(context: Context, _: NoParams) -> Result<Answer<Backup>, Refusal> {
    // First, so that the copy itself tells of it.
    context.commit(Vec::new(), None, json!({})).await?;
    let StoreCopy { bytes, content } = context.site().store().copy().await?;
    Ok(Answer::new(Backup { bytes })
        .saying(format!("A copy of {bytes} bytes."))
        .with(content))
}

/// How the copy was kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Whether it was encrypted.
    sealed: bool,
}

async fn done(context: Context, params: Kept) -> Result<Answer<Done>, Refusal> {
    let change = Site::record_backup(context.site().store(), context.now()).await?;
    let details = json!({ "sealed": params.sealed });
    context.commit(vec![change], None, details).await?;
    Ok(Answer::new(Done {}))
}
