//! `site unseal` and the slots of the site key. Only at the admin socket: whoever can add a slot over
//! the network could open a stolen copy of the database.

use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{
    Argon2idCost, NewSlot, RecoveryCode, SlotFile, SlotId, SlotKind, SlotSecret, SlotSummary,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NoParams;
use crate::access::{Channel, Role};
use crate::engine::{Answer, Context, Entry, Refusal, Site, UnsealError};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("site", "unseal")
            .computes()
            .summary("Opens the site key with one secret.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .while_sealed()
            .changes()
            .example(json!({ "passphrase": "…" }))
            .handler(unseal),
        Entry::new("site", "key_slots")
            .summary("Lists what opens the site key.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .handler(slots),
        Entry::new("site", "key_passphrase")
            .computes()
            .summary("Sets the pass phrase that opens the site key, in place of the one before.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .disruptive()
            .example(json!({ "passphrase": "…" }))
            .handler(set_passphrase),
        Entry::new("site", "key_recovery")
            .computes()
            .summary("Makes a new recovery code for the site key and shows it this once; the one before opens nothing any more.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .disruptive()
            .handler(new_recovery_code),
    ]
}

/// The secret to open the site key with: one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Unseal {
    /// A pass phrase.
    passphrase: Option<String>,
    /// The recovery code.
    recovery_code: Option<String>,
    /// What the file for unattended start holds.
    slot_file: Option<String>,
}

/// Whether the site is sealed.
#[derive(Debug, Serialize, JsonSchema)]
struct Unsealed {
    /// It is not.
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
    let opened = context
        .site()
        .unseal(context.caller(), secret, context.now())
        .await;
    match opened {
        Ok(true) => Ok(Answer::new(Unsealed { sealed: false }).saying("The site is open.")),
        Ok(false) => {
            Ok(Answer::new(Unsealed { sealed: false }).saying("The site was open already."))
        }
        Err(UnsealError::Key(error)) => Err(Refusal::not_permitted(
            error.to_string(),
            "try again, or another of the site key's slots",
        )
        .audited_as_failed()),
        Err(UnsealError::Store(error)) => Err(error.into()),
        Err(error @ (UnsealError::SetupDamaged | UnsealError::BrokerKeysDamaged)) => {
            Err(Refusal::internal(error.to_string()))
        }
    }
}

/// What opens the site key.
#[derive(Debug, Serialize, JsonSchema)]
struct Slots {
    /// Its slots, oldest first.
    slots: Vec<SlotView>,
}

/// A slot.
#[derive(Debug, Serialize, JsonSchema)]
struct SlotView {
    /// Its number.
    slot: u32,
    /// `passphrase`, `recovery_code` or `file`.
    #[schemars(with = "String")]
    kind: SlotKind,
    /// When it was made.
    created: Timestamp,
}

async fn slots(context: Context, _: NoParams) -> Result<Answer<Slots>, Refusal> {
    let (key, _) = context.site().wrapped_key();
    let slots: Vec<SlotView> = key
        .slots()
        .map(|slot| SlotView {
            slot: slot.id.0,
            kind: slot.kind,
            created: Timestamp::from_millis(slot.created),
        })
        .collect();
    let lines: Vec<String> = key
        .slots()
        .map(|slot| format!("{}  {}", slot.id, slot.kind))
        .collect();
    Ok(Answer::new(Slots { slots }).saying(lines.join("\n")))
}

/// A pass phrase for the site key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetPassphrase {
    /// The new pass phrase: at least 12 characters.
    passphrase: String,
}

/// The slot that was made.
#[derive(Debug, Serialize, JsonSchema)]
struct SlotMade {
    /// Its number.
    slot: u32,
}

async fn set_passphrase(
    context: Context,
    params: SetPassphrase,
) -> Result<Answer<SlotMade>, Refusal> {
    let passphrase = Passphrase::from(params.passphrase);
    let min = Passphrase::MIN_CHARACTERS;
    if passphrase.characters() < min {
        return Err(Refusal::invalid(
            "passphrase",
            format_args!("it has fewer than {min} characters"),
        ));
    }
    passphrase
        .check_new()
        .map_err(|bad| Refusal::invalid("passphrase", bad))?;
    let new = NewSlot::Passphrase(&passphrase, Argon2idCost::default());
    let slot = put(&context, SlotKind::Passphrase, new).await?;
    Ok(Answer::new(SlotMade { slot: slot.0 }).saying("Set the pass phrase of the site key."))
}

/// A recovery code, shown once.
#[derive(Serialize, JsonSchema)]
struct RecoveryCodeMade {
    /// The number of its slot.
    slot: u32,
    /// The code. It is kept nowhere: write it down and lock it away.
    recovery_code: String,
}

async fn new_recovery_code(
    context: Context,
    _: NoParams,
) -> Result<Answer<RecoveryCodeMade>, Refusal> {
    let code = RecoveryCode::generate(&mut context.site().entropy());
    let slot = put(
        &context,
        SlotKind::RecoveryCode,
        NewSlot::RecoveryCode(&code),
    )
    .await?;
    let text = code.to_text();
    Ok(Answer::new(RecoveryCodeMade {
        slot: slot.0,
        recovery_code: text.expose().to_owned(),
    })
    .saying(format!(
        "The recovery code, shown this once:\n\n    {}\n\nWrite it down and lock it away.",
        text.expose()
    )))
}

/// Puts a slot in the place of the first one of its kind, or adds one.
async fn put(context: &Context, kind: SlotKind, new: NewSlot<'_>) -> Result<SlotId, Refusal> {
    let site = context.site();
    let opened = site.expect_open()?;
    let (mut key, revision) = site.wrapped_key();
    let before = key.slots().find(|slot| slot.kind == kind);
    let now = context.now().millis();
    let slot = match before {
        Some(SlotSummary { id, .. }) => key
            .replace(&opened.key, id, new, now, &mut site.entropy())
            .map(|()| id),
        None => key.add(&opened.key, new, now, &mut site.entropy()),
    };
    let slot =
        slot.map_err(|error| Refusal::conflict(error.to_string(), "see `site key_slots`"))?;
    let change = Site::rewrap_key(&key, revision)?;
    let details = json!({ "slot": slot.0, "kind": kind });
    context.commit(change, None, details).await?;
    Ok(slot)
}
