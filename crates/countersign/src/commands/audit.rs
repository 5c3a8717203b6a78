//! `countersign audit`.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::admin::Admin;
use crate::cli::{Audit, Common};
use crate::failure::{Exit, Failure};
use crate::output::{say, show};

pub(crate) fn run(common: &Common, verb: &Audit) -> Result<ExitCode, Failure> {
    let mut admin = Admin::connect(&common.data)?;
    let (command, params) = match verb {
        Audit::List { after, limit } => ("list", json!({ "after": after, "limit": limit })),
        Audit::Verify => ("verify", json!({})),
    };
    let outcome = admin.run("audit", command, &params)?;
    show(&outcome, common.format())?;
    let data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
    if let Some(next) = data.get("next").and_then(Value::as_str) {
        say(format_args!("There is more: go on with --after {next}."));
    }
    // Only a log that is said to be whole passes.
    let whole = data.get("intact").and_then(Value::as_bool) == Some(true);
    Ok(match verb {
        Audit::Verify if !whole => ExitCode::from(Exit::Problems as u8),
        Audit::Verify | Audit::List { .. } => ExitCode::SUCCESS,
    })
}
