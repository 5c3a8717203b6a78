//! What each command does, one file a noun.

pub(crate) mod app;
mod app_call;
pub(crate) mod audit;
pub(crate) mod broker;
pub(crate) mod call;
pub(crate) mod config;
pub(crate) mod content;
pub(crate) mod key;
mod listing;
pub(crate) mod option;
pub(crate) mod penalty;
pub(crate) mod person;
pub(crate) mod service;
pub(crate) mod session;
pub(crate) mod shell;
pub(crate) mod site;

use std::io::{BufRead, IsTerminal};

use serde::Serialize;
use serde_json::Value;

use crate::admin::Admin;
use crate::cli::Common;
use crate::failure::Failure;
use crate::output::{say, show};

/// Runs one operation through the admin socket and shows its result.
pub(crate) fn admin_call(
    common: &Common,
    group: &str,
    command: &str,
    params: &impl Serialize,
) -> Result<(), Failure> {
    let outcome = Admin::connect(&common.data)?.run(group, command, params)?;
    show(&outcome, common.format())
}

/// Asks before something that cannot be undone.
pub(crate) fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    agree(&format!("{what} cannot be undone"), yes)
}

/// Asks before something that has this consequence.
pub(crate) fn agree(consequence: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(consequence).hint("say --yes where nobody can be asked"));
    }
    say(format_args!("{consequence}. Type yes to go on:"));
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_ok() && line.trim() == "yes" {
        Ok(())
    } else {
        Err(Failure::usage("nothing was changed"))
    }
}

/// The parameters that were given, without those that were left out.
pub(crate) fn given(params: Value) -> Value {
    match params {
        Value::Object(params) => Value::Object(
            params
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        other => other,
    }
}
