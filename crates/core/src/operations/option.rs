//! `option`: the encryption options that sessions may use.

use countersign_proto::session::EncryptionOption;
use schemars::JsonSchema;
use serde::Serialize;

use super::NoParams;
use crate::context::Context;
use crate::policy::Role;
use crate::refusal::Refusal;
use crate::table::{Answer, Entry};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("option", "list")
            .summary(
                "Lists the encryption options, those on offer first, in the order of their rank.",
            )
            .allow(&Role::ALL)
            .handler(list),
    ]
}

/// The encryption options.
#[derive(Debug, Serialize, JsonSchema)]
struct Options {
    /// All that this version knows.
    options: Vec<OptionView>,
}

/// An encryption option.
#[derive(Debug, Serialize, JsonSchema)]
struct OptionView {
    /// Its name.
    name: &'static str,
    /// Its rank among those on offer, from 1; absent when it is not on offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    /// Whether a recording made today stays closed to a quantum computer of tomorrow.
    hybrid: bool,
}

async fn list(context: Context, _: NoParams) -> Result<Answer<Options>, Refusal> {
    let ranked = context.site().options().ranked();
    let offered = (1..)
        .zip(ranked)
        .map(|(rank, option)| (Some(rank), *option));
    let others = EncryptionOption::ALL
        .into_iter()
        .filter(|option| !ranked.contains(option))
        .map(|option| (None, option));
    let options: Vec<OptionView> = offered
        .chain(others)
        .map(|(rank, option)| OptionView {
            name: option.name(),
            rank,
            hybrid: option.hybrid(),
        })
        .collect();
    let lines: Vec<String> = options
        .iter()
        .map(|option| match option.rank {
            Some(rank) => format!("{rank}  {}", option.name),
            None => format!("-  {}", option.name),
        })
        .collect();
    Ok(Answer::new(Options { options }).saying(lines.join("\n")))
}
