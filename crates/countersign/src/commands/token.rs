//! `countersign token`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_proto::operation::Code;
use serde_json::{Value, json};

use super::listing::list;
use super::{admin_call, given};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE};
use crate::global::Common;
use crate::input::duration::seconds;
use crate::output::{path, show, show_data};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Creates an access token for a service and shows it once.
    Create(Create),
    /// Lists access tokens with their last use, oldest first.
    List {
        /// Account name of a person or service [default: the tokens of all].
        account: Option<String>,
    },
    /// Revokes an access token at once.
    Revoke {
        /// Id of the token.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Account name of the service. A person creates a token for themselves in a session:
    /// `countersign call --prove token create`.
    service: String,
    /// Operation that the token permits, such as alarm.raise; may be repeated.
    #[arg(long = "operation", value_name = "GROUP.COMMAND", required = true)]
    operations: Vec<String>,
    /// Label, such as where the token is used.
    #[arg(long)]
    label: Option<String>,
    /// Lifetime of the token, such as 1h or 30d [default: 30d].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u32>,
    /// Writes the token to this new file (mode 0600) instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(command) => create(common, &command),
        Verb::List { account } => {
            let params = given(json!({ "account": account }));
            list(common, "token", "list", params)
        }
        Verb::Revoke { id } => admin_call(common, "token", "revoke", &json!({ "id": id })),
    }
}

fn create(common: &Common, command: &Create) -> Result<(), Failure> {
    let params = given(json!({
        "service": command.service,
        "operations": command.operations,
        "label": command.label,
        "expires_in": command.expires,
    }));
    // Check the file first: the token is shown once.
    if let Some(file) = &command.out {
        files::check(file, Existing::Kept)?;
    }
    let outcome = Admin::connect(&common.data)?.run("token", "create", &params)?;
    if outcome.code != Code::SUCCESS {
        return Err(Failure::outcome(&outcome));
    }
    match &command.out {
        Some(file) => write(common, outcome.data.get(), file),
        None => show(&outcome, common.format()),
    }
}

/// Writes the token to a file that only its owner can read, from its beginning on.
fn write(common: &Common, created: &str, file: &Path) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::new(Exit::Failure, "protocol", error);
    let mut created: Value = serde_json::from_str(created).map_err(|error| unreadable(&error))?;
    let fields = created.as_object_mut();
    let token = fields.and_then(|fields| fields.remove("token"));
    let token = token.as_ref().and_then(Value::as_str);
    let token = token.ok_or_else(|| unreadable(&"the site returned no token"))?;
    let line = format!("{token}\n");
    files::write(file, PRIVATE, Existing::Kept, line.as_bytes())?;
    let shown = path(file);
    if let Some(fields) = created.as_object_mut() {
        fields.insert("file".to_owned(), shown.clone().into());
    }
    let text = |name: &str| {
        let text = created.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (id, account, expires) = (text("id"), text("account"), text("expires"));
    let output = format!(
        "Wrote the access token {id} for {account} to {shown}. It is valid until {expires}."
    );
    show_data(&created.to_string(), &output, common.format())
}
