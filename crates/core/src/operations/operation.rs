//! `operation`: lists the operations of the site. Shells build their help from it.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::{Channel, Role};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, DisruptiveWhen, Entry, Refusal};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("operation", "list")
            .summary("Lists the operations that you may call, with their parameters and results.")
            .allow(&Role::ALL)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/operations")
            .example(json!({ "group": "person" }))
            .handler(list),
    ]
}

/// Selects operations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Return only the operations of this group.
    group: Option<String>,
    /// Return the operations that an access token of an account with this role may name, in place of
    /// those that you may call.
    token_role: Option<Role>,
}

/// The operations that the caller, or an access token, may call.
#[derive(Debug, Serialize, JsonSchema)]
struct Operations {
    /// The operations, sorted by group and command.
    operations: Vec<OperationView>,
}

/// An operation.
#[derive(Debug, Serialize, JsonSchema)]
struct OperationView {
    /// The group.
    group: &'static str,
    /// The command within the group.
    command: &'static str,
    /// The effect of the operation, as one or two sentences.
    summary: &'static str,
    /// Whether the operation may interrupt other users, so that a client should ask before it runs
    /// it.
    disruptive: bool,
    /// When the operation is disruptive although it is not with other parameters.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    disruptive_when: Vec<DisruptiveWhen>,
    /// Whether the operation takes content.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    takes_content: bool,
    /// Whether the result comes with content.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gives_content: bool,
    /// The JSON Schema of its parameters.
    #[schemars(with = "serde_json::Value")]
    params: Schema,
    /// The JSON Schema of its result.
    #[schemars(with = "serde_json::Value")]
    result: Schema,
}

async fn list(context: Context, params: List) -> Result<Answer<Operations>, Refusal> {
    let operations: Vec<OperationView> = context
        .site()
        .table()
        .entries()
        .filter(|entry| match params.token_role {
            Some(role) => entry.access().admits_token_of(role),
            None => entry.scope(context.caller()).is_some(),
        })
        .filter(|entry| {
            params
                .group
                .as_deref()
                .is_none_or(|group| group == entry.group())
        })
        .map(|entry| OperationView {
            group: entry.group(),
            command: entry.command(),
            summary: entry.summary(),
            disruptive: entry.is_disruptive(),
            disruptive_when: entry.disruptive_when().to_vec(),
            takes_content: entry.takes_content(),
            gives_content: entry.gives_content(),
            params: entry.params().clone(),
            result: entry.result().clone(),
        })
        .collect();
    let lines: Vec<String> = operations
        .iter()
        .map(|one| format!("{} {}  {}", one.group, one.command, one.summary))
        .collect();
    Ok(Answer::new(Operations { operations }).with_output(lines.join("\n")))
}
