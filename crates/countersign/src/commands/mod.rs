//! The commands, one file for each noun.

pub(crate) mod alarm;
pub(crate) mod app;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod broker;
pub(crate) mod call;
pub(crate) mod config;
pub(crate) mod confirm;
pub(crate) mod console;
pub(crate) mod device;
pub(crate) mod doctor;
pub(crate) mod enrol;
pub(crate) mod key;
mod link;
mod listing;
pub(crate) mod lockdown;
pub(crate) mod login;
pub(crate) mod operation;
pub(crate) mod option;
pub(crate) mod passphrase;
pub(crate) mod peer;
pub(crate) mod penalty;
pub(crate) mod person;
pub(crate) mod profile;
pub(crate) mod service;
pub(crate) mod session;
pub(crate) mod shell;
pub(crate) mod signing;
pub(crate) mod site;
pub(crate) mod ticket;
mod ticket_input;
pub(crate) mod token;

use serde::Serialize;
use serde_json::Value;

use crate::admin::Admin;
use crate::failure::Failure;
use crate::global::Common;
use crate::output::show_of;

/// Runs one operation through the admin socket and shows its result; asks before a disruptive one.
pub(crate) fn admin_call(
    common: &Common,
    group: &str,
    command: &str,
    params: &impl Serialize,
) -> Result<(), Failure> {
    let named = serde_json::to_value(params).unwrap_or_default();
    confirm::before(common, group, command, &named)?;
    confirmed_call(common, group, command, params)
}

/// Runs one operation as [`admin_call`] does, without asking: the command has asked already, or the
/// user typed a new secret for it.
pub(crate) fn confirmed_call(
    common: &Common,
    group: &str,
    command: &str,
    params: &impl Serialize,
) -> Result<(), Failure> {
    let outcome = Admin::connect(&common.data)?.run(group, command, params)?;
    show_of(&format!("{group} {command}"), &outcome, common.format())
}

/// Removes the parameters that are null: those that the user did not give.
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
