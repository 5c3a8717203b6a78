//! `countersign audit`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::content::{Sink, progress};
use crate::admin::Admin;
use crate::cli::{Audit, Common};
use crate::failure::{Exit, Failure};
use crate::files::Existing;
use crate::output::{say, show};

pub(crate) fn run(common: &Common, verb: &Audit) -> Result<ExitCode, Failure> {
    match verb {
        Audit::List { after, limit } => {
            let params = json!({ "after": after, "limit": limit });
            let data = shown(common, "list", &params)?;
            if let Some(next) = data.get("next").filter(|next| !next.is_null()) {
                say(format_args!("There is more: go on with --after {next}."));
            }
            Ok(ExitCode::SUCCESS)
        }
        Audit::Export { after, save, force } => {
            export(common, *after, save.as_deref(), Existing::forced(*force))?;
            Ok(ExitCode::SUCCESS)
        }
        Audit::Verify => {
            let data = shown(common, "verify", &json!({}))?;
            // Only a log that is said to be whole passes.
            Ok(match data.get("intact").and_then(Value::as_bool) {
                Some(true) => ExitCode::SUCCESS,
                _ => ExitCode::from(Exit::Problems as u8),
            })
        }
    }
}

/// Runs an operation and shows its result; its data, to look into.
fn shown(common: &Common, command: &str, params: &Value) -> Result<Value, Failure> {
    let outcome = Admin::connect(&common.data)?.run("audit", command, params)?;
    show(&outcome, common.format())?;
    Ok(serde_json::from_str(outcome.data.get()).unwrap_or_default())
}

fn export(
    common: &Common,
    after: u64,
    save: Option<&Path>,
    existing: Existing,
) -> Result<(), Failure> {
    let mut sink = Sink::open_interruptible(save, existing, common.format())?;
    let bar = progress(None);
    let params = json!({ "after": after });
    let exported = Admin::connect(&common.data)?.content("audit", "export", &params, |piece| {
        bar.inc(piece.len() as u64);
        sink.write(piece)
    });
    bar.finish_and_clear();
    say(&exported?.output);
    sink.finish()
}
