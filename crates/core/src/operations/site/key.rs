//! `site unseal` and the key slots of the site key. These are available on the admin socket only:
//! an attacker who could add a slot over the network could open a stolen copy of the database.

use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{
    Argon2idCost, NewSlot, RecoveryCode, SlotFile, SlotId, SlotKind, SlotSecret, SlotSummary,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::NoParams;
use crate::access::{Channel, Role};
use crate::engine::{Answer, Context, Entry, Refusal, Site, UnsealError};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("site", "unseal")
            .computes()
            .summary("Unseals the site with the secret of one key slot.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .while_sealed()
            .changes()
            .example(json!({ "passphrase": "…" }))
            .handler(unseal),
        Entry::new("site", "key_slots")
            .summary("Lists the key slots of the site key.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .handler(slots),
        Entry::new("site", "key_passphrase")
            .computes()
            .summary("Sets the pass phrase of the site key, in place of the previous one.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .disruptive()
            .example(json!({ "passphrase": "…" }))
            .handler(set_passphrase),
        Entry::new("site", "key_recovery")
            .computes()
            .summary("Creates a new recovery code for the site key and shows it once. The previous code becomes invalid.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .disruptive()
            .handler(new_recovery_code),
    ]
}

/// The secret of a key slot; exactly one of the three fields.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Unseal {
    /// The pass phrase of the site key.
    passphrase: Option<String>,
    /// The recovery code.
    recovery_code: Option<String>,
    /// The content of the credential file for unattended start.
    slot_file: Option<String>,
}

/// The state of the site afterwards.
#[derive(Debug, Serialize, JsonSchema)]
struct Unsealed {
    /// Always `false`: the site is unsealed.
    sealed: bool,
}

async fn unseal(context: Context, params: Unseal) -> Result<Answer<Unsealed>, Refusal> {
    let passphrase = params.passphrase.map(Passphrase::from);
    let recovery_code = params
        .recovery_code
        .map(|text| text.parse::<RecoveryCode>())
        .transpose()
        .map_err(|error| Refusal::invalid("recovery_code", error))?;
    let slot_file = params
        .slot_file
        .map(|text| SlotFile::from_text(&text))
        .transpose()
        .map_err(|error| Refusal::invalid("slot_file", error))?;
    let secret = match (&passphrase, &recovery_code, &slot_file) {
        (Some(passphrase), None, None) => SlotSecret::Passphrase(passphrase),
        (None, Some(code), None) => SlotSecret::RecoveryCode(code),
        (None, None, Some(file)) => SlotSecret::File(file),
        _ => {
            return Err(Refusal::invalid(
                "passphrase",
                "give one of passphrase, recovery_code and slot_file",
            ));
        }
    };
    let unsealed = context
        .site()
        .unseal(context.caller(), secret, context.now())
        .await;
    match unsealed {
        Ok(true) => {
            Ok(Answer::new(Unsealed { sealed: false }).with_output("The site is unsealed."))
        }
        Ok(false) => {
            Ok(Answer::new(Unsealed { sealed: false })
                .with_output("The site was already unsealed."))
        }
        Err(UnsealError::Key(error)) => Err(Refusal::not_permitted(
            error.to_string(),
            "try again, or use another key slot",
        )
        .audited_as_failed()),
        Err(UnsealError::Store(error)) => Err(error.into()),
        Err(
            error @ (UnsealError::RootDamaged
            | UnsealError::SetupDamaged
            | UnsealError::BrokerKeysDamaged),
        ) => Err(Refusal::internal(error.to_string())),
    }
}

/// The key slots of the site key.
#[derive(Debug, Serialize, JsonSchema)]
struct Slots {
    /// The slots, oldest first.
    slots: Vec<SlotView>,
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

async fn slots(context: Context, _: NoParams) -> Result<Answer<Slots>, Refusal> {
    let (key, _) = context.site().key_record();
    let slots: Vec<SlotView> = key
        .current
        .slots()
        .map(|slot| SlotView {
            slot: slot.id.0,
            kind: slot.kind,
            created: Timestamp::from_millis(slot.created),
        })
        .collect();
    let lines: Vec<String> = key
        .current
        .slots()
        .map(|slot| format!("{}  {}", slot.id, slot.kind))
        .collect();
    Ok(Answer::new(Slots { slots }).with_output(lines.join("\n")))
}

/// A new pass phrase for the site key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetPassphrase {
    /// The new pass phrase: at least 12 characters.
    passphrase: String,
}

/// The key slot that was set.
#[derive(Debug, Serialize, JsonSchema)]
struct SlotSet {
    /// The slot's number.
    slot: u32,
}

async fn set_passphrase(
    context: Context,
    params: SetPassphrase,
) -> Result<Answer<SlotSet>, Refusal> {
    let passphrase = Passphrase::from(params.passphrase);
    let min = Passphrase::MIN_CHARACTERS;
    if passphrase.characters() < min {
        return Err(Refusal::invalid(
            "passphrase",
            format_args!("must have at least {min} characters"),
        ));
    }
    passphrase
        .check_new()
        .map_err(|bad| Refusal::invalid("passphrase", bad))?;
    let new = NewSlot::Passphrase(&passphrase, Argon2idCost::default());
    let slot = put(&context, SlotKind::Passphrase, new).await?;
    Ok(Answer::new(SlotSet { slot: slot.0 }).with_output("Set the pass phrase of the site key."))
}

/// A new recovery code, which is shown only this once.
#[derive(Serialize, JsonSchema)]
struct NewRecoveryCode {
    /// The slot's number.
    slot: u32,
    /// The code. The site does not store it: write it down and lock it away.
    recovery_code: String,
}

async fn new_recovery_code(
    context: Context,
    _: NoParams,
) -> Result<Answer<NewRecoveryCode>, Refusal> {
    let code = RecoveryCode::generate(&mut context.site().entropy());
    let slot = put(
        &context,
        SlotKind::RecoveryCode,
        NewSlot::RecoveryCode(&code),
    )
    .await?;
    let text = code.to_text();
    Ok(Answer::new(NewRecoveryCode {
        slot: slot.0,
        recovery_code: text.expose().to_owned(),
    })
    .with_output(format!(
        "The recovery code, shown only this once:\n\n    {}\n\nWrite it down and lock it away.",
        text.expose()
    )))
}

/// Replaces the first slot of this kind, or adds a slot if there is none.
async fn put(context: &Context, kind: SlotKind, new: NewSlot<'_>) -> Result<SlotId, Refusal> {
    let site = context.site();
    let opened = site.expect_unsealed()?;
    let (mut key, revision) = site.key_record();
    let before = key.current.slots().find(|slot| slot.kind == kind);
    let now = context.now().millis();
    let slot = match before {
        Some(SlotSummary { id, .. }) => key
            .current
            .replace(&opened.key, id, new, now, &mut site.entropy())
            .map(|()| id),
        None => key.current.add(&opened.key, new, now, &mut site.entropy()),
    };
    let slot =
        slot.map_err(|error| Refusal::conflict(error.to_string(), "see `site key_slots`"))?;
    let change = Site::store_key(&key, revision)?;
    let details = json!({ "slot": slot.0, "kind": kind });
    context.commit(change, None, details).await?;
    Ok(slot)
}
