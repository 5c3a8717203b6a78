//! `audit`: lists, exports and verifies the audit log.

use std::fmt;

use countersign_proto::peer::AuditHead;
use data_encoding::HEXLOWER;
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Limit, fitting};
use crate::access::{Channel, Role};
use crate::audit::{self, AuditEntry, AuditFilter, AuditOutcome, AuditSearch, PAGE_SIZE};
use crate::content::{Content, ContentBroken};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal, SignedLog, Site, Witness};
use crate::id::AccountId;
use crate::store::{DamagedPeer, StoreError};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// The number of entries that one query examines. With [`MAX_QUERIES`] this bounds the work of one
/// search, so a search for rare entries may have to be continued.
const SEARCHED: u64 = 10_000;
/// The number of queries that one search makes.
const MAX_QUERIES: usize = 20;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("audit", "list")
            .summary("Lists the latest audit entries, or those after a given number, in the order in which they were written.")
            .allow(&admin)
            .rest(RestMethod::Get, "/audit")
            .example(json!({ "operation": "person", "limit": 10 }))
            .handler(list),
        Entry::new("audit", "export")
            .summary("Exports all audit entries, or those that match, as content: one JSON object per line.")
            .allow(&admin)
            .gives_content()
            .rest(RestMethod::Get, "/audit/export")
            .example(json!({ "operation": "person", "since": "2026-03-01T00:00:00Z" }))
            .handler(export),
        Entry::new("audit", "verify")
            .summary("Verifies the hash chain of the audit log and the integrity of the database, and reports the first entry that was altered; with `peers`, also against the heads that peers countersigned.")
            .allow(&admin)
            .rest(RestMethod::Post, "/audit/verify")
            .handler(verify),
    ]
}

/// Selects a page of the log: the latest entries, or the first ones after `after`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Return only entries after this number, oldest first; the `next` of the previous page.
    after: Option<u64>,
    /// Return only entries before this number; the `earlier` of the page that follows.
    before: Option<u64>,
    /// Return only entries that were written at this time or later.
    since: Option<Timestamp>,
    /// Return only entries that were written before this time.
    until: Option<Timestamp>,
    /// Return only actions of this account, named with or without the zone. `local admin` matches
    /// every local user.
    actor: Option<String>,
    /// Return only this operation (`person.create`) or this group of operations (`person`).
    operation: Option<String>,
    /// Return only entries about this object: its id, or its name with or without the zone.
    target: Option<String>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

/// A page of the audit log, of at most 512 KiB.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// The entries, in the order in which they were written.
    entries: Vec<AuditView>,
    /// Pass this as `after` to get the next page; absent on the last page and when `after` was not
    /// given.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    /// Pass this as `before` to get the page of earlier entries; absent on the first page and when
    /// `after` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier: Option<u64>,
}

/// An audit entry.
#[derive(Debug, Serialize, JsonSchema)]
struct AuditView {
    /// The entry's number; the first entry has number 1.
    seq: u64,
    /// When the entry was written.
    time: Timestamp,
    /// The account that acted; absent when the client was not logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    /// The name of the account or user that acted.
    actor: String,
    /// The channel on which the request arrived.
    channel: Channel,
    /// The operation or event.
    operation: String,
    /// The object that the operation acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// The outcome of the operation.
    outcome: AuditOutcome,
    /// Further details; the fields depend on the operation.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    details: Box<RawValue>,
    /// The hash of the previous entry, in hexadecimal.
    previous: String,
    /// The hash of this entry, in hexadecimal.
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
            // Only an altered log holds details that are not JSON. `audit verify` reports that.
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
        until: params.until,
        actor: params.actor,
        operation: params.operation,
        target: params.target,
    };
    let mut walk = Walk {
        after: params.after.unwrap_or(0),
        up_to: end.min(before - 1),
        last_first: params.after.is_none(),
        max: params.limit.entries(),
        filter,
        found: Vec::new(),
    };
    let mut more = walk.through(context.site()).await?;
    let last_first = walk.last_first;
    let mut entries: Vec<_> = walk.found.into_iter().map(AuditView::from).collect();
    let most = fitting(&entries, entries.len());
    if most < entries.len() {
        entries.truncate(most);
        more = entries.last().map(|entry| entry.seq);
    }
    if last_first {
        entries.reverse();
    }
    let listed = Listed {
        entries,
        next: more.filter(|_| !last_first),
        earlier: more.filter(|_| last_first),
    };
    let lines: Vec<String> = listed.entries.iter().map(AuditView::line).collect();
    Ok(Answer::new(listed).with_output(lines.join("\n")))
}

/// A search through the log, query by query, until enough entries are found or the maximum number
/// of queries is reached.
struct Walk {
    after: u64,
    up_to: u64,
    last_first: bool,
    max: usize,
    filter: AuditFilter,
    found: Vec<AuditEntry>,
}

impl Walk {
    /// Runs the search. Returns the number to continue from if there are, or may be, more entries.
    async fn through(&mut self, site: &Site) -> Result<Option<u64>, Refusal> {
        for _ in 0..MAX_QUERIES {
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
            // One more than is shown, to learn whether there are more.
            let wanted = self.max.saturating_sub(self.found.len()).saturating_add(1);
            let search = AuditSearch {
                after,
                up_to,
                last_first: self.last_first,
                limit: u32::try_from(wanted).unwrap_or(u32::MAX),
                filter: self.filter.clone(),
            };
            self.found.extend(site.store().audit_search(&search).await?);
            if self.found.len() > self.max {
                self.found.truncate(self.max);
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

/// Selects entries as `audit list` does: all of them if nothing is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Export {
    /// The export begins after this number; default 0.
    #[serde(default)]
    after: u64,
    /// Export only entries that were written at this time or later.
    since: Option<Timestamp>,
    /// Export only entries that were written before this time.
    until: Option<Timestamp>,
    /// Export only actions of this account, named with or without the zone. `local admin` matches
    /// every local user.
    actor: Option<String>,
    /// Export only this operation (`person.create`) or this group of operations (`person`).
    operation: Option<String>,
    /// Export only entries about this object: its id, or its name with or without the zone.
    target: Option<String>,
}

/// Describes the content that follows.
#[derive(Debug, Serialize, JsonSchema)]
struct Exported {
    /// The number of entries in the content: those that existed when the export began. Absent if
    /// only some entries are exported: how many match is known at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
}

async fn export(context: Context, params: Export) -> Result<Answer<Exported>, Refusal> {
    let end = context.site().store().audit_head().await?.seq;
    let filter = AuditFilter {
        since: params.since,
        until: params.until,
        actor: params.actor,
        operation: params.operation,
        target: params.target,
    };
    let entries = end.saturating_sub(params.after);
    let entries = (filter == AuditFilter::default()).then_some(entries);
    let output = match entries {
        Some(entries) => format!("{entries} entries."),
        None => format!("The matching entries up to number {end}."),
    };
    let site = context.site().clone();
    let pages = stream::try_unfold(params.after, move |after| {
        let (site, filter) = (site.clone(), filter.clone());
        async move {
            let broken = |error: &dyn fmt::Display| ContentBroken(error.to_string());
            let read = exported_page(&site, &filter, after, end).await;
            let (entries, after) = read.map_err(|error| broken(&error))?;
            if entries.is_empty() {
                return Ok(None);
            }
            let mut lines = Vec::new();
            for entry in entries {
                let view = AuditView::from(entry);
                serde_json::to_writer(&mut lines, &view).map_err(|error| broken(&error))?;
                lines.push(b'\n');
            }
            Ok(Some((lines, after)))
        }
    });
    Ok(Answer::new(Exported { entries })
        .with_output(output)
        .with(Content::new(pages)))
}

/// Reads the next matching entries of an export, and the number to continue after. There are none
/// once the range was examined to its end. Each query examines a bounded number of entries.
async fn exported_page(
    site: &Site,
    filter: &AuditFilter,
    mut after: u64,
    end: u64,
) -> Result<(Vec<AuditEntry>, u64), StoreError> {
    while after < end {
        let up_to = after.saturating_add(SEARCHED).min(end);
        let search = AuditSearch {
            after,
            up_to,
            last_first: false,
            limit: PAGE_SIZE,
            filter: filter.clone(),
        };
        let found = site.store().audit_search(&search).await?;
        let is_full = found.len() >= PAGE_SIZE as usize;
        match found.last() {
            Some(last) if is_full => after = last.seq,
            _ => after = up_to,
        }
        if !found.is_empty() {
            return Ok((found, after));
        }
    }
    Ok((Vec::new(), end))
}

/// The settings of a verification.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Verify {
    /// Whether to ask the peers for the heads of the log that they countersigned, and to compare the
    /// log with them. This takes up to 10 seconds.
    #[serde(default)]
    peers: bool,
}

/// The result of the verification.
#[derive(Debug, Serialize, JsonSchema)]
struct Verified {
    /// Whether the whole hash chain is intact, the database is undamaged, and neither the site signed
    /// nor a peer saw another log.
    intact: bool,
    /// The number of entries that are intact, counted from the first.
    entries: u64,
    /// The hash of the last intact entry, in hexadecimal. Store it elsewhere; if a later log does
    /// not contain it, the log was replaced.
    head: String,
    /// The number of the first entry that was altered; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<u64>,
    /// What is wrong with that entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The damage found in the database; absent when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flaws: Vec<String>,
    /// The last entry that the site signed; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<SignedEntry>,
    /// The number of the first entry that is not as the site signed it; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlike_signed: Option<u64>,
    /// What each peer saw; absent unless it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<Vec<Witness>>,
}

/// An entry that the site signed with its key, and with it all entries before.
#[derive(Debug, Serialize, JsonSchema)]
struct SignedEntry {
    /// Its number.
    entry: u64,
    /// When the site signed it.
    at: Timestamp,
    /// The number of the key event whose key signed.
    key_event: u64,
}

impl From<AuditHead> for SignedEntry {
    fn from(head: AuditHead) -> Self {
        Self {
            entry: head.seq,
            at: Timestamp::from_millis(head.time),
            key_event: head.event,
        }
    }
}

async fn verify(context: Context, params: Verify) -> Result<Answer<Verified>, Refusal> {
    if let Some(caller) = context.caller().account {
        context.rate(
            Rate::AuditVerification(caller),
            "verifications of the whole audit log",
        )?;
    }
    let asked = match params.peers {
        true => Some(context.site().ask_witnesses().await),
        false => None,
    };
    let _turn = context.site().verifying().ok_or_else(|| {
        Refusal::busy("the audit log is already being verified; repeat this when that has finished")
    })?;
    let store = context.site().store();
    // Entries that are written during the verification are not part of it.
    let end = store.audit_head().await?;
    let (head, broken) =
        audit::verify_chain(end, |page| async move { store.audit(&page).await }).await?;
    // A damaged database may still hold an intact chain, so both are checked.
    let mut flaws = store.flaws().await?;
    // What a peer that cannot be read countersigned is compared with nothing.
    let peers = context.site().listed_peers().await?.into_iter();
    flaws.extend(peers.filter_map(Result::err).map(|peer| {
        let DamagedPeer {
            site,
            zone,
            problem,
        } = peer;
        format!("the peer {zone} ({site}) cannot be read: {problem}")
    }));
    let SignedLog { newest, differs } = context.site().signed_log().await?;
    let signed = newest.map(SignedEntry::from);
    let peers = match asked {
        Some(wanted) => Some(context.site().witnesses(wanted, context.now()).await?),
        None => None,
    };
    let output = match (broken, flaws.first()) {
        (None, None) => format!(
            "All {} entries are intact. The head is {}.",
            head.seq,
            HEXLOWER.encode(&head.hash)
        ),
        (None, Some(flaw)) => format!(
            "The chain of {} entries is intact, but the database is damaged: {flaw}",
            head.seq
        ),
        (Some(broken), _) => broken.to_string(),
    };
    let witnesses = peers.as_deref().unwrap_or_default();
    let contradicted = witnesses.iter().any(|peer| peer.differs.is_some());
    let mut output = vec![output];
    output.extend(signed.as_ref().map(|signed| {
        let SignedEntry { entry, at, .. } = signed;
        format!("The site signed the log up to entry {entry} at {at}.")
    }));
    output.extend(differs.map(|entry| {
        format!("The log was altered: entry {entry} is not as the site signed it, or is missing.")
    }));
    output.extend(witnesses.iter().map(Witness::line));
    if asked.is_some() && witnesses.is_empty() {
        output.push("No peer has countersigned an entry of this log.".to_owned());
    }
    Ok(Answer::new(Verified {
        intact: broken.is_none() && flaws.is_empty() && differs.is_none() && !contradicted,
        entries: head.seq,
        head: HEXLOWER.encode(&head.hash),
        broken: broken.map(|broken| broken.seq),
        problem: broken.map(|broken| broken.problem.to_string()),
        flaws,
        signed,
        unlike_signed: differs,
        peers,
    })
    .with_output(output.join("\n")))
}
