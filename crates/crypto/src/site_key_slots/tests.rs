use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{entropy::SystemEntropy, secret::Secret, site_key::SiteSeed};

const NOW: i64 = 1_700_000_000_000;

fn site(byte: u8) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from(text.to_owned())
}

fn cheap() -> Argon2idCost {
    Argon2idCost::new(8, 1, 1).unwrap()
}

/// A site key with one slot of each kind, and their secrets.
struct Wrapped {
    file: WrappedSiteKey,
    passphrase: Passphrase,
    code: RecoveryCode,
    slot_file: SlotFile,
}

impl Wrapped {
    fn new() -> Self {
        let entropy = &mut SystemEntropy;
        let passphrase = passphrase("correct horse");
        let code = RecoveryCode::generate(entropy);
        let slot_file = SlotFile::generate(entropy);
        let key = site(1);
        let first = NewSlot::Passphrase(&passphrase, cheap());
        let mut file = WrappedSiteKey::create(&key, first, NOW, entropy).unwrap();
        file.add(&key, NewSlot::RecoveryCode(&code), NOW + 1, entropy)
            .unwrap();
        file.add(&key, NewSlot::File(&slot_file), NOW + 2, entropy)
            .unwrap();
        Self {
            file,
            passphrase,
            code,
            slot_file,
        }
    }

    fn secrets(&self) -> [SlotSecret<'_>; 3] {
        [
            SlotSecret::Passphrase(&self.passphrase),
            SlotSecret::RecoveryCode(&self.code),
            SlotSecret::File(&self.slot_file),
        ]
    }

    fn json(&self) -> Value {
        serde_json::to_value(&self.file).unwrap()
    }
}

fn read(json: &Value) -> Result<WrappedSiteKey, String> {
    serde_json::from_str(&json.to_string()).map_err(|error| error.to_string())
}

fn opened(file: &WrappedSiteKey, secret: SlotSecret<'_>) -> Result<SitePublicKey, OpenError> {
    file.open(secret).map(|key| key.public())
}

#[test]
fn each_secret_unwraps_the_site_key_before_and_after_serialisation() {
    let wrapped = Wrapped::new();
    let file = read(&wrapped.json()).unwrap();
    assert_eq!(file, wrapped.file);
    assert_eq!(file.public(), site(1).public());
    for secret in wrapped.secrets() {
        assert_eq!(file.open(secret).unwrap().seed(), site(1).seed());
    }
}

/// Backups of any age have to work: this file was written by the first version.
#[test]
fn a_file_of_version_1_opens_for_ever() {
    let file: WrappedSiteKey =
        serde_json::from_str(include_str!("../../testdata/site_key.json")).unwrap();
    let code = "FYHSS-1MKWW-CX8ZR-G6P7C-A9WYV-0MN4F-6RWAJ".parse().unwrap();
    let slot_file = SlotFile::from_text("W/YYFfD7GCe3q7kdl2REDJaug5+YMV55PELG7FVZdMY=").unwrap();
    for secret in [
        SlotSecret::Passphrase(&passphrase("correct horse")),
        SlotSecret::RecoveryCode(&code),
        SlotSecret::File(&slot_file),
    ] {
        assert_eq!(opened(&file, secret), Ok(site(1).public()));
    }
}

#[test]
fn another_secret_of_each_kind_is_reported_as_wrong() {
    let wrapped = Wrapped::new();
    let other = Wrapped::new();
    let typed = passphrase("correct horsf");
    let secrets = [
        SlotSecret::Passphrase(&typed),
        other.secrets()[1],
        other.secrets()[2],
    ];
    for secret in secrets {
        let kind = secret.kind();
        assert_eq!(
            opened(&wrapped.file, secret),
            Err(OpenError::WrongSecret { kind })
        );
    }
}

#[test]
fn a_kind_without_a_slot_is_reported() {
    let mut wrapped = Wrapped::new();
    wrapped.file.remove(SlotId(2)).unwrap();
    let kind = SlotKind::RecoveryCode;
    assert_eq!(
        opened(&wrapped.file, wrapped.secrets()[1]),
        Err(OpenError::NoSuchSlot { kind })
    );
}

#[test]
fn slots_are_listed_with_their_kind_and_time() {
    let wrapped = Wrapped::new();
    let listed: Vec<_> = wrapped
        .file
        .slots()
        .map(|slot| (slot.id.0, slot.kind, slot.created - NOW))
        .collect();
    assert_eq!(
        listed,
        [
            (1, SlotKind::Passphrase, 0),
            (2, SlotKind::RecoveryCode, 1),
            (3, SlotKind::File, 2)
        ]
    );
}

#[test]
fn a_replaced_pass_phrase_no_longer_unwraps_the_site_key() {
    let mut wrapped = Wrapped::new();
    let new = passphrase("battery staple");
    let slot = NewSlot::Passphrase(&new, cheap());
    wrapped
        .file
        .replace(&site(1), SlotId(1), slot, NOW + 9, &mut SystemEntropy)
        .unwrap();

    let kind = SlotKind::Passphrase;
    assert!(opened(&wrapped.file, SlotSecret::Passphrase(&new)).is_ok());
    assert_eq!(
        opened(&wrapped.file, wrapped.secrets()[0]),
        Err(OpenError::WrongSecret { kind })
    );
    let replaced = wrapped.file.slots().next().unwrap();
    assert_eq!((replaced.id, replaced.created), (SlotId(1), NOW + 9));
    assert_eq!(wrapped.file.slots().count(), 3);
}

#[test]
fn two_pass_phrases_can_both_unwrap_the_site_key() {
    let mut wrapped = Wrapped::new();
    let second = passphrase("battery staple");
    let slot = NewSlot::Passphrase(&second, cheap());
    let id = wrapped.file.add(&site(1), slot, NOW, &mut SystemEntropy);
    assert_eq!(id, Ok(SlotId(4)));
    assert!(opened(&wrapped.file, wrapped.secrets()[0]).is_ok());
    assert!(opened(&wrapped.file, SlotSecret::Passphrase(&second)).is_ok());
}

#[test]
fn the_last_slot_cannot_be_removed() {
    let mut wrapped = Wrapped::new();
    assert_eq!(wrapped.file.remove(SlotId(3)), Ok(()));
    assert_eq!(
        wrapped.file.remove(SlotId(3)),
        Err(SlotError::NoSuchSlot { slot: SlotId(3) })
    );
    assert_eq!(wrapped.file.remove(SlotId(1)), Ok(()));
    assert_eq!(wrapped.file.remove(SlotId(2)), Err(SlotError::LastSlot));
    assert!(opened(&wrapped.file, wrapped.secrets()[1]).is_ok());
}

#[test]
fn the_key_of_another_site_cannot_change_a_slot() {
    let mut wrapped = Wrapped::new();
    let before = wrapped.file.clone();
    let entropy = &mut SystemEntropy;
    let code = RecoveryCode::generate(entropy);
    let new = NewSlot::RecoveryCode(&code);
    let file = &mut wrapped.file;
    assert_eq!(
        file.add(&site(2), new, NOW, entropy),
        Err(SlotError::OtherSite)
    );
    assert_eq!(
        file.replace(&site(2), SlotId(1), new, NOW, entropy),
        Err(SlotError::OtherSite)
    );
    assert_eq!(
        file.replace(&site(1), SlotId(9), new, NOW, entropy),
        Err(SlotError::NoSuchSlot { slot: SlotId(9) })
    );
    assert_eq!(wrapped.file, before);
}

#[test]
fn slots_are_added_up_to_the_limit() {
    let mut wrapped = Wrapped::new();
    let entropy = &mut SystemEntropy;
    for _ in 3..MAX_SLOTS {
        let code = RecoveryCode::generate(entropy);
        let added = wrapped
            .file
            .add(&site(1), NewSlot::RecoveryCode(&code), NOW, entropy);
        assert!(added.is_ok());
    }
    let code = RecoveryCode::generate(entropy);
    assert_eq!(
        wrapped
            .file
            .add(&site(1), NewSlot::RecoveryCode(&code), NOW, entropy),
        Err(SlotError::TooMany)
    );
    assert!(read(&wrapped.json()).is_ok());
    let mut json = wrapped.json();
    let mut seventeenth = json["slots"][0].clone();
    seventeenth["id"] = json!(99);
    json["slots"].as_array_mut().unwrap().push(seventeenth);
    assert!(read(&json).unwrap_err().contains("17 slots"));
}

#[test]
fn any_change_in_a_slot_is_reported_as_damage_and_does_not_affect_the_others() {
    let wrapped = Wrapped::new();
    let zeros = |digits| json!("0".repeat(digits));
    for (field, value) in [
        ("salt", zeros(64)),
        ("nonce", zeros(24)),
        ("sealed", zeros(96)),
        ("check", zeros(16)),
        ("created_ms", json!(1)),
        ("id", json!(7)),
        (
            "argon2id",
            json!({ "memory_kib": 8, "passes": 2, "lanes": 1 }),
        ),
    ] {
        let mut json = wrapped.json();
        json["slots"][0][field] = value;
        let file = read(&json).unwrap();
        let slot = file.slots().next().unwrap().id;
        let [typed, code, slot_file] = wrapped.secrets();
        assert_eq!(
            opened(&file, typed),
            Err(OpenError::Damaged { slot }),
            "{field}"
        );
        assert!(opened(&file, code).is_ok());
        assert!(opened(&file, slot_file).is_ok());
    }
}

#[test]
fn damage_is_reported_even_if_an_intact_slot_rejects_the_secret() {
    let mut wrapped = Wrapped::new();
    let second = passphrase("battery staple");
    let slot = NewSlot::Passphrase(&second, cheap());
    wrapped
        .file
        .add(&site(1), slot, NOW, &mut SystemEntropy)
        .unwrap();
    let mut json = wrapped.json();
    json["slots"][0]["check"] = json!("0000000000000000");
    let file = read(&json).unwrap();

    let slot = SlotId(1);
    assert_eq!(
        opened(&file, wrapped.secrets()[0]),
        Err(OpenError::Damaged { slot })
    );
    assert!(opened(&file, SlotSecret::Passphrase(&second)).is_ok());
}

/// An attacker can compute the check; the associated data still binds a slot to its position.
#[test]
fn a_slot_moved_with_a_recomputed_check_cannot_be_unwrapped() {
    let wrapped = Wrapped::new();
    let kind = SlotKind::RecoveryCode;
    let code = wrapped.secrets()[1];
    type Change = fn(&mut WrappedSiteKey);
    let changes: [Change; 3] = [
        |file| file.slots[1].id = SlotId(8),
        |file| file.slots[1].created += 1,
        |file| file.site = site(2).public(),
    ];
    for change in changes {
        let mut file = wrapped.file.clone();
        change(&mut file);
        let site = file.site;
        for slot in &mut file.slots {
            slot.correct_check(&site);
        }
        assert_eq!(opened(&file, code), Err(OpenError::WrongSecret { kind }));
    }
}

#[test]
fn a_seed_of_another_site_is_reported_as_damage() {
    let entropy = &mut SystemEntropy;
    let code = RecoveryCode::generate(entropy);
    let mut file =
        WrappedSiteKey::create(&site(1), NewSlot::RecoveryCode(&code), NOW, entropy).unwrap();
    let new = NewSlot::RecoveryCode(&code);
    let foreign = Slot::seal(site(2).seed(), &file.site, SlotId(1), new, NOW, entropy);
    file.slots = vec![foreign.unwrap()];
    assert_eq!(
        opened(&file, SlotSecret::RecoveryCode(&code)),
        Err(OpenError::Damaged { slot: SlotId(1) })
    );
}

#[test]
fn an_invalid_file_is_rejected_with_the_reason() {
    let wrapped = Wrapped::new();
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 11] = [
        ("version 2 is unknown", |json| json["version"] = json!(2)),
        ("unknown field `extra`", |json| json["extra"] = json!(1)),
        ("unknown field `extra`", |json| {
            json["slots"][0]["extra"] = json!(1);
        }),
        ("0 slots", |json| json["slots"] = json!([])),
        ("two slots have the id 2", |json| {
            json["slots"][0]["id"] = json!(2);
        }),
        ("slot 1 is for a pass phrase but has no", |json| {
            json["slots"][0].as_object_mut().unwrap().remove("argon2id");
        }),
        ("slot 2 is not for a pass phrase but has", |json| {
            json["slots"][1]["argon2id"] = json["slots"][0]["argon2id"].clone();
        }),
        ("1048577 KiB", |json| {
            json["slots"][0]["argon2id"]["memory_kib"] = json!(1_048_577);
        }),
        ("expected 64 lower case hexadecimal digits", |json| {
            json["slots"][0]["salt"] = json!("00");
        }),
        ("unknown variant `badge`", |json| {
            json["slots"][0]["kind"] = json!("badge");
        }),
        ("typing error", |json| {
            let text = json["site_key"].as_str().unwrap().to_owned();
            let last = if text.ends_with('A') { "B" } else { "A" };
            json["site_key"] = json!(format!("{}{last}", &text[..90]));
        }),
    ];
    for (reason, change) in changes {
        let mut json = wrapped.json();
        change(&mut json);
        let error = read(&json).unwrap_err();
        assert!(error.contains(reason), "{error} does not say: {reason}");
    }
}

#[test]
fn no_type_prints_a_secret() {
    let wrapped = Wrapped::new();
    let [typed, code, slot_file] = wrapped.secrets();
    assert_eq!(
        format!("{typed:?} {code:?} {slot_file:?}"),
        "Passphrase(Passphrase(..)) RecoveryCode(RecoveryCode(..)) File(SlotFile(..))"
    );
    let shown = format!("{:?}", wrapped.file);
    let sealed = wrapped.json()["slots"][0]["sealed"].to_string();
    assert!(!shown.contains(sealed.trim_matches('"')), "{shown}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        prop_assert!(serde_json::from_str::<WrappedSiteKey>(&text).is_err());
    }

    #[test]
    fn a_changed_byte_never_unwraps_another_key(at in any::<prop::sample::Index>(), to: u8) {
        let wrapped = Wrapped::new();
        let mut text = serde_json::to_vec(&wrapped.file).unwrap();
        let at = at.index(text.len());
        text[at] = to;
        if let Ok(file) = serde_json::from_slice::<WrappedSiteKey>(&text) {
            for secret in wrapped.secrets() {
                if let Ok(public) = opened(&file, secret) {
                    prop_assert_eq!(public, site(1).public());
                }
            }
        }
    }
}
