//! `countersign audit`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::{Code, Outcome};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::content::{Sink, progress};
use crate::failure::{Exit, Failure};
use crate::files::Existing;
use crate::global::Common;
use crate::output::{say, show_of};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists the last entries, oldest first.
    List(List),
    /// Exports all entries, or those that match, as JSON, one entry on each line.
    Export {
        /// Starts after the entry with this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
        #[command(flatten)]
        filter: Filter,
        /// Writes to this file (`-`: standard output).
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
        /// Replaces the file if it exists.
        #[arg(long, requires = "save")]
        force: bool,
    },
    /// Verifies the whole hash chain; exit code 8 if an entry was changed.
    Verify {
        /// Also asks the peers for the heads of the log that they countersigned, and compares them.
        #[arg(long)]
        peers: bool,
    },
}

/// Selects entries by what they say.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only entries from this time on, such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only entries before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only entries of this account; `local admin` is the admin socket.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only entries of this operation (person.create) or group of operations (person).
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Only entries about this object: its id, or its name with or without the zone.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

impl Filter {
    /// The parameters of the filter, and these.
    fn params(&self, others: Value) -> Value {
        let mut all = json!({
            "since": self.since,
            "until": self.until,
            "actor": self.actor,
            "operation": self.operation,
            "target": self.target,
        });
        if let (Value::Object(all), Value::Object(others)) = (&mut all, others) {
            all.extend(others);
            all.retain(|_, value| !value.is_null());
        }
        all
    }
}

/// Selects entries.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Lists the first entries after this number instead of the last ones.
    #[arg(long, value_name = "NUMBER", conflicts_with = "last")]
    after: Option<u64>,
    /// Lists only entries before this number.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Lists this many of the last entries.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    last: Option<u32>,
    /// Lists at most this many entries.
    #[arg(long, default_value_t = 100, conflicts_with = "last", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    filter: Filter,
    /// Waits for new entries and shows them, until it is interrupted.
    #[arg(long, conflicts_with = "before")]
    follow: bool,
}

/// How often `--follow` asks for new entries.
const FOLLOWED_EVERY: Duration = Duration::from_secs(1);

impl List {
    fn params(&self, after: Option<u64>, before: Option<u64>) -> Value {
        self.filter.params(json!({
            "after": after,
            "before": before,
            "limit": self.last.unwrap_or(self.limit),
        }))
    }

    fn run(&self, common: &Common) -> Result<(), Failure> {
        let end = self.follow.then(|| end(common)).transpose()?;
        let mut listed = shown(common, "list", &self.params(self.after, self.before))?;
        let Some(mut end) = end else {
            for (further, flag) in [("next", "--after"), ("earlier", "--before")] {
                if let Some(number) = listed.get(further).and_then(Value::as_u64) {
                    say(format_args!(
                        "There are more entries: continue with {flag} {number}."
                    ));
                }
            }
            return Ok(());
        };
        loop {
            let seen = followed_from(&listed, end);
            if listed.get("next").is_none() {
                std::thread::sleep(FOLLOWED_EVERY);
            }
            end = self::end(common)?;
            let params = self.params(Some(seen), Some(end.saturating_add(1)));
            let (outcome, data) = run_once(common, "list", &params)?;
            listed = data;
            if listed.pointer("/entries/0").is_some() {
                show_of("audit list", &outcome, common.format())?;
            }
        }
    }
}

/// The number of the last entry; 0 if there is none.
fn end(common: &Common) -> Result<u64, Failure> {
    let last = Admin::connect(&common.data)?.data("audit", "list", &json!({ "limit": 1 }))?;
    Ok(last_of(&last).unwrap_or(0))
}

fn last_of(listed: &Value) -> Option<u64> {
    listed
        .get("entries")?
        .as_array()?
        .last()?
        .get("seq")?
        .as_u64()
}

/// The number after which `--follow` continues, when `listed` covers the log up to the entry `end`.
/// Entries that the filter excluded are not searched again.
fn followed_from(listed: &Value, end: u64) -> u64 {
    let next = listed.get("next").and_then(Value::as_u64);
    next.unwrap_or_else(|| last_of(listed).map_or(end, |last| last.max(end)))
}

pub(crate) fn run(common: &Common, verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::List(wanted) => {
            wanted.run(common)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Export {
            after,
            filter,
            save,
            force,
        } => {
            let params = filter.params(json!({ "after": after }));
            export(common, &params, save.as_deref(), Existing::forced(*force))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Verify { peers } => {
            let data = shown(common, "verify", &json!({ "peers": peers }))?;
            // Any result other than "intact" is a problem.
            Ok(match data.get("intact").and_then(Value::as_bool) {
                Some(true) => ExitCode::SUCCESS,
                _ => ExitCode::from(Exit::Problems as u8),
            })
        }
    }
}

/// Runs an operation, shows its result and returns its data.
fn shown(common: &Common, command: &str, params: &Value) -> Result<Value, Failure> {
    let (outcome, data) = run_once(common, command, params)?;
    show_of(&format!("audit {command}"), &outcome, common.format())?;
    Ok(data)
}

fn run_once(common: &Common, command: &str, params: &Value) -> Result<(Outcome, Value), Failure> {
    let outcome = Admin::connect(&common.data)?.run("audit", command, params)?;
    if outcome.code != Code::SUCCESS {
        return Err(Failure::outcome(&outcome));
    }
    let data = serde_json::from_str(outcome.data.get()).unwrap_or_default();
    Ok((outcome, data))
}

fn export(
    common: &Common,
    params: &Value,
    save: Option<&Path>,
    existing: Existing,
) -> Result<(), Failure> {
    let mut sink = Sink::open_interruptible(save, existing, common.format())?;
    let bar = progress(None);
    let exported = Admin::connect(&common.data)?.content("audit", "export", params, |piece| {
        bar.inc(piece.len() as u64);
        sink.write(piece)
    });
    bar.finish_and_clear();
    say(&exported?.output);
    sink.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a filter that excluded every entry, the whole log was searched again each second.
    #[test]
    fn excluded_entries_are_not_searched_again() {
        let listed = json!({ "entries": [] });
        assert_eq!(followed_from(&listed, 7), 7);
        let listed = json!({ "entries": [{ "seq": 3 }] });
        assert_eq!(followed_from(&listed, 7), 7);
        // This entry was written after the end was determined.
        let listed = json!({ "entries": [{ "seq": 9 }] });
        assert_eq!(followed_from(&listed, 7), 9);
        let listed = json!({ "entries": [{ "seq": 3 }], "next": 3 });
        assert_eq!(followed_from(&listed, 7), 3);
    }
}
