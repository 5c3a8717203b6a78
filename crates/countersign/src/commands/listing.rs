//! Lists that come in stretches, shown as one.

use countersign_proto::operation::{Code, Outcome};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::cli::Common;
use crate::failure::{Exit, Failure};
use crate::output::{Format, show_data};

/// The longest stretch that a site gives at a time.
const STRETCH: u32 = 1000;

/// Lists all that there is, however many stretches it takes.
pub(crate) fn list(
    common: &Common,
    group: &str,
    command: &str,
    mut params: Value,
) -> Result<(), Failure> {
    let mut admin = Admin::connect(&common.data)?;
    let mut whole = Whole::default();
    put(&mut params, "limit", json!(STRETCH));
    loop {
        let outcome = admin.run(group, command, &params)?;
        if outcome.code != Code::SUCCESS {
            return Err(Failure::outcome(&outcome));
        }
        match whole.add(&outcome)? {
            Some(next) => put(&mut params, "after", next),
            None => return whole.show(common.format()),
        }
    }
}

/// The stretches that have come so far.
#[derive(Default)]
struct Whole {
    /// As the site wrote them.
    entries: Vec<Box<RawValue>>,
    /// Likewise, those that cannot be read.
    damaged: Vec<Box<RawValue>>,
    lines: Vec<String>,
}

/// One stretch.
#[derive(Deserialize)]
struct Stretch {
    #[serde(default)]
    entries: Vec<Box<RawValue>>,
    #[serde(default)]
    damaged: Vec<Box<RawValue>>,
    next: Option<Value>,
}

impl Whole {
    /// Takes a stretch; tells after what the next one begins.
    fn add(&mut self, outcome: &Outcome) -> Result<Option<Value>, Failure> {
        let stretch: Stretch = serde_json::from_str(outcome.data.get())
            .map_err(|error| Failure::new(Exit::Failure, "protocol", error))?;
        self.entries.extend(stretch.entries);
        self.damaged.extend(stretch.damaged);
        self.lines.extend(outcome.output.lines().map(str::to_owned));
        Ok(stretch.next)
    }

    fn show(self, format: Format) -> Result<(), Failure> {
        let text = |list: &[Box<RawValue>]| {
            serde_json::to_string(list)
                .map_err(|error| Failure::new(Exit::Failure, "protocol", error))
        };
        let mut data = format!(r#"{{"entries":{}"#, text(&self.entries)?);
        if !self.damaged.is_empty() {
            data.push_str(&format!(r#","damaged":{}"#, text(&self.damaged)?));
        }
        data.push('}');
        show_data(&data, &self.lines.join("\n"), format)
    }
}

fn put(params: &mut Value, key: &str, value: Value) {
    if let Value::Object(params) = params {
        params.insert(key.to_owned(), value);
    }
}
