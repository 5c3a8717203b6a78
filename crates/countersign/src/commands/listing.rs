//! Reads a list page by page and shows it as one list.

use countersign_proto::operation::{Code, Outcome};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::hint;
use crate::output::{Format, say, show_list};

/// The greatest number of entries that a site returns in one page.
const MAX_PAGE: u32 = 1000;

/// Shows the complete list that an operation returns in pages.
pub(crate) fn list(
    common: &Common,
    group: &str,
    command: &str,
    mut params: Value,
) -> Result<(), Failure> {
    let mut admin = Admin::connect(&common.data)?;
    let mut whole = Whole::default();
    put(&mut params, "limit", json!(MAX_PAGE));
    loop {
        let outcome = admin.run(group, command, &params)?;
        if outcome.code != Code::SUCCESS {
            return Err(Failure::outcome(&outcome));
        }
        match whole.add(&outcome)? {
            Some(next) => put(&mut params, "after", next),
            None => {
                let operation = format!("{group} {command}");
                return whole.show(&operation, common);
            }
        }
    }
}

/// The pages read so far.
#[derive(Default)]
struct Whole {
    /// The texts of the pages, for lists of which this program knows no columns.
    texts: Vec<String>,
    /// The entries, unchanged.
    entries: Vec<Box<RawValue>>,
    /// Entries that the site has and cannot read.
    damaged: Vec<Box<RawValue>>,
}

/// One page.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    entries: Vec<Box<RawValue>>,
    #[serde(default)]
    damaged: Vec<Box<RawValue>>,
    next: Option<Value>,
}

impl Whole {
    /// Adds a page. Returns the position after which the next one begins; `None` after the last.
    fn add(&mut self, outcome: &Outcome) -> Result<Option<Value>, Failure> {
        let page: Page = serde_json::from_str(outcome.data.get())
            .map_err(|error| Failure::new(Exit::Failure, "protocol", error))?;
        self.texts
            .extend(Some(outcome.output.clone()).filter(|text| !text.is_empty()));
        self.entries.extend(page.entries);
        self.damaged.extend(page.damaged);
        Ok(page.next)
    }

    fn show(self, operation: &str, common: &Common) -> Result<(), Failure> {
        let format = common.format();
        if format == Format::Jsonl && !self.damaged.is_empty() {
            // The format with a line for each entry has no place for them.
            let count = self.damaged.len();
            say(format_args!(
                "The site cannot read {count} entries; --json shows them."
            ));
        }
        let (data, texts) = (self.data()?, self.texts.join("\n"));
        show_list(operation, &data, &texts, format, |text| {
            hint::commands_in(text, &common.data)
        })
    }

    /// All pages in the form of one.
    fn data(&self) -> Result<String, Failure> {
        let list = |list| {
            serde_json::to_string(list)
                .map_err(|error| Failure::new(Exit::Failure, "protocol", error))
        };
        let entries = list(&self.entries)?;
        if self.damaged.is_empty() {
            return Ok(format!(r#"{{"entries":{entries}}}"#));
        }
        let damaged = list(&self.damaged)?;
        Ok(format!(r#"{{"entries":{entries},"damaged":{damaged}}}"#))
    }
}

fn put(params: &mut Value, key: &str, value: Value) {
    if let Value::Object(params) = params {
        params.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `app list --json` omitted the registrations that the site cannot read.
    #[test]
    fn a_list_of_several_pages_is_complete() {
        let mut whole = Whole::default();
        let pages = [
            json!({ "entries": [{ "id": "a" }], "damaged": [{ "id": "b" }], "next": "b" }),
            json!({ "entries": [{ "id": "c" }] }),
        ];
        let next = pages.map(|data| {
            let data = serde_json::value::to_raw_value(&data).unwrap();
            let outcome = Outcome {
                id: 1,
                code: Code::SUCCESS,
                output: data.get().len().to_string(),
                data,
            };
            whole.add(&outcome).unwrap()
        });
        assert_eq!(next, [Some(json!("b")), None]);
        assert_eq!(whole.texts.len(), 2);
        assert_eq!(
            whole.data().unwrap(),
            r#"{"entries":[{"id":"a"},{"id":"c"}],"damaged":[{"id":"b"}]}"#
        );
    }
}
