//! The site's own operations, one file a group.

mod account;
mod alarm;
mod app;
mod audit;
mod backup;
mod broker;
mod delivered;
mod dump;
mod key;
mod operation;
mod option;
mod own;
mod passphrase;
mod penalty;
mod person;
mod proof;
mod service;
mod session;
mod site;
mod site_key;
mod ticket;
mod whose;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::engine::{Table, TableError};

/// A table with all of the site's own operations. An embedding application adds its own to it.
///
/// # Errors
/// None in a released version: [`TableError`] when two entries share a name.
pub fn table() -> Result<Table, TableError> {
    let mut table = Table::new();
    let entries = [
        person::entries(),
        passphrase::entries(),
        delivered::entries(),
        dump::entries(),
        own::entries(),
        proof::entries(),
        service::entries(),
        key::entries(),
        app::entries(),
        broker::entries(),
        ticket::entries(),
        session::entries(),
        penalty::entries(),
        site::entries(),
        site_key::entries(),
        backup::entries(),
        audit::entries(),
        alarm::entries(),
        option::entries(),
        operation::entries(),
    ];
    for entry in entries.into_iter().flatten() {
        table.add(entry)?;
    }
    Ok(table)
}

/// Nothing to say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoParams {}

/// Nothing to answer but that it was done.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {}

/// A stretch of a list.
#[derive(Debug, Serialize, JsonSchema)]
struct Listing<T> {
    /// What was found, in order.
    entries: Vec<T>,
    /// Pass this as `after` to go on; absent when this is the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<T> Listing<T> {
    /// What was read with a limit one above `limit`, so that the end is known without counting.
    fn of(mut entries: Vec<T>, limit: Limit, cursor: impl Fn(&T) -> String) -> Self {
        let more = entries.len() > limit.entries();
        entries.truncate(limit.entries());
        let next = more.then(|| entries.last().map(cursor)).flatten();
        Self { entries, next }
    }

    /// One line an entry.
    fn lines(&self, line: impl Fn(&T) -> String) -> String {
        self.entries.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// How many entries to list at most.
#[derive(Debug, Clone, Copy)]
struct Limit(u32);

impl Limit {
    const MOST: u32 = 1000;
    const USUAL: Self = Self(100);

    const fn entries(self) -> usize {
        self.0 as usize
    }

    /// One more than is shown, to know whether there is more.
    const fn and_one(self) -> u32 {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::USUAL
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = u32::deserialize(deserializer)?;
        if (1..=Self::MOST).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(serde::de::Error::custom(format_args!(
                "{limit} is not from 1 to {}",
                Self::MOST
            )))
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
        json_schema!({ "type": "integer", "minimum": 1, "maximum": Limit::MOST, "default": 100 })
    }
}
