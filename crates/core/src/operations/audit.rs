//! `audit`: who did what, and whether the log still says so.

use std::fmt;

use data_encoding::HEXLOWER;
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Limit, Listing, NoParams};
use crate::audit::{self, AuditEntry, AuditOutcome, ENTRIES_AT_ONCE};
use crate::caller::Door;
use crate::content::{Content, ContentBroken};
use crate::context::Context;
use crate::id::AccountId;
use crate::policy::Role;
use crate::refusal::Refusal;
use crate::store::Page;
use crate::table::{Answer, Entry};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("audit", "list")
            .summary("Lists audit entries in the order in which they were written.")
            .allow(&admin)
            .example(json!({ "after": 100, "limit": 10 }))
            .handler(list),
        Entry::new("audit", "export")
            .summary("Gives all audit entries, or those after a number, as content: a JSON object a line.")
            .allow(&admin)
            .gives_content()
            .example(json!({ "after": 100 }))
            .handler(export),
        Entry::new("audit", "verify")
            .summary("Checks the whole chain of the audit log, names the first entry that is not as it was written, and checks the database that holds it.")
            .allow(&admin)
            .handler(verify),
    ]
}

/// Which stretch of the log is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// The number after which the list begins; the `next` of the stretch before.
    #[serde(default)]
    after: u64,
    /// How many entries at most: 1 to 1000, 100 when left out.
    #[serde(default)]
    limit: Limit,
}

/// An audit entry.
#[derive(Debug, Serialize, JsonSchema)]
struct AuditView {
    /// Its number; the first is 1.
    seq: u64,
    /// When.
    time: Timestamp,
    /// The account that did it; absent when none had logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    /// Who did it, by name.
    actor: String,
    /// The way they came.
    door: Door,
    /// What they did.
    operation: String,
    /// What they did it to.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// What came of it.
    outcome: AuditOutcome,
    /// More, different for each operation.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    details: Box<RawValue>,
    /// The digest of the entry before, in hexadecimal.
    previous: String,
    /// Its own digest, in hexadecimal.
    hash: String,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let draft = entry.draft;
        Self {
            seq: entry.seq,
            time: draft.time,
            account: draft.actor.account,
            actor: draft.actor.name,
            door: draft.door,
            operation: draft.operation,
            target: draft.target,
            outcome: draft.outcome,
            // Only a log that was altered holds anything but JSON here; `verify` tells.
            details: RawValue::from_string(draft.details)
                .unwrap_or_else(|_| RawValue::NULL.to_owned()),
            previous: HEXLOWER.encode(&entry.previous),
            hash: HEXLOWER.encode(&entry.hash),
        }
    }
}

async fn list(context: Context, params: List) -> Result<Answer<Listing<AuditView>>, Refusal> {
    let page = Page {
        after: Some(params.after),
        limit: params.limit.and_one(),
    };
    let found = context.site().store().audit(&page).await?;
    let views = found.into_iter().map(AuditView::from).collect();
    let listing = Listing::of(views, params.limit, |view: &AuditView| view.seq.to_string());
    let text = listing.lines(|view| {
        format!(
            "{}  {}  {}  {}  {}  {}",
            view.seq,
            view.time,
            view.actor,
            view.operation,
            view.target.as_deref().unwrap_or("-"),
            view.outcome.as_str()
        )
    });
    Ok(Answer::new(listing).saying(text))
}

/// Where the export begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Export {
    /// The number after which it begins; 0 when left out.
    #[serde(default)]
    after: u64,
}

/// What is exported.
#[derive(Debug, Serialize, JsonSchema)]
struct Exported {
    /// How many entries follow: those that were written when the export began.
    entries: u64,
}

async fn export(context: Context, params: Export) -> Result<Answer<Exported>, Refusal> {
    let end = context.site().store().audit_head().await?.seq;
    let site = context.site().clone();
    let stretches = stream::try_unfold(params.after, move |after| {
        let site = site.clone();
        async move {
            let left = u32::try_from(end.saturating_sub(after)).unwrap_or(u32::MAX);
            let page = Page {
                after: Some(after),
                limit: left.min(ENTRIES_AT_ONCE),
            };
            if left == 0 {
                return Ok(None);
            }
            let broken = |error: &dyn fmt::Display| ContentBroken(error.to_string());
            let entries = site
                .store()
                .audit(&page)
                .await
                .map_err(|error| broken(&error))?;
            let Some(last) = entries.last().map(|entry| entry.seq) else {
                return Ok(None);
            };
            let mut lines = Vec::new();
            for entry in entries {
                let view = AuditView::from(entry);
                serde_json::to_writer(&mut lines, &view).map_err(|error| broken(&error))?;
                lines.push(b'\n');
            }
            Ok(Some((lines, last)))
        }
    });
    let entries = end.saturating_sub(params.after);
    Ok(Answer::new(Exported { entries })
        .saying(format!("{entries} entries."))
        .with(Content::new(stretches)))
}

/// What verifying found.
#[derive(Debug, Serialize, JsonSchema)]
struct Verified {
    /// Whether every entry is as it was written, in a database that is sound.
    intact: bool,
    /// How many entries were found sound.
    entries: u64,
    /// The digest of the last sound entry, in hexadecimal: keep it elsewhere, and later see whether the
    /// log still holds it.
    head: String,
    /// The first entry that is not as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<u64>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// What is wrong with the database as a file; absent when nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flaws: Vec<String>,
}

async fn verify(context: Context, _: NoParams) -> Result<Answer<Verified>, Refusal> {
    let store = context.site().store();
    // Entries that are written meanwhile are left for the next time.
    let end = store.audit_head().await?;
    let (head, broken) =
        audit::verify_chain(end, |page| async move { store.audit(&page).await }).await?;
    // A file whose parts do not belong together may still hold a chain that does.
    let flaws = store.flaws().await?;
    let said = match (broken, flaws.first()) {
        (None, None) => format!("All {} entries are as they were written.", head.seq),
        (None, Some(flaw)) => format!(
            "The chain of {} entries is whole, and the database is damaged: {flaw}",
            head.seq
        ),
        (Some(broken), _) => broken.to_string(),
    };
    Ok(Answer::new(Verified {
        intact: broken.is_none() && flaws.is_empty(),
        entries: head.seq,
        head: HEXLOWER.encode(&head.hash),
        broken: broken.map(|broken| broken.seq),
        problem: broken.map(|broken| broken.problem.to_string()),
        flaws,
    })
    .saying(said))
}
