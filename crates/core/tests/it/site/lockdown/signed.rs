//! The signatures of the site over the entries of lockdowns in its audit log.

use countersign_core::access::Caller;
use countersign_core::audit::{AuditDraft, AuditEntry, ChainHead, MAX_SIGNATURES, StoredSignature};
use countersign_core::engine::Site;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_crypto::site_key_slots::SlotSecret;
use countersign_proto::operation::{Code, Operation};
use countersign_proto::peer::{AuditHead, SignedAuditHead};
use countersign_testkit::harness::{NOW, TestSite, run};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

/// Makes a forgery of a stored signature.
type Forge = fn(StoredSignature) -> StoredSignature;

/// The text and the JSON of `audit verify`.
async fn verified(site: &Site) -> (String, Value) {
    let operation = operation("audit.verify", &json!({}));
    let outcome = site.run(&Caller::admin_socket(), &operation, NOW).await;
    let data = serde_json::from_str(outcome.data.get()).unwrap();
    (outcome.output, data)
}

/// Makes the chain of these entries whole, as an attacker does who keeps some of them.
fn chain_again(entries: &mut Vec<AuditEntry>, keeps: impl Fn(&AuditDraft) -> bool) {
    let mut head = ChainHead::EMPTY;
    let drafts = entries.drain(..).map(|entry| entry.draft);
    let forged: Vec<_> = drafts
        .filter(keeps)
        .map(|draft| head.append(draft))
        .collect();
    *entries = forged;
}

/// The number of the last entry of an operation.
async fn entry(test: &TestSite, operation: &str) -> u64 {
    let entries = test.audit().await;
    let mut last = entries.iter().rev();
    let found = last.find(|entry| entry["operation"] == operation);
    found.unwrap()["seq"].as_u64().unwrap()
}

/// A site without peers had chained entries of lockdowns, and no signature over any of them.
#[tokio::test]
async fn the_entry_of_each_change_of_lockdowns_is_signed_without_any_peer() {
    let test = TestSite::new().await;
    test.person("maria", "member").await;
    for (operation, params) in [
        ("lockdown.person", json!({ "name": "maria" })),
        ("lockdown.site", json!({ "level": "enrolment" })),
        ("lockdown.site", json!({ "level": "all" })),
        ("lockdown.lift", json!({ "site": true })),
        ("lockdown.lift", json!({ "person": "maria" })),
    ] {
        test.admin(operation, params).await;
        let entry = entry(&test, operation).await;
        // Entries after it are not signed yet.
        let name = format!("later{entry}");
        test.admin("person.create", json!({ "name": name })).await;
        let (text, data) = verified(&test.site).await;
        assert_eq!(data["signed"]["entry"], entry, "{operation}");
        assert_eq!(
            (&data["intact"], &data["unlike_signed"]),
            (&json!(true), &Value::Null)
        );
        let line = format!("The site signed the log up to entry {entry} at ");
        assert!(text.contains(&line), "{text}");
    }
}

/// A change at the local admin socket of a sealed site has no key to be signed with.
#[tokio::test]
async fn a_change_of_lockdowns_while_the_site_is_sealed_is_signed_at_unsealing() {
    let test = TestSite::new().await;
    let sealed = test.restarted().await;
    let local = Caller::admin_socket();
    let before = verified(&sealed).await.1["signed"]["entry"].as_u64();
    let imposed = run(
        &sealed,
        &local,
        "lockdown.site",
        json!({ "level": "logins" }),
    )
    .await;
    assert_eq!(imposed.0, Code::SUCCESS);
    let entries = test.audit().await;
    let imposed = entries.last().unwrap()["seq"].as_u64();
    assert!(before < imposed);
    assert_eq!(
        verified(&sealed).await.1["signed"]["entry"].as_u64(),
        before
    );
    let secret = SlotSecret::File(&test.slot);
    sealed.unseal(&local, secret, NOW).await.unwrap();
    let signed = verified(&sealed).await.1["signed"]["entry"].as_u64();
    assert!(signed > imposed, "{signed:?}");
}

/// An attacker with access to the database removes the entry of a lockdown and makes the chain whole.
#[tokio::test]
async fn a_log_that_was_rewritten_after_it_was_signed_is_found() {
    let test = TestSite::new().await;
    test.admin("lockdown.site", json!({ "level": "logins" }))
        .await;
    let imposed = entry(&test, "lockdown.site").await;
    test.admin("lockdown.lift", json!({ "site": true })).await;
    let forge = |entries: &mut _| {
        chain_again(entries, |draft| draft.operation != "lockdown.site");
    };
    test.memory().forge_audit(forge);
    let (text, data) = verified(&test.site).await;
    assert_eq!(data["broken"], Value::Null, "the chain itself is whole");
    assert_eq!(
        (&data["intact"], &data["unlike_signed"]),
        (&json!(false), &json!(imposed))
    );
    assert!(
        text.contains(&format!("entry {imposed} is not as the site signed it")),
        "{text}"
    );
}

/// The rest of the chain is whole.
#[tokio::test]
async fn a_log_without_its_signed_tail_is_found() {
    let test = TestSite::new().await;
    test.admin("lockdown.site", json!({ "level": "logins" }))
        .await;
    let imposed = entry(&test, "lockdown.site").await;
    test.memory().forge_audit(|entries| {
        entries.retain(|entry| entry.seq < imposed);
    });
    let (_, data) = verified(&test.site).await;
    assert_eq!(data["broken"], Value::Null);
    assert_eq!(
        (&data["intact"], &data["unlike_signed"]),
        (&json!(false), &json!(imposed))
    );
}

/// An attacker with access to the database replaces the last signature.
#[tokio::test]
async fn a_signature_that_the_site_did_not_make_is_found() {
    let altered = |stored: StoredSignature| {
        let mut bytes = stored.head.unwrap().to_bytes();
        *bytes.last_mut().unwrap() ^= 1;
        StoredSignature::read(stored.seq, &bytes)
    };
    let unknown_event = |stored: StoredSignature| {
        let key = SiteKey::from_seed(SiteSeed(Secret::from_bytes([9; 32])));
        let head = AuditHead {
            event: 9,
            ..*stored.head.unwrap().head()
        };
        StoredSignature::from(SignedAuditHead::new(head, &key))
    };
    let another_key = |stored: StoredSignature| {
        let key = SiteKey::from_seed(SiteSeed(Secret::from_bytes([9; 32])));
        StoredSignature::from(SignedAuditHead::new(*stored.head.unwrap().head(), &key))
    };
    let another_number = |stored: StoredSignature| {
        StoredSignature::read(stored.seq + 1, &stored.head.unwrap().to_bytes())
    };
    let unreadable = |stored: StoredSignature| StoredSignature::read(stored.seq, &[0; 152]);
    let forgeries: [(&str, Forge); 5] = [
        ("altered", altered),
        ("unknown event", unknown_event),
        ("another key", another_key),
        ("another number", another_number),
        ("unreadable", unreadable),
    ];
    for (name, forge) in forgeries {
        let test = TestSite::new().await;
        test.admin("lockdown.site", json!({ "level": "logins" }))
            .await;
        assert_eq!(verified(&test.site).await.1["intact"], true);
        let mut forged = None;
        test.memory().forge_signatures(|signatures| {
            let last = signatures.last_mut().unwrap();
            *last = forge(*last);
            forged = Some(last.seq);
        });
        let (_, data) = verified(&test.site).await;
        assert_eq!(data["intact"], false, "{name}");
        assert_eq!(data["unlike_signed"], json!(forged), "{name}");
    }
}

/// What a stolen key signed is void, and the new key signs the log again with its first entry.
#[tokio::test]
async fn the_new_site_key_signs_the_log_after_a_theft() {
    let test = TestSite::new().await;
    let at = async |seconds, name: &str, params: Value| {
        let operation = operation(name, &params);
        let caller = Caller::admin_socket();
        let outcome = test
            .site
            .run(&caller, &operation, NOW.plus_seconds(seconds));
        let outcome = outcome.await;
        assert_eq!(outcome.code, Code::SUCCESS, "{}", outcome.output);
    };
    at(10, "lockdown.site", json!({ "level": "logins" })).await;
    // The log becomes another one than the stolen key signed.
    let imposed = entry(&test, "lockdown.site").await;
    let index = usize::try_from(imposed).unwrap() - 1;
    test.memory().forge_audit(|entries| {
        entries[index].draft.target = Some("another".to_owned());
        chain_again(entries, |_| true);
    });
    assert_eq!(verified(&test.site).await.1["unlike_signed"], imposed);
    let file = json!({ "slot_file": test.slot.to_text().expose() });
    let stolen = NOW.plus_seconds(5);
    let rotation = json!({ "secrets": [file], "slots": [file], "compromised_since": stolen });
    at(20, "site.key_new", rotation).await;
    let (_, data) = verified(&test.site).await;
    assert_eq!(data["signed"]["entry"], entry(&test, "site.key_new").await);
    assert_eq!(data["signed"]["key_event"], 1);
    assert_eq!(data["intact"], true);
}

/// The verification read the newest 256 signatures: a thief of the replaced key, with access to the
/// database, stored as many of the newest entry, or of entries that the log does not have. They are
/// void, and the one that the rewritten log contradicts was not read.
#[tokio::test]
async fn void_signatures_hide_no_other_signature() {
    for (ahead, count, named_ahead) in [(0, MAX_SIGNATURES, false), (1_000_000, 1, true)] {
        let test = TestSite::new().await;
        let stolen = test.site.unsealed_keys().unwrap().key.clone();
        let file = json!({ "slot_file": test.slot.to_text().expose() });
        let rotation = json!({ "secrets": [file], "slots": [file], "compromised_since": NOW });
        test.admin("site.key_new", rotation).await;
        test.admin("lockdown.site", json!({ "level": "logins" }))
            .await;
        let imposed = entry(&test, "lockdown.site").await;
        let index = usize::try_from(imposed).unwrap() - 1;
        test.memory().forge_audit(|entries| {
            entries[index].draft.target = Some("another".to_owned());
            chain_again(entries, |_| true);
        });
        assert_eq!(verified(&test.site).await.1["unlike_signed"], imposed);
        if named_ahead {
            // Without the signature that differs, as after the deletion of some.
            test.memory().forge_signatures(|signatures| {
                signatures.retain(|signed| signed.seq < imposed);
            });
            assert_eq!(verified(&test.site).await.1["intact"], true);
        }
        let forged = (0..count).map(|number| {
            let head = AuditHead {
                site: test.site.id(),
                event: 0,
                seq: imposed + ahead,
                hash: [9; 32],
                time: NOW.millis() + 1 + i64::from(number),
            };
            StoredSignature::from(SignedAuditHead::new(head, &stolen))
        });
        test.memory()
            .forge_signatures(|signatures| signatures.extend(forged));
        let (_, data) = verified(&test.site).await;
        let expected = (&json!(false), &json!(imposed + ahead));
        assert_eq!((&data["intact"], &data["unlike_signed"]), expected);
    }
}

fn operation(name: &str, params: &Value) -> Operation {
    let (group, command) = name.split_once('.').unwrap();
    Operation::new(1, group, command, to_raw_value(params).unwrap())
}
