//! `audit`: who did what, and whether the log still says so.

use std::fmt;

use data_encoding::HEXLOWER;
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Limit, NoParams};
use crate::access::{Channel, Role};
use crate::audit::{self, AuditEntry, AuditFilter, AuditOutcome, AuditSearch, ENTRIES_AT_ONCE};
use crate::content::{Content, ContentBroken};
use crate::engine::{Answer, Context, Entry, Refusal, Site};
use crate::id::AccountId;
use crate::page::Page;
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// How many entries one query looks at, and how many queries one search makes: what is rare may need another search.
const SEARCHED: u64 = 10_000;
const STRETCHES_SEARCHED: usize = 20;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("audit", "list")
            .summary("Lists the last audit entries, or those after a number, in the order in which they were written.")
            .allow(&admin)
            .example(json!({ "operation": "person", "limit": 10 }))
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

/// Which entries are wanted: the last ones, unless `after` says where to begin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Only entries after this number, and the first of them; the `next` of the stretch before.
    after: Option<u64>,
    /// Only entries before this number; the `earlier` of the stretch behind.
    before: Option<u64>,
    /// Only entries that were written at this time or later.
    since: Option<Timestamp>,
    /// Only what this account did; its name with the zone or without. `local admin` finds every user's.
    actor: Option<String>,
    /// Only this operation (`person.create`), or this group of operations (`person`).
    operation: Option<String>,
    /// How many entries at most: 1 to 1000, 100 when left out.
    #[serde(default)]
    limit: Limit,
}

/// A stretch of the audit log.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// What was found, in the order in which it was written.
    entries: Vec<AuditView>,
    /// Pass this as `after` to go on; absent when this is the end, or the last entries were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    /// Pass this as `before` to see what was written before; absent when there is nothing, or `after` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier: Option<u64>,
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
    channel: Channel,
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
            channel: draft.channel,
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

async fn list(context: Context, params: List) -> Result<Answer<Listed>, Refusal> {
    let end = context.site().store().audit_head().await?.seq;
    let before = params.before.unwrap_or(u64::MAX).max(1);
    let filter = AuditFilter {
        since: params.since,
        actor: params.actor,
        operation: params.operation,
    };
    let mut walk = Walk {
        after: params.after.unwrap_or(0),
        up_to: end.min(before - 1),
        last_first: params.after.is_none(),
        most: params.limit.entries(),
        filter,
        found: Vec::new(),
    };
    let more = walk.through(context.site()).await?;
    let last_first = walk.last_first;
    let mut found = walk.found;
    if last_first {
        found.reverse();
    }
    let listed = Listed {
        entries: found.into_iter().map(AuditView::from).collect(),
        next: more.filter(|_| !last_first),
        earlier: more.filter(|_| last_first),
    };
    let lines: Vec<String> = listed.entries.iter().map(AuditView::line).collect();
    Ok(Answer::new(listed).saying(lines.join("\n")))
}

/// A walk along the log, stretch by stretch, until enough is found or so much was looked at.
struct Walk {
    after: u64,
    up_to: u64,
    last_first: bool,
    most: usize,
    filter: AuditFilter,
    found: Vec<AuditEntry>,
}

impl Walk {
    /// Where to go on from, when there is more, or may be.
    async fn through(&mut self, site: &Site) -> Result<Option<u64>, Refusal> {
        for _ in 0..STRETCHES_SEARCHED {
            if self.after >= self.up_to {
                return Ok(None);
            }
            let (after, up_to) = match self.last_first {
                true => (
                    self.up_to.saturating_sub(SEARCHED).max(self.after),
                    self.up_to,
                ),
                false => (
                    self.after,
                    self.after.saturating_add(SEARCHED).min(self.up_to),
                ),
            };
            // One more than is shown, to know whether there is more.
            let wanted = self.most.saturating_sub(self.found.len()).saturating_add(1);
            let search = AuditSearch {
                after,
                up_to,
                last_first: self.last_first,
                limit: u32::try_from(wanted).unwrap_or(u32::MAX),
                filter: self.filter.clone(),
            };
            self.found.extend(site.store().audit_search(&search).await?);
            if self.found.len() > self.most {
                self.found.truncate(self.most);
                return Ok(self.found.last().map(|entry| entry.seq));
            }
            match self.last_first {
                true => self.up_to = after,
                false => self.after = up_to,
            }
        }
        let rest = self.after < self.up_to;
        Ok(rest.then_some(match self.last_first {
            true => self.up_to.saturating_add(1),
            false => self.after,
        }))
    }
}

impl AuditView {
    fn line(&self) -> String {
        format!(
            "{}  {}  {}  {}  {}  {}",
            self.seq,
            self.time,
            self.actor,
            self.operation,
            self.target.as_deref().unwrap_or("-"),
            self.outcome.as_str()
        )
    }
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
    if let Some(caller) = context.caller().account {
        context.rate(Rate::Verified(caller), "checks of the whole audit log")?;
    }
    let _turn = context.site().verifying().ok_or_else(|| {
        Refusal::busy("the audit log is being verified; wait for the end and repeat this")
    })?;
    let store = context.site().store();
    // Entries that are written meanwhile are left for the next time.
    let end = store.audit_head().await?;
    let (head, broken) =
        audit::verify_chain(end, |page| async move { store.audit(&page).await }).await?;
    // A file whose parts do not belong together may still hold a chain that does.
    let flaws = store.flaws().await?;
    let said = match (broken, flaws.first()) {
        (None, None) => format!(
            "All {} entries are as they were written. The head is {}.",
            head.seq,
            HEXLOWER.encode(&head.hash)
        ),
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
