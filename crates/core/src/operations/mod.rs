//! The site's own operations. Each file holds the operations of one group, or one part of a group.

mod account;
mod alarm;
mod app;
mod attempts;
mod audit;
mod broker;
mod condition;
mod config;
mod delivered;
mod device;
mod event;

mod key;
mod lockdown;
mod operation;
mod option;
mod own;
mod passphrase;
mod peer;
mod penalty;
mod person;
mod proof;
mod service;
mod session;
mod site;
mod subject;
mod ticket;
mod token;

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::engine::{Context, MAX_PAGE_BYTES, Refusal, Table, TableError};
use crate::store::DamagedRow;

/// Returns a table with all of the site's own operations. An embedding application adds its own
/// entries to it.
///
/// # Errors
/// [`TableError`] when two entries have the same name. A test excludes this for the entries here.
pub fn table() -> Result<Table, TableError> {
    let mut table = Table::new();
    let entries = [
        person::entries(),
        passphrase::entries(),
        delivered::entries(),
        own::entries(),
        proof::entries(),
        service::entries(),
        key::entries(),
        app::entries(),
        broker::entries(),
        ticket::entries(),
        token::entries(),
        device::entries(),
        peer::entries(),
        session::entries(),
        penalty::entries(),
        lockdown::entries(),
        site::entries(),
        config::entries(),
        audit::entries(),
        alarm::entries(),
        event::entries(),
        option::entries(),
        operation::entries(),
    ];
    for entry in entries.into_iter().flatten() {
        table.add(entry)?;
    }
    Ok(table)
}

/// The parameters of an operation that takes none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoParams {}

/// The result of an operation that returns no data.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {}

/// A page of a list, of at most 512 KiB.
#[derive(Debug, Serialize, JsonSchema)]
struct Listing<T> {
    /// The entries of this page, in order.
    entries: Vec<T>,
    /// Pass this as `after` to get the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<T> Listing<T> {
    /// Makes a page from entries that were read with a limit of `limit + 1`. The extra entry only
    /// shows that there is another page. The page ends earlier where it would have more than
    /// [`MAX_PAGE_BYTES`], but has one entry at least.
    fn of(mut entries: Vec<T>, limit: Limit, cursor: impl Fn(&T) -> String) -> Self
    where
        T: Serialize,
    {
        let most = fitting(&entries, limit.entries());
        let more = entries.len() > most;
        entries.truncate(most);
        let next = more.then(|| entries.last().map(cursor)).flatten();
        Self { entries, next }
    }

    /// Returns one line of text per entry.
    fn lines(&self, line: impl Fn(&T) -> String) -> String {
        self.entries.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A page of a list whose rows may be damaged, of at most 512 KiB.
#[derive(Debug, Serialize, JsonSchema)]
struct Rows<T, D> {
    /// The entries of this page, in order.
    entries: Vec<T>,
    /// The entries of this page that cannot be read; absent when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<D>,
    /// Pass this as `after` to get the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<T: Serialize, D: Serialize + fmt::Display> Rows<T, D> {
    /// Makes a page as [`Listing::of`] does, of the rows after `after`.
    fn of(
        rows: Vec<Result<T, D>>,
        limit: Limit,
        after: Option<&str>,
        cursor: impl Fn(Result<&T, &D>) -> String,
    ) -> Self {
        let page = Listing::of(rows, limit, |row| cursor(row.as_ref()));
        let mut rows = Self {
            entries: Vec::with_capacity(page.entries.len()),
            damaged: Vec::new(),
            // A damaged id may not sort where it is stored. Without this check the list might never
            // end.
            next: page.next.filter(|next| Some(next.as_str()) != after),
        };
        for row in page.entries {
            match row {
                Ok(entry) => rows.entries.push(entry),
                Err(damaged) => rows.damaged.push(damaged),
            }
        }
        rows
    }

    /// Returns one line of text per entry, and then per damaged entry.
    fn lines(&self, line: impl Fn(&T) -> String) -> String {
        let entries = self.entries.iter().map(line);
        let damaged = self.damaged.iter().map(D::to_string);
        entries.chain(damaged).collect::<Vec<_>>().join("\n")
    }
}

/// What a list shows of a damaged row.
fn damaged_line(f: &mut fmt::Formatter<'_>, name: &str, problem: &str) -> fmt::Result {
    write!(f, "{name}  damaged: {problem}")
}

/// The damaged row of this kind, if the caller may touch it.
///
/// # Errors
/// `not_found` if the caller has no access to it.
fn admitted<I: fmt::Display>(
    context: &Context,
    what: &str,
    damaged: Option<DamagedRow<I>>,
) -> Result<Option<DamagedRow<I>>, Refusal> {
    match damaged {
        Some(row) if !context.admits(row.account) => {
            Err(Refusal::not_found(what, row.id).of_field("id"))
        }
        damaged => Ok(damaged),
    }
}

/// How many of the first entries are a page.
fn fitting<T: Serialize>(entries: &[T], most: usize) -> usize {
    let mut bytes = 0_usize;
    let sizes = entries.iter().take(most).map(|entry| {
        // An entry that cannot be written fails with the whole result.
        serde_json::to_vec(entry).map_or(0, |entry| entry.len())
    });
    let fitting = sizes.take_while(|size| {
        bytes = bytes.saturating_add(*size);
        bytes <= MAX_PAGE_BYTES
    });
    fitting.count().max(most.min(1))
}

/// The maximum number of entries in a page: 1 to 1,000, default 100.
#[derive(Debug, Clone, Copy)]
struct Limit(u32);

impl Limit {
    const MAX: u32 = 1000;
    const DEFAULT: Self = Self(100);

    const fn entries(self) -> usize {
        self.0 as usize
    }

    /// One more than the page shows, so that the reader learns whether there is another page.
    const fn plus_one(self) -> u32 {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Whole::<1, { Self::MAX }>::deserialize(deserializer).map(|limit| Self(limit.0))
    }
}

/// A whole number of a range, whose bounds are in the message for all wrong values, of another type too.
#[derive(Debug, Clone, Copy)]
struct Whole<const LEAST: u32, const MOST: u32>(u32);

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Whole<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u32(WholeVisitor::<LEAST, MOST>)
    }
}

struct WholeVisitor<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Visitor<'_> for WholeVisitor<LEAST, MOST> {
    type Value = Whole<LEAST, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {LEAST} to {MOST}")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        match u32::try_from(value) {
            Ok(number) if (LEAST..=MOST).contains(&number) => Ok(Whole(number)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": Limit::MAX, "default": 100 })
    }
}
