//! The key slots of the site key and of the next site key. These operations are available on the
//! admin socket only: an attacker who could add a slot over the network could open a stolen copy of
//! the database.

use countersign_crypto::site_key::SiteKey;
use countersign_crypto::site_key_slots::{
    RecoveryCode, SlotError, SlotId, SlotKind, SlotSummary, WrappedSiteKey,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::{Done, NoParams};
use super::key_secret::{KeySecret, SecretParam, WhichKey, refused};
use crate::access::{Channel, Role};
use crate::engine::{Answer, Context, Entry, Refusal, Site};
use crate::site_key::KeyRecord;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let operation = |command| {
        Entry::new("site", command)
            .allow(&[Role::Admin])
            .only_on(&[Channel::AdminSocket])
    };
    vec![
        operation("key_slots")
            .command_line("site key slots list")
            .summary("Lists the key slots of the site key and of the next site key.")
            .while_sealed()
            .handler(slots),
        operation("key_slot_add")
            .command_line("site key slots add")
            .computes()
            .summary("Adds a key slot to the site key, or to the next one, which a secret of it has to open.")
            .disruptive()
            .example(json!({
                "key": "next",
                "slot": { "slot_file": "…" },
                "secret": { "recovery_code": "…" },
            }))
            .handler(add),
        operation("key_slot_remove")
            .command_line("site key slots remove")
            .summary("Removes a key slot. The last slot of a key cannot be removed.")
            .disruptive()
            .example(json!({ "key": "current", "slot": 3 }))
            .handler(remove),
        operation("key_slot_test")
            .command_line("site key slots test")
            .computes()
            .summary("Tries a secret on the site key or on the next one, without another effect.")
            .while_sealed()
            .changes()
            .example(json!({ "key": "next", "secret": { "recovery_code": "…" } }))
            .handler(test),
        operation("key_passphrase")
            .command_line("site key passphrase")
            .computes()
            .summary("Sets the pass phrase of the site key, in place of the previous one.")
            .disruptive()
            .example(json!({ "passphrase": "…" }))
            .handler(set_passphrase),
        operation("key_recovery")
            .command_line("site key recovery")
            .computes()
            .summary("Creates a new recovery code and shows it once. The previous code becomes invalid: for the site key, and for the next one if a secret of that is given.")
            .disruptive()
            .example(json!({ "secret": { "recovery_code": "…" } }))
            .handler(new_recovery_code),
    ]
}

/// The key slots.
#[derive(Debug, Serialize, JsonSchema)]
struct Slots {
    /// The slots of the site key, oldest first.
    slots: Vec<SlotView>,
    /// The slots of the next site key, oldest first.
    next_slots: Vec<SlotView>,
}

/// A key slot.
#[derive(Debug, Serialize, JsonSchema)]
struct SlotView {
    /// The slot's number.
    slot: u32,
    /// The kind of secret: `passphrase`, `recovery_code` or `file`.
    #[schemars(with = "String")]
    kind: SlotKind,
    /// When the slot was created.
    created: Timestamp,
}

impl From<SlotSummary> for SlotView {
    fn from(slot: SlotSummary) -> Self {
        Self {
            slot: slot.id.0,
            kind: slot.kind,
            created: Timestamp::from_millis(slot.created),
        }
    }
}

async fn slots(context: Context, _: NoParams) -> Result<Answer<Slots>, Refusal> {
    let (key, _) = context.site().key_record();
    let of = |which| key.wrapped(which).slots();
    let lines = [WhichKey::Current, WhichKey::Next]
        .into_iter()
        .flat_map(|which| {
            of(which).map(move |slot| {
                let created = Timestamp::from_millis(slot.created);
                format!(
                    "{}: {}  {}  since {created}",
                    which.name(),
                    slot.id,
                    slot.kind
                )
            })
        });
    let output = lines.collect::<Vec<_>>().join("\n");
    let slots = Slots {
        slots: of(WhichKey::Current).map(SlotView::from).collect(),
        next_slots: of(WhichKey::Next).map(SlotView::from).collect(),
    };
    Ok(Answer::new(slots).with_output(output))
}

impl KeyRecord {
    fn wrapped(&self, which: WhichKey) -> &WrappedSiteKey {
        match which {
            WhichKey::Current => &self.current,
            WhichKey::Next => &self.next,
        }
    }

    fn wrapped_mut(&mut self, which: WhichKey) -> &mut WrappedSiteKey {
        match which {
            WhichKey::Current => &mut self.current,
            WhichKey::Next => &mut self.next,
        }
    }
}

/// The key slot that was set.
#[derive(Debug, Serialize, JsonSchema)]
struct SlotSet {
    /// The slot's number.
    slot: u32,
}

/// A new key slot.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// The key that the slot is for.
    #[serde(default)]
    key: WhichKey,
    /// The secret of the new slot. A new pass phrase has at least 12 characters.
    slot: SecretParam,
    /// A secret that opens the next key. The current key is open.
    secret: Option<SecretParam>,
}

async fn add(context: Context, params: Add) -> Result<Answer<SlotSet>, Refusal> {
    let new = params.slot.read_new("slot")?;
    let opening = match (params.key, params.secret) {
        (WhichKey::Current, None) => None,
        (WhichKey::Next, Some(secret)) => Some(secret.read("secret")?),
        (WhichKey::Current, Some(_)) => {
            return Err(Refusal::invalid(
                "secret",
                "is for the next key only: the site key is open",
            ));
        }
        (WhichKey::Next, None) => {
            return Err(Refusal::invalid(
                "secret",
                "is missing: give a secret that opens the next key",
            ));
        }
    };
    let (mut record, revision) = context.site().key_record();
    let opened = open(&context, &record, opening.as_ref())?;
    // The same file in two slots would stay valid after one of them is removed. A pass phrase is not tried:
    // that costs as much as it protects.
    if new.kind() == SlotKind::File
        && let Ok((slot, _)) = record.wrapped(params.key).open_slot(new.to_open())
    {
        let output = format!(
            "The file opens the {} already, in slot {slot}.",
            params.key.name()
        );
        return Ok(Answer::new(SlotSet { slot: slot.0 }).with_output(output));
    }
    let (now, entropy) = (context.now().millis(), &mut context.site().entropy());
    let slot = record
        .wrapped_mut(params.key)
        .add(opened.key(), new.as_slot(), now, entropy)
        .map_err(|error| slot_refused(&error))?;
    commit(&context, &record, revision, params.key, slot, new.kind()).await?;
    let output = format!("Added slot {slot} to the {}.", params.key.name());
    Ok(Answer::new(SlotSet { slot: slot.0 }).with_output(output))
}

/// An open key: the current one, which is in memory, or the next one, which was opened for one
/// operation.
enum Opened {
    Current(std::sync::Arc<SiteKey>),
    Next(SiteKey),
}

impl Opened {
    fn key(&self) -> &SiteKey {
        match self {
            Self::Current(key) => key,
            Self::Next(key) => key,
        }
    }
}

/// Opens the next key with its secret; without one, returns the current key.
fn open(
    context: &Context,
    record: &KeyRecord,
    secret: Option<&KeySecret>,
) -> Result<Opened, Refusal> {
    let site = context.site();
    match secret {
        None => Ok(Opened::Current(site.expect_unsealed()?.key.clone())),
        Some(secret) => {
            let opened = site.open_slot(&record.next, secret.to_open(), context.now());
            let opened = opened.map(|(_, key)| Opened::Next(key));
            opened.map_err(|error| refused(&error))
        }
    }
}

fn slot_refused(error: &SlotError) -> Refusal {
    match error {
        SlotError::NoSuchSlot { slot } => Refusal::not_found("key slot", slot),
        other => Refusal::conflict(other.to_string(), "see `site key_slots`"),
    }
}

async fn commit(
    context: &Context,
    record: &KeyRecord,
    revision: u64,
    key: WhichKey,
    slot: SlotId,
    kind: SlotKind,
) -> Result<(), Refusal> {
    let change = Site::store_key(record, revision)?;
    let details = json!({ "key": key, "slot": slot.0, "kind": kind });
    let target = format!("slot {slot} of the {}", key.name());
    context.commit(change, target, details).await?;
    Ok(())
}

/// The key slot to remove.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Remove {
    /// The key that the slot belongs to.
    #[serde(default)]
    key: WhichKey,
    /// The slot's number.
    slot: u32,
}

async fn remove(context: Context, params: Remove) -> Result<Answer<Done>, Refusal> {
    let slot = SlotId(params.slot);
    let (mut record, revision) = context.site().key_record();
    let wrapped = record.wrapped_mut(params.key);
    let kind = wrapped.slots().find(|listed| listed.id == slot);
    wrapped.remove(slot).map_err(|error| slot_refused(&error))?;
    if let Some(SlotSummary { kind, .. }) = kind {
        commit(&context, &record, revision, params.key, slot, kind).await?;
    }
    let output = format!("Removed slot {slot} of the {}.", params.key.name());
    Ok(Answer::new(Done {}).with_output(output))
}

/// A secret to try.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Test {
    /// The key that it should open.
    #[serde(default)]
    key: WhichKey,
    /// The secret.
    secret: SecretParam,
}

/// The secret opens the key.
#[derive(Debug, Serialize, JsonSchema)]
struct Tested {
    /// The number of the slot that it opens.
    slot: u32,
    /// The kind of the slot: `passphrase`, `recovery_code` or `file`.
    #[schemars(with = "String")]
    kind: SlotKind,
}

async fn test(context: Context, params: Test) -> Result<Answer<Tested>, Refusal> {
    let secret = params.secret.read("secret")?;
    let (site, kind) = (context.site(), secret.kind());
    let (record, _) = site.key_record();
    let opened = site.open_slot(record.wrapped(params.key), secret.to_open(), context.now());
    let (slot, _) = opened.map_err(|error| refused(&error))?;
    let details = json!({ "key": params.key, "slot": slot.0, "kind": kind });
    let target = format!("slot {slot} of the {}", params.key.name());
    context.commit(Vec::new(), target, details).await?;
    let output = format!("The {kind} opens the {}: slot {slot}.", params.key.name());
    let slot = slot.0;
    Ok(Answer::new(Tested { slot, kind }).with_output(output))
}

/// A new pass phrase for the site key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetPassphrase {
    /// The new pass phrase: at least 12 characters.
    passphrase: String,
    /// The slot to replace. Default: the first slot with a pass phrase, or a new one.
    slot: Option<u32>,
}

async fn set_passphrase(
    context: Context,
    params: SetPassphrase,
) -> Result<Answer<SlotSet>, Refusal> {
    let new = SecretParam::of_passphrase(params.passphrase).read_new("")?;
    let (mut record, revision) = context.site().key_record();
    let opened = open(&context, &record, None)?;
    let replaced = params.slot.map(SlotId);
    let slot = put(&context, &mut record.current, opened.key(), &new, replaced)?;
    commit(
        &context,
        &record,
        revision,
        WhichKey::Current,
        slot,
        new.kind(),
    )
    .await?;
    Ok(Answer::new(SlotSet { slot: slot.0 }).with_output("Set the pass phrase of the site key."))
}

/// Replaces a slot: the given one, or the first of the secret's kind. Adds one if there is none.
fn put(
    context: &Context,
    wrapped: &mut WrappedSiteKey,
    key: &SiteKey,
    new: &KeySecret,
    replaced: Option<SlotId>,
) -> Result<SlotId, Refusal> {
    let first = || wrapped.slots().find(|slot| slot.kind == new.kind());
    let before = replaced.or_else(|| first().map(|slot| slot.id));
    let (now, entropy) = (context.now().millis(), &mut context.site().entropy());
    let slot = match before {
        Some(id) => wrapped
            .replace(key, id, new.as_slot(), now, entropy)
            .map(|()| id),
        None => wrapped.add(key, new.as_slot(), now, entropy),
    };
    slot.map_err(|error| slot_refused(&error))
}

/// What a new recovery code is for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewCode {
    /// A secret that opens the next key, such as the previous recovery code. Without it, the new
    /// code opens the site key only, and the previous code still opens the next key.
    secret: Option<SecretParam>,
}

/// A new recovery code, which is shown only this once.
#[derive(Serialize, JsonSchema)]
struct NewRecoveryCode {
    /// The number of its slot of the site key.
    slot: u32,
    /// The number of its slot of the next site key; `null` if it does not open that.
    next_slot: Option<u32>,
    /// The code. The site does not store it: write it down and lock it away.
    recovery_code: String,
}

async fn new_recovery_code(
    context: Context,
    params: NewCode,
) -> Result<Answer<NewRecoveryCode>, Refusal> {
    let secret = params
        .secret
        .map(|secret| secret.read("secret"))
        .transpose()?;
    let code = RecoveryCode::generate(&mut context.site().entropy());
    let text = code.to_text();
    let new = KeySecret::RecoveryCode(code);
    let (mut record, revision) = context.site().key_record();
    let next_slot = match &secret {
        None => None,
        Some(secret) => {
            let opened = open(&context, &record, Some(secret))?;
            Some(put(&context, &mut record.next, opened.key(), &new, None)?)
        }
    };
    let opened = open(&context, &record, None)?;
    let slot = put(&context, &mut record.current, opened.key(), &new, None)?;
    let change = Site::store_key(&record, revision)?;
    let next = next_slot.map(|slot| slot.0);
    let details = json!({ "slot": slot.0, "next_slot": next });
    context.commit(change, None, details).await?;
    let still = match next_slot {
        Some(_) => "",
        None => " It does not open the next key: keep the previous code for `site key_new`.",
    };
    let output = format!(
        "The recovery code, shown only this once:\n\n    {}\n\nWrite it down and lock it away.{still}",
        text.expose()
    );
    Ok(Answer::new(NewRecoveryCode {
        slot: slot.0,
        next_slot: next,
        recovery_code: text.expose().to_owned(),
    })
    .with_output(output))
}
