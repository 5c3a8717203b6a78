//! `option`: the encryption options that sessions may use.

use countersign_proto::session::{EncryptionOption, Strength};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::json;

use super::NoParams;
use crate::context::Context;
use crate::offer::{Offer, OfferError};
use crate::policy::Role;
use crate::refusal::Refusal;
use crate::site::Site;
use crate::table::{Answer, Entry};

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("option", "list")
            .summary(
                "Lists the encryption options, those on offer first, in the order of their rank.",
            )
            .allow(&Role::ALL)
            .handler(list),
        Entry::new("option", "enable")
            .summary(
                "Puts an encryption option on offer, after the others; for new sessions at once.",
            )
            .allow(&admin)
            .changes()
            .example(json!({ "name": "x25519-aes256gcm" }))
            .handler(|context, one: One| {
                change(context, move |offer, least| offer.enable(one.name.0, least))
            }),
        Entry::new("option", "disable")
            .summary("Takes an encryption option off; open sessions that use it go on.")
            .allow(&admin)
            .disruptive()
            .example(json!({ "name": "hybrid-chacha20poly1305" }))
            .handler(|context, one: One| {
                change(context, move |offer, least| {
                    offer.disable(one.name.0, least)
                })
            }),
        Entry::new("option", "order")
            .summary("Ranks the encryption options on offer: the named ones first, best first.")
            .allow(&admin)
            .changes()
            .example(json!({ "names": ["hybrid-chacha20poly1305"] }))
            .handler(|context, order: Order| {
                let names: Vec<EncryptionOption> =
                    order.names.into_iter().map(|name| name.0).collect();
                change(context, move |offer, _| offer.order(&names))
            }),
        Entry::new("option", "floor")
            .summary("Sets how weak an encryption option may be, and takes weaker ones off.")
            .allow(&admin)
            .disruptive()
            .example(json!({ "floor": "hybrid" }))
            .handler(|context, floor: Floor| {
                change(context, move |offer, least| {
                    offer.set_floor(floor.floor.0, least)
                })
            }),
    ]
}

/// An encryption option by its name.
#[derive(Debug)]
struct OptionName(EncryptionOption);

impl<'de> Deserialize<'de> for OptionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for OptionName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OptionName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": EncryptionOption::ALL.map(EncryptionOption::name) })
    }
}

/// A strength by its name.
#[derive(Debug)]
struct StrengthName(Strength);

impl<'de> Deserialize<'de> for StrengthName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for StrengthName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Strength".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Strength::ALL.map(Strength::name) })
    }
}

/// Which option.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct One {
    /// Its name.
    name: OptionName,
}

/// Which options come first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Their names, best first; those left out stay behind them in the order that they had.
    names: Vec<OptionName>,
}

/// How weak an option may be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Floor {
    /// The weakest that may be offered.
    floor: StrengthName,
}

/// The encryption options.
#[derive(Debug, Serialize, JsonSchema)]
struct Options {
    /// All that this version knows.
    options: Vec<OptionView>,
    /// Nothing weaker is offered.
    floor: &'static str,
}

/// An encryption option.
#[derive(Debug, Serialize, JsonSchema)]
struct OptionView {
    /// Its name.
    name: &'static str,
    /// Its rank among those on offer, from 1; absent when it is not on offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    /// How strong it is.
    strength: &'static str,
}

async fn list(context: Context, _: NoParams) -> Result<Answer<Options>, Refusal> {
    Ok(listed(context.site(), ""))
}

fn listed(site: &Site, said: &str) -> Answer<Options> {
    let ranked = site.options();
    let ranked = ranked.ranked();
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
            strength: option.strength().name(),
        })
        .collect();
    let floor = site.offer().0.floor().max(site.configured_floor()).name();
    let mut lines: Vec<String> = options
        .iter()
        .map(|option| match option.rank {
            Some(rank) => format!("{rank}  {}  {}", option.name, option.strength),
            None => format!("-  {}  {}", option.name, option.strength),
        })
        .collect();
    lines.push(format!("The floor is {floor}."));
    if !said.is_empty() {
        lines.push(said.to_owned());
    }
    Answer::new(Options { options, floor }).saying(lines.join("\n"))
}

async fn change(
    context: Context,
    change: impl FnOnce(&mut Offer, Strength) -> Result<(), OfferError> + Send,
) -> Result<Answer<Options>, Refusal> {
    let site = context.site();
    let least = site.configured_floor();
    let (mut offer, revision) = site.offer();
    let before = offer.options(least);
    let floor_before = offer.floor();
    change(&mut offer, least).map_err(|error| refused(&error))?;
    let after = offer.options(least);
    let names = |list: &countersign_proto::session::OptionList| -> Vec<&'static str> {
        list.ranked().iter().map(|option| option.name()).collect()
    };
    let details = json!({
        "options": { "was": names(&before), "is": names(&after) },
        "floor": { "was": floor_before.name(), "is": offer.floor().name() },
    });
    let kept = Site::keep_offer(&offer, revision)?;
    context.commit(vec![kept], None, details).await?;
    let weakest = |list: &countersign_proto::session::OptionList| {
        list.ranked().iter().map(|option| option.strength()).min()
    };
    let warning = match weakest(&after) {
        weakest_now if weakest_now >= weakest(&before) => "",
        Some(Strength::Delivered) => {
            "WARNING: whoever knows a name can fetch that account's encrypted key and guess at its pass \
             phrase, and recordings are opened by a key that leaks later."
        }
        _ => {
            "WARNING: a recording of such a session may be opened by a quantum computer of tomorrow."
        }
    };
    site.offer_changed(offer, revision);
    Ok(listed(site, warning))
}

fn refused(error: &OfferError) -> Refusal {
    let hint = match error {
        OfferError::BelowFloor { .. } => "lower the floor first, with `option floor`",
        OfferError::BelowConfiguration { .. } => {
            "it is `floor` under `[options]` in the configuration file"
        }
        OfferError::NothingLeft => "put another option on offer first, with `option enable`",
        OfferError::Already { .. } => "`option list` shows what is on offer",
    };
    Refusal::conflict(error.to_string(), hint)
}
