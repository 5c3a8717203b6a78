//! The table of operations. Each operation of a site is one entry. The interpreter, authorization,
//! audit, help and the reference page are all derived from it. An application that embeds
//! Countersign adds its own entries to the same table.
//!
//! ```
//! use countersign_core::access::Role;
//! use countersign_core::engine::{Answer, Entry, Table};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Greet {
//!     /// The name of the person to greet.
//!     name: String,
//! }
//!
//! let greeting = String::from("Hello");
//! let entry = Entry::new("demo", "greet")
//!     .summary("Greets a person.")
//!     .allow(&[Role::Admin, Role::Member])
//!     .example(serde_json::json!({ "name": "Maria" }))
//!     .handler(move |_, greet: Greet| {
//!         let text = format!("{greeting}, {}!", greet.name);
//!         async move { Ok(Answer::new(()).with_output(text)) }
//!     });
//! let mut table = Table::new();
//! table.add(entry)?;
//! # Ok::<(), countersign_core::engine::TableError>(())
//! ```

mod answer;
mod disruptive;
mod entry;

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_proto::operation::is_name;

use crate::engine::Refusal;
use crate::text::change_spans;

pub use answer::Answer;
pub(crate) use answer::Reply;
pub use disruptive::{DisruptiveWhen, ParameterIs};
pub use entry::{Entry, EntryBuilder, MAX_PAGE_BYTES};

/// Why an entry cannot be added to the table. This is a programming error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The table already has an entry of this name.
    #[error("there is already an operation {name}")]
    Duplicate {
        /// `group.command`.
        name: String,
    },
    /// The group or the command is not a valid name.
    #[error(
        "`{name}` is not a valid name for an operation; use lower-case letters, digits and underscores"
    )]
    BadName {
        /// `group.command`.
        name: String,
    },
    /// The type of the parameters accepts unknown fields.
    #[error("the parameters of {name} accept unknown fields; add #[serde(deny_unknown_fields)]")]
    LooseParams {
        /// `group.command`.
        name: String,
    },
}

/// All operations, sorted by group and command.
#[derive(Debug, Default)]
pub struct Table {
    groups: BTreeMap<&'static str, BTreeMap<&'static str, Arc<Entry>>>,
}

impl Table {
    /// Makes a table without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`TableError`]; the table stays as it was.
    pub fn add(&mut self, entry: Entry) -> Result<(), TableError> {
        let name = entry.name().to_owned();
        if !is_name(entry.group()) || !is_name(entry.command()) {
            return Err(TableError::BadName { name });
        }
        let closed = entry.params().get("additionalProperties") == Some(&false.into());
        if !closed {
            return Err(TableError::LooseParams { name });
        }
        let commands = self.groups.entry(entry.group()).or_default();
        if commands.contains_key(entry.command()) {
            return Err(TableError::Duplicate { name });
        }
        commands.insert(entry.command(), Arc::new(entry));
        Ok(())
    }

    /// Returns the entry of this name.
    #[must_use]
    pub fn find(&self, group: &str, command: &str) -> Option<&Arc<Entry>> {
        self.groups.get(group)?.get(command)
    }

    /// Returns the entry of the operation with which a text begins, as `peer resume b.example` does, and the
    /// arguments that follow it; these begin with a space if there are any.
    #[must_use]
    pub fn named_in<'a>(&self, text: &'a str) -> Option<(&Arc<Entry>, &'a str)> {
        let (group, rest) = text.split_once(' ')?;
        let (command, arguments) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        Some((self.find(group, command)?, arguments))
    }

    /// Returns the command line that runs the operation with which a text begins, without the name of the
    /// program and with the arguments that follow the operation; `None` for other text, and for an operation
    /// that programs alone run.
    #[must_use]
    pub fn command_line(&self, text: &str) -> Option<String> {
        let (entry, arguments) = self.named_in(text)?;
        Some(format!("{}{arguments}", entry.command_line()?))
    }

    /// Returns a text in which each operation between backticks is replaced by the command that runs it.
    #[must_use]
    pub fn in_commands(&self, text: &str) -> String {
        change_spans(text, |span| match self.command_line(span) {
            Some(words) => format!("countersign {words}"),
            None => span.to_owned(),
        })
    }

    /// Returns all entries, sorted by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let commands = self.groups.values().flat_map(BTreeMap::values);
        commands.map(|entry| &**entry)
    }

    /// Returns all entries as they are shared, sorted by name.
    pub(crate) fn shared_entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.groups.values().flat_map(BTreeMap::values)
    }

    /// Returns the refusal for an unknown name. Its hint names the most similar operation.
    pub(crate) fn unknown(&self, group: &str, command: &str) -> Refusal {
        match self.groups.get(group) {
            Some(commands) => Refusal::unknown_operation(
                format!("the group {group} has no command {command}"),
                suggestion(command, commands.keys().copied()),
            ),
            None => Refusal::unknown_operation(
                format!("there is no group {group}"),
                suggestion(group, self.groups.keys().copied()),
            ),
        }
    }
}

fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = known
        .clone()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3));
    match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!(
            "the known names are: {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Strict {}

    #[derive(Deserialize, JsonSchema)]
    struct Loose {}

    fn entry<P: DeserializeOwned + JsonSchema + 'static>(
        group: &'static str,
        command: &'static str,
    ) -> Entry {
        Entry::new(group, command).handler(|_, _: P| async { Ok(Answer::new(())) })
    }

    #[test]
    fn a_second_entry_of_one_name_is_refused() {
        let mut table = Table::new();
        table.add(entry::<Strict>("demo", "greet")).unwrap();
        table.add(entry::<Strict>("demo", "part")).unwrap();
        assert_eq!(
            table.add(entry::<Strict>("demo", "greet")),
            Err(TableError::Duplicate {
                name: "demo.greet".to_owned()
            })
        );
        assert_eq!(table.entries().count(), 2);
    }

    #[test]
    fn a_name_is_short_and_plain() {
        let mut table = Table::new();
        let refused = table.add(entry::<Strict>("Demo", "greet"));
        assert!(matches!(refused, Err(TableError::BadName { .. })));
        assert_eq!(table.entries().count(), 0);
    }

    #[test]
    fn params_that_take_unknown_fields_are_refused() {
        let refused = Table::new().add(entry::<Loose>("demo", "greet"));
        assert!(matches!(refused, Err(TableError::LooseParams { .. })));
    }
}
