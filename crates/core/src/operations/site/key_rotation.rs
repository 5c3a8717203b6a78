//! `site key_new`, which makes the next site key the current one, and `site key_events`.

use std::sync::Arc;

use countersign_crypto::site_key_slots::{SlotKind, WrappedSiteKey};
use countersign_proto::site_identity::SignedKeyEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::NoParams;
use super::key_secret::{KeySecret, SecretParam, refused};
use crate::access::{Channel, Role};
use crate::alarms::{Language, SystemAlarm, Target};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Changes, Context, Entry, NewAlarm, Refusal, Site};
use crate::sessions::Audience;
use crate::site_key::{KeyRecord, NewKeyError, Rotation, RotationError};
use crate::store::{Change, Notice};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("site", "key_new")
            .command_line("site key new")
            .computes()
            .summary("Makes the next site key the current one. Clients, devices and peers follow without enrolling again.")
            .allow(&[Role::Admin])
            .only_on(&[Channel::AdminSocket])
            .disruptive()
            .example(json!({
                "secrets": [{ "recovery_code": "…" }],
                "slots": [{ "passphrase": "…" }],
            }))
            .handler(new_key),
        Entry::new("site", "key_events")
            .command_line("site key events")
            .summary("Lists the site's key events: its keys since its creation.")
            .allow(&Role::ALL)
            .also_on(Channel::Device)
            .while_sealed()
            .rest(RestMethod::Get, "/site/key-events")
            .handler(events),
    ]
}

/// A new site key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// One or more secrets that open the next key: the recovery code, and those of slots that were
    /// added. Each of them opens the key after it too. A recovery code also opens the new site key.
    secrets: Vec<SecretParam>,
    /// The secrets of the new site key's slots, besides the recovery code. A new pass phrase has at
    /// least 12 characters.
    #[serde(default)]
    slots: Vec<SecretParam>,
    /// The previous key was stolen: what it signed after this time is void.
    compromised_since: Option<Timestamp>,
}

/// The site after a rotation of its key.
#[derive(Debug, Serialize, JsonSchema)]
struct Rotated {
    /// The site's id, which stays the same.
    site_id: String,
    /// The new site key.
    site_key: String,
    /// The number of its key event.
    event: u64,
    /// The kinds of slots that the previous site key had and the new one lacks.
    #[schemars(with = "Vec<String>")]
    lost_slots: Vec<SlotKind>,
    /// The kinds of slots that the previous next key had and the new one lacks.
    #[schemars(with = "Vec<String>")]
    lost_next_slots: Vec<SlotKind>,
}

async fn new_key(context: Context, params: NewKey) -> Result<Answer<Rotated>, Refusal> {
    let site = context.site();
    let opened = site.expect_unsealed()?;
    let secrets = read_all(params.secrets, "secrets", SecretParam::read)?;
    let slots = read_all(params.slots, "slots", SecretParam::read_new)?;
    let (was, revision) = site.key_record();
    let secrets: Vec<_> = secrets.iter().map(KeySecret::to_open).collect();
    let slots: Vec<_> = slots.iter().map(KeySecret::as_slot).collect();
    let mut next = None;
    for secret in &secrets {
        let key = site.open_slot(&was.next, *secret, context.now());
        let (_, key) = key.map_err(|error| refused(&error))?;
        next = Some(key);
    }
    let next = next.ok_or_else(|| {
        let problem = "give a secret that opens the next key, such as the recovery code";
        Refusal::invalid("secrets", problem)
    })?;
    let rotation = Rotation {
        next,
        secrets: &secrets,
        slots: &slots,
        compromised_since: params.compromised_since,
    };
    let (root, entropy) = (&opened.root, &mut site.entropy());
    let rotated = was
        .rotated(&opened.key, root, rotation, context.now(), entropy)
        .map_err(|error| rotation_refused(&error))?;
    let record = rotated.record;
    let result = result(&was, &record);
    let change = Site::store_key(&record, revision)?;
    let alarm = alarm(&context, &record, params.compromised_since).await?;
    let changes = consequences(change, rotated.key, &result)?.with(alarm);
    let details = json!({
        "event": result.event,
        "site_key": result.site_key,
        "compromised_since": params.compromised_since,
    });
    context.commit(changes, None, details).await?;
    let output = text(&result);
    Ok(Answer::new(result).with_output(output))
}

fn read_all(
    params: Vec<SecretParam>,
    field: &str,
    read: fn(SecretParam, &str) -> Result<KeySecret, Refusal>,
) -> Result<Vec<KeySecret>, Refusal> {
    let limit = countersign_crypto::site_key_slots::MAX_SLOTS;
    if params.len() > limit {
        return Err(Refusal::invalid(
            field,
            format_args!("has more than {limit} entries"),
        ));
    }
    let numbered = params.into_iter().enumerate();
    numbered
        .map(|(number, param)| read(param, &format!("{field}.{number}")))
        .collect()
}

fn rotation_refused(error: &RotationError) -> Refusal {
    match error {
        RotationError::NotCurrentThen { .. } => Refusal::invalid("compromised_since", error),
        RotationError::TooManyEvents => {
            Refusal::conflict(error.to_string(), "create a new site and enrol again")
        }
        RotationError::Key(NewKeyError::NoSlot) => Refusal::invalid("slots", error),
        RotationError::Key(_) => Refusal::conflict(error.to_string(), "see `site key_slots`"),
        // Another rotation was committed between.
        RotationError::Event(_) => Refusal::conflict(
            error.to_string(),
            "look at `site key_events`, then repeat it",
        ),
    }
}

fn result(was: &KeyRecord, is: &KeyRecord) -> Rotated {
    let lost = |was: &WrappedSiteKey, is: &WrappedSiteKey| {
        let has = |kind| is.slots().any(|slot| slot.kind == kind);
        let mut lost: Vec<SlotKind> = Vec::new();
        for slot in was.slots() {
            if !has(slot.kind) && !lost.contains(&slot.kind) {
                lost.push(slot.kind);
            }
        }
        lost
    };
    Rotated {
        site_id: is.known.id().to_string(),
        site_key: is.known.keys().to_string(),
        event: is.known.newest().event().number,
        lost_slots: lost(&was.current, &is.current),
        lost_next_slots: lost(&was.next, &is.next),
    }
}

fn text(result: &Rotated) -> String {
    let mut text = format!(
        "The site has a new key, {}, by key event {}.",
        result.site_key, result.event
    );
    for (key, lost) in [
        ("site key", &result.lost_slots),
        ("next site key", &result.lost_next_slots),
    ] {
        for kind in lost {
            text += &format!("\nNo {kind} opens the {key} any more; `site key_slot_add` adds one.");
        }
    }
    text
}

async fn alarm(
    context: &Context,
    record: &KeyRecord,
    compromised_since: Option<Timestamp>,
) -> Result<Changes, Refusal> {
    let alarm = SystemAlarm::NewSiteKey {
        event: record.known.newest().event().number,
        compromised_since,
    };
    let new = NewAlarm {
        to: Target::Admins,
        severity: alarm.severity(),
        text: alarm.text(Language::default()),
        key: Some(alarm.key()),
        data: alarm.data(),
    };
    context.site().site_alarm(new, context.now()).await
}

fn consequences(
    change: Change,
    key: countersign_crypto::site_key::SiteKey,
    result: &Rotated,
) -> Result<Changes, Refusal> {
    let data = json!({
        "site_id": result.site_id,
        "site_key": result.site_key,
        "event": result.event,
    });
    let event = Notice::event(Audience::All, "site", "key_changed", &data)
        .map_err(|error| Refusal::internal(error.to_string()))?;
    let changes = Changes::from(change);
    Ok(changes.and(Notice::KeyReplaced(Arc::new(key))).and(event))
}

/// The site's key events.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyEvents {
    /// The site's id: the digest of event 0.
    site_id: String,
    /// The events, from event 0 on.
    events: Vec<KeyEventView>,
}

/// A key event.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyEventView {
    /// Its number.
    number: u64,
    /// The site key from this event on.
    site_key: String,
    /// When it was made.
    time: Timestamp,
    /// The previous key was stolen: what it signed after this time is void.
    #[serde(skip_serializing_if = "Option::is_none")]
    compromised_since: Option<Timestamp>,
    /// The signed event, in base64url.
    #[schemars(with = "String")]
    event: SignedKeyEvent,
}

impl From<SignedKeyEvent> for KeyEventView {
    fn from(signed: SignedKeyEvent) -> Self {
        let event = signed.event();
        Self {
            number: event.number,
            site_key: event.keys.to_string(),
            time: Timestamp::from_millis(event.time),
            compromised_since: event.compromised_since.map(Timestamp::from_millis),
            event: signed,
        }
    }
}

async fn events(context: Context, _: NoParams) -> Result<Answer<KeyEvents>, Refusal> {
    let site = context.site();
    let events: Vec<KeyEventView> = site
        .key_events()
        .iter()
        .copied()
        .map(KeyEventView::from)
        .collect();
    let line = |event: &KeyEventView| {
        let theft = event.compromised_since.map_or_else(String::new, |since| {
            format!("  the previous key was stolen at {since}")
        });
        format!(
            "{}  {}  {}{theft}",
            event.number, event.time, event.site_key
        )
    };
    let output: Vec<String> = events.iter().map(line).collect();
    let site_id = site.id().to_string();
    Ok(Answer::new(KeyEvents { site_id, events }).with_output(output.join("\n")))
}
