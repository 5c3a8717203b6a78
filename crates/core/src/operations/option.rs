//! `option`: the encryption options that the site offers to sessions.

use countersign_proto::session::{EncryptionOption, Strength};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::json;

use super::NoParams;
use crate::access::Role;
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Changes, Context, Entry, EntryBuilder, ParameterIs, Refusal, Site};
use crate::offer::{Offer, OfferError};
use crate::store::{Committed, Notice};

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    let enable = Entry::new("option", "enable");
    vec![
        Entry::new("option", "list")
            .summary(
                "Lists the encryption options, those on offer first, in order of their rank.",
            )
            .allow(&Role::ALL)
            .rest(RestMethod::Get, "/encryption-options")
            .handler(list),
        asked_if_weak(enable)
            .summary(
                "Enables an encryption option for new sessions and ranks it last.",
            )
            .allow(&admin)
            .changes()
            .rest(RestMethod::Post, "/encryption-options/{name}/enable")
            .example(json!({ "name": "x25519-aes256gcm" }))
            .handler(|context, one: One| {
                change(context, move |offer, least| offer.enable(one.name.0, least))
            }),
        Entry::new("option", "disable")
            .summary(
                "Disables an encryption option for new sessions. Its open sessions keep it until their keys are renewed, unless `cut` is set.",
            )
            .allow(&admin)
            .disruptive()
            .rest(RestMethod::Post, "/encryption-options/{name}/disable")
            .example(json!({ "name": "hybrid-chacha20poly1305" }))
            .handler(disable),
        Entry::new("option", "order")
            .summary("Ranks the encryption options on offer: the named ones first, in the given order.")
            .allow(&admin)
            .changes()
            .rest(RestMethod::Put, "/encryption-options/order")
            .example(json!({ "names": ["hybrid-chacha20poly1305"] }))
            .handler(|context, order: Order| {
                let names: Vec<EncryptionOption> =
                    order.names.into_iter().map(|name| name.0).collect();
                change(context, move |offer, _| offer.order(&names))
            }),
        Entry::new("option", "floor")
            .summary("Sets the minimum strength of encryption options and disables weaker ones.")
            .allow(&admin)
            .disruptive()
            .rest(RestMethod::Put, "/encryption-options/floor")
            .example(json!({ "floor": "hybrid" }))
            .handler(set_floor),
    ]
}

/// Enabling an option below the greatest strength is disruptive: it allows weaker sessions.
fn asked_if_weak(enable: EntryBuilder) -> EntryBuilder {
    let mut weaker: Vec<Strength> = Strength::ALL.to_vec();
    weaker.retain(|strength| *strength < Strength::Hybrid);
    weaker.into_iter().fold(enable, |enable, strength| {
        let options = EncryptionOption::ALL.into_iter();
        let options = options.filter(|option| option.strength() == strength);
        let names = options.map(|option| option.name().to_owned()).collect();
        let effect = format!("its strength is {strength}, which allows weaker sessions");
        enable.disruptive_when("name", ParameterIs::OneOf(names), effect)
    })
}

/// An encryption option, written as its name.
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

/// A strength, written as its name.
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

/// Names an encryption option.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct One {
    /// The name of the option.
    name: OptionName,
}

/// Names the option to disable.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Disable {
    /// The name of the option.
    name: OptionName,
    /// Cut all sessions whose option is not on offer afterwards, including those of options that
    /// were disabled before.
    #[serde(default)]
    cut: bool,
}

/// The options to rank first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The names of the options, best first. Options that are not named follow in their previous
    /// order.
    names: Vec<OptionName>,
}

/// The new minimum strength.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Floor {
    /// The weakest strength that may be offered.
    floor: StrengthName,
    /// Cut all sessions whose option is not on offer afterwards.
    #[serde(default)]
    cut: bool,
}

/// The encryption options.
#[derive(Debug, Serialize, JsonSchema)]
struct Options {
    /// All options that this version supports.
    options: Vec<OptionView>,
    /// The minimum strength of an option on offer.
    floor: &'static str,
    /// How many sessions were cut; present only if cutting was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<usize>,
}

/// An encryption option.
#[derive(Debug, Serialize, JsonSchema)]
struct OptionView {
    /// The name of the option.
    name: &'static str,
    /// The rank of the option among those on offer, from 1; absent when it is not on offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    /// Whether an admin enabled the option. An enabled option without a rank is weaker than the
    /// floor in the configuration file.
    enabled: bool,
    /// The strength of the option.
    strength: &'static str,
}

async fn list(context: Context, _: NoParams) -> Result<Answer<Options>, Refusal> {
    Ok(listed(context.site(), None, None))
}

fn listed(site: &Site, warning: Option<&str>, cut: Option<usize>) -> Answer<Options> {
    let (offer, _) = site.offer();
    let least = site.configured_floor();
    let offered = offer.options(least);
    let ranked = (1..)
        .zip(offered.ranked())
        .map(|(rank, option)| (Some(rank), *option));
    let others = EncryptionOption::ALL
        .into_iter()
        .filter(|option| !offered.ranked().contains(option))
        .map(|option| (None, option));
    let options: Vec<OptionView> = ranked
        .chain(others)
        .map(|(rank, option)| OptionView {
            name: option.name(),
            rank,
            enabled: offer.enabled().contains(&option),
            strength: option.strength().name(),
        })
        .collect();
    let floor = offer.floor().max(least).name();
    let mut lines: Vec<String> = options.iter().map(OptionView::line).collect();
    lines.push(format!("The floor is {floor}."));
    lines.extend(warning.map(|warning| format!("WARNING: {warning}.")));
    lines.extend(cut.map(|cut| format!("Cut {cut} sessions.")));
    Answer::new(Options {
        options,
        floor,
        cut,
    })
    .with_output(lines.join("\n"))
}

async fn disable(context: Context, params: Disable) -> Result<Answer<Options>, Refusal> {
    let name = params.name.0;
    let (offer, _) = context.site().offer();
    let applied = match params.cut && !offer.enabled().contains(&name) {
        // The option is already disabled; only its remaining sessions are cut.
        true => {
            let details = json!({ "cut": name.name() });
            let notice = Notice::SessionsNotOfferedEnd;
            Applied::without_warning(context.commit(notice, None, details).await?)
        }
        false => {
            apply(&context, params.cut, |offer, least| {
                offer.disable(name, least)
            })
            .await?
        }
    };
    Ok(applied.listed(context.site(), params.cut))
}

async fn set_floor(context: Context, params: Floor) -> Result<Answer<Options>, Refusal> {
    let floor = params.floor.0;
    let applied = apply(&context, params.cut, |offer, least| {
        offer.set_floor(floor, least)
    })
    .await?;
    Ok(applied.listed(context.site(), params.cut))
}

impl OptionView {
    fn line(&self) -> String {
        let rank = self
            .rank
            .map_or_else(|| "-".to_owned(), |rank| rank.to_string());
        let suppressed = if self.enabled && self.rank.is_none() {
            "  (enabled, but below the floor in the configuration file)"
        } else {
            ""
        };
        let names = EncryptionOption::ALL.iter().map(|option| option.name());
        let width = names.map(str::len).max().unwrap_or_default();
        format!(
            "{rank}  {:width$}  {}{suppressed}",
            self.name, self.strength
        )
    }
}

async fn change(
    context: Context,
    change: impl FnOnce(&mut Offer, Strength) -> Result<(), OfferError> + Send,
) -> Result<Answer<Options>, Refusal> {
    let applied = apply(&context, false, change).await?;
    Ok(applied.listed(context.site(), false))
}

/// The result of a change of the offer.
struct Applied {
    warning: Option<&'static str>,
    sessions_ended: usize,
}

impl Applied {
    const fn without_warning(committed: Committed) -> Self {
        Self {
            warning: None,
            sessions_ended: committed.effects.sessions_ended,
        }
    }

    fn listed(&self, site: &Site, cut: bool) -> Answer<Options> {
        listed(site, self.warning, cut.then_some(self.sessions_ended))
    }
}

/// Changes the offer. With `cut`, the sessions whose option is not on offer afterwards end. A login
/// that runs at the same time cannot open such a session, because it checks the offer again after
/// it registered its session.
async fn apply(
    context: &Context,
    cut: bool,
    change: impl FnOnce(&mut Offer, Strength) -> Result<(), OfferError> + Send,
) -> Result<Applied, Refusal> {
    let site = context.site();
    let least = site.configured_floor();
    let (before, revision) = site.offer();
    let mut after = before.clone();
    change(&mut after, least).map_err(|error| refused(&error))?;
    let names = |offer: &Offer| -> Vec<&'static str> {
        let offered = offer.options(least);
        offered
            .ranked()
            .iter()
            .map(|option| option.name())
            .collect()
    };
    let mut details = json!({
        "options": { "was": names(&before), "is": names(&after) },
        "floor": { "was": before.floor().name(), "is": after.floor().name() },
    });
    let warning = newly_allowed(&before, &after, least).and_then(weakness);
    if let (Some(warning), Some(details)) = (warning, details.as_object_mut()) {
        details.insert("warning".to_owned(), warning.into());
    }
    let mut changes = Changes::from(Site::store_offer(&after, revision)?);
    if cut {
        changes = changes.and(Notice::SessionsNotOfferedEnd);
    }
    let committed = context.commit(changes, None, details).await?;
    Ok(Applied {
        warning,
        ..Applied::without_warning(committed)
    })
}

/// Returns the weakest strength that a change newly allows, by an added option or by a lower floor;
/// `None` if it allows nothing new.
fn newly_allowed(before: &Offer, after: &Offer, least: Strength) -> Option<Strength> {
    let (was, is) = (before.options(least), after.options(least));
    let added = is.ranked().iter();
    let added = added.filter(|option| !was.ranked().contains(option));
    let lower = (after.floor() < before.floor()).then(|| after.floor());
    added.map(|option| option.strength()).chain(lower).min()
}

/// Returns the warning for allowing sessions of this strength; `None` for the strongest.
const fn weakness(strength: Strength) -> Option<&'static str> {
    match strength {
        Strength::Hybrid => None,
        Strength::Classical => Some(
            "an attacker who records sessions with a classical option may be able to decrypt them with a future quantum computer",
        ),
        Strength::Delivered => Some(
            "with a delivered option any client that knows a name can fetch the encrypted key of that account and guess its pass phrase offline, and recorded sessions can be decrypted if the key leaks later",
        ),
    }
}

fn refused(error: &OfferError) -> Refusal {
    let hint = match error {
        OfferError::BelowFloor { .. } => "lower the floor first, with `option floor STRENGTH`",
        OfferError::BelowConfiguration { .. } => {
            "change `floor` under `[options]` in the configuration file"
        }
        OfferError::NothingLeft => "enable another option first, with `option enable NAME`",
        OfferError::Already { .. } => "`option list` shows what is on offer",
    };
    Refusal::conflict(error.to_string(), hint)
}
