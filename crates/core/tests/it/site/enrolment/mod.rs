//! Enrolment: a right token is spent whatever comes with it, one key gets it, and nothing is
//! learned from a refusal.

mod first_admin;
mod lockdowns;
mod misused_tickets;
pub(crate) mod passphrase_tickets;
mod races;
mod tickets;

use countersign_core::devices::DEVICES_PER_ACCOUNT;
use countersign_core::engine::{Enrolled, NotEnrolled};
use countersign_core::enrolment::{RevocationReason, TicketState};
use countersign_core::id::TicketId;
use countersign_core::store::Store;
use countersign_core::throttle::{Abuse, Source};
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::enrolment::Token;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{
    Builder, DEVICE_SOURCE, NOW, TestDevice, TestSite, TestTicket, proven, ticket,
};
use serde_json::{Value, json};

pub(crate) const REFUSED: Result<Enrolled, NotEnrolled> = Err(NotEnrolled::Refused);
pub(crate) const ADA: &str = "ada@example.org";

/// A site that takes enrolments, with the person `ada`.
pub(crate) async fn site() -> TestSite {
    with_ada(TestSite::builder()).await
}

pub(crate) async fn with_ada(builder: Builder) -> TestSite {
    let test = builder.build().await;
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": "ada" })).await;
    test
}

pub(crate) async fn state(store: &dyn Store, id: TicketId) -> TicketState {
    store.enrolment_ticket(id).await.unwrap().unwrap().state
}

pub(crate) async fn devices(test: &TestSite) -> Vec<Value> {
    let listed = test.admin("device.list", json!({})).await;
    listed["entries"].as_array().unwrap().clone()
}

/// What the audit log says after the first `before` entries, with all that was counted.
async fn audited_since(test: &TestSite, before: usize) -> Vec<String> {
    test.site.write_all_counted().await.unwrap();
    test.audited().await.split_off(before)
}

#[tokio::test]
async fn a_device_is_enrolled_with_the_right_token_id_and_proof() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let before = test.audited().await.len();
    let phone = TestDevice::new();
    // A name without its zone is the site's own.
    let enrolled = phone.enrol(&test.site, &ticket.token, "ada", NOW).await;
    let Enrolled { device, repeated } = enrolled.unwrap();
    assert!(!repeated);
    let [listed] = &devices(&test).await[..] else {
        panic!("one device");
    };
    assert_eq!(listed["id"], json!(device));
    assert_eq!(
        (&listed["person"], &listed["name"]),
        (&json!(ADA), &json!("phone"))
    );
    assert_eq!(listed["thumbprint"], phone.thumbprint().to_string());
    let done = format!("device.enrolled {ADA} done");
    assert_eq!(audited_since(&test, before).await, [done]);
    let entry = test.audit().await.pop().unwrap();
    assert_eq!(
        (&entry["actor"], &entry["channel"]),
        (&json!(ADA), &json!("device"))
    );
}

/// The answer was lost on the way: the device asks again, and is no second device.
// DEV-15, DEV-16
#[tokio::test]
async fn the_bound_key_gets_the_same_answer_until_the_ticket_expires() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let phone = TestDevice::new();
    let enrol = async |now| phone.enrol(&test.site, &ticket.token, ADA, now).await;
    let first = enrol(NOW).await.unwrap();
    let before = test.audited().await.len();
    let last = NOW.plus_millis(3_599_999);
    for now in [NOW, last] {
        let again = enrol(now).await.unwrap();
        assert_eq!((again.device, again.repeated), (first.device, true));
    }
    assert_eq!(devices(&test).await.len(), 1);
    assert_eq!(audited_since(&test, before).await, [""; 0]);
    assert_eq!(enrol(NOW.plus_seconds(3_600)).await, REFUSED);
}

// DEV-16
#[tokio::test]
async fn a_ticket_is_good_until_the_moment_of_its_expiry() {
    let test = site().await;
    let (one, two) = (test.ticket("ada").await, test.ticket("ada").await);
    let (last, over) = (NOW.plus_millis(3_599_999), NOW.plus_seconds(3_600));
    let enrol =
        async |token: &Token, now| TestDevice::new().enrol(&test.site, token, ADA, now).await;
    assert_eq!(enrol(&one.token, over).await, REFUSED);
    assert!(enrol(&two.token, last).await.is_ok());
    assert_eq!(
        state(&test.memory(), one.id).await,
        TicketState::Open,
        "what is over needs no revocation"
    );
}

/// An attacker without a ticket could make the site verify signatures, or fill the log and the
/// disk.
// DEV-17
#[tokio::test]
async fn an_unknown_token_costs_no_public_key_work_and_is_counted() {
    let test = site().await;
    let before = test.audited().await.len();
    let request = TestDevice::new().request(&Token::generate(&mut SystemEntropy), ADA);
    let punished = || {
        let penalties = test.site.throttle().penalties().list(NOW);
        penalties
            .first()
            .map(|(source, penalty)| (*source, penalty.points))
    };
    for times in 1..=20 {
        let proof = async { panic!("the proof of an unknown token is verified") };
        let refused = test.site.enrol(&request, proof, DEVICE_SOURCE, NOW).await;
        assert_eq!(refused, REFUSED);
        assert_eq!(punished(), Some((DEVICE_SOURCE, 4 * times)));
    }
    let audited = audited_since(&test, before).await;
    assert_eq!(
        audited, ["ticket.unknown - failed"; 2],
        "the first, and the others"
    );
    let entry = test.audit().await.pop().unwrap();
    assert_eq!(entry["actor"], DEVICE_SOURCE.to_string());
    assert_eq!(entry["details"]["count"], 19);
}

// DEV-14
#[tokio::test]
async fn a_right_token_with_a_wrong_id_or_proof_is_spent() {
    let test = site().await;
    test.admin("person.create", json!({ "name": "bob" })).await;
    for (name, proves, why) in [
        ("bob@example.org", true, RevocationReason::WrongId),
        ("unknown@example.org", true, RevocationReason::WrongId),
        (ADA, false, RevocationReason::WrongProof),
    ] {
        let ticket = test.ticket("ada").await;
        let before = test.audited().await.len();
        let phone = TestDevice::new();
        let request = phone.request(&ticket.token, name);
        let proof = async { proven(&request).filter(|_| proves) };
        let refused = test.site.enrol(&request, proof, DEVICE_SOURCE, NOW).await;
        assert_eq!(refused, REFUSED, "{name}");
        let revoked = TicketState::Revoked { at: NOW, why };
        assert_eq!(state(&test.memory(), ticket.id).await, revoked);
        // All right now, and too late.
        let right = phone.enrol(&test.site, &ticket.token, ADA, NOW).await;
        assert_eq!(right, REFUSED);
        let id = ticket.id;
        assert_eq!(
            audited_since(&test, before).await,
            [
                format!("ticket.misused {id} failed"),
                format!("ticket.refused {id} failed")
            ]
        );
    }
    assert_eq!(devices(&test).await.len(), 0);
}

/// A proof of another key than the one that was looked at first is none.
#[tokio::test]
async fn a_proof_of_another_key_spends_the_ticket() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let (shown, other) = (TestDevice::new(), TestDevice::new());
    let request = shown.request(&ticket.token, ADA);
    let others = other.request(&ticket.token, ADA);
    let proof = async { proven(&others) };
    let refused = test.site.enrol(&request, proof, DEVICE_SOURCE, NOW).await;
    assert_eq!(refused, REFUSED);
    let why = RevocationReason::WrongProof;
    let revoked = TicketState::Revoked { at: NOW, why };
    assert_eq!(state(&test.memory(), ticket.id).await, revoked);
}

/// A key that another device has, or had, registers nothing and spends the ticket.
// DEV-14, DEV-19
#[tokio::test]
async fn a_key_that_is_or_was_in_use_spends_the_ticket() {
    let test = site().await;
    test.admin("person.create", json!({ "name": "bob" })).await;
    let phone = TestDevice::new();
    let first = test.ticket("ada").await;
    let enrolled = phone
        .enrol(&test.site, &first.token, ADA, NOW)
        .await
        .unwrap();
    for revoked in [false, true] {
        if revoked {
            test.admin("device.revoke", json!({ "id": enrolled.device }))
                .await;
        }
        for person in ["ada", "bob"] {
            let ticket = test.ticket(person).await;
            let refused = phone.enrol(&test.site, &ticket.token, person, NOW).await;
            assert_eq!(refused, REFUSED, "{person}");
            let why = RevocationReason::KeyInUse;
            let spent = TicketState::Revoked { at: NOW, why };
            assert_eq!(state(&test.memory(), ticket.id).await, spent);
        }
    }
    // Nor does the ticket that it was enrolled with bring it back.
    let again = phone.enrol(&test.site, &first.token, ADA, NOW).await;
    assert_eq!(again, REFUSED);
    assert_eq!(devices(&test).await.len(), 0);
}

/// A token that came into other hands: the second key raises an entry, a thousand of them two, and
/// none costs a signature or takes the first key's answer away.
// DEV-15, DEV-17
#[tokio::test]
async fn a_second_key_is_audited_and_takes_nothing_from_the_first() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let phone = TestDevice::new();
    let first = phone.enrol(&test.site, &ticket.token, ADA, NOW).await;
    let first = first.unwrap();
    let before = test.audited().await.len();
    let request = TestDevice::new().request(&ticket.token, ADA);
    for _ in 0..1_000 {
        let proof = async { panic!("the proof of a second key is verified") };
        let refused = test.site.enrol(&request, proof, DEVICE_SOURCE, NOW).await;
        assert_eq!(refused, REFUSED);
    }
    let second = format!("ticket.second_key {} failed", ticket.id);
    assert_eq!(audited_since(&test, before).await, [second.clone(), second]);
    let entry = test.audit().await.pop().unwrap();
    assert_eq!(
        (&entry["details"]["count"], &entry["details"]["account"]),
        (&json!(999), &json!(ADA))
    );
    let again = phone.enrol(&test.site, &ticket.token, ADA, NOW).await;
    assert_eq!(again.unwrap().device, first.device);
}

/// The bound key with a wrong id or proof is no owner that lost an answer.
#[tokio::test]
async fn the_bound_key_with_a_wrong_proof_revokes_the_ticket_and_not_the_device() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let phone = TestDevice::new();
    let enrol = async || phone.enrol(&test.site, &ticket.token, ADA, NOW).await;
    enrol().await.unwrap();
    let request = phone.request(&ticket.token, ADA);
    let proof = async { None };
    let refused = test.site.enrol(&request, proof, DEVICE_SOURCE, NOW).await;
    assert_eq!(refused, REFUSED);
    assert_eq!(enrol().await, REFUSED);
    assert_eq!(devices(&test).await.len(), 1);
}

// DEV-31
#[tokio::test]
async fn a_locked_or_disabled_person_enrols_nothing_and_needs_a_new_ticket_afterwards() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let phone = TestDevice::new();
    let enrol = async |ticket: &TestTicket| {
        let enrolled = phone.enrol(&test.site, &ticket.token, ADA, NOW);
        enrolled.await
    };
    test.admin("person.lock", json!({ "name": "ada" })).await;
    assert_eq!(enrol(&ticket).await, REFUSED);
    test.admin("person.unlock", json!({ "name": "ada" })).await;
    let ticket = test.ticket("ada").await;
    test.admin("person.disable", json!({ "name": "ada" })).await;
    assert_eq!(enrol(&ticket).await, REFUSED);
    let (code, _) = test
        .refused("ticket.issue", json!({ "person": "ada" }))
        .await;
    assert_eq!(code, Code::CONFLICT);
    test.admin("person.enable", json!({ "name": "ada" })).await;
    assert_eq!(enrol(&ticket).await, REFUSED);
    assert!(enrol(&test.ticket("ada").await).await.is_ok());
}

#[tokio::test]
async fn a_sealed_site_enrols_nothing() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let sealed = test.restarted().await;
    let phone = TestDevice::new();
    assert_eq!(phone.enrol(&sealed, &ticket.token, ADA, NOW).await, REFUSED);
    assert!(
        phone
            .enrol(&test.site, &ticket.token, ADA, NOW)
            .await
            .is_ok()
    );
}

/// Another person gets the name of a deleted one, and nothing of what was issued for that name.
#[tokio::test]
async fn another_person_of_a_deleted_ones_name_gets_none_of_the_tickets_or_devices() {
    let test = site().await;
    let (used, left) = (test.ticket("ada").await, test.ticket("ada").await);
    let phone = TestDevice::new();
    phone
        .enrol(&test.site, &used.token, ADA, NOW)
        .await
        .unwrap();
    test.admin("person.delete", json!({ "name": "ada" })).await;
    test.admin("person.create", json!({ "name": "ada" })).await;
    for list in ["ticket.list", "device.list"] {
        let listed = test.admin(list, json!({})).await;
        assert_eq!(listed["entries"], json!([]), "{list}");
    }
    for token in [&used.token, &left.token] {
        assert_eq!(phone.enrol(&test.site, token, ADA, NOW).await, REFUSED);
        let other = TestDevice::new();
        assert_eq!(other.enrol(&test.site, token, ADA, NOW).await, REFUSED);
    }
    let session = test.device_session(&test.site, &phone, ADA, NOW).await;
    assert!(session.is_none());
}

#[tokio::test]
async fn a_renamed_person_enrols_by_the_new_name() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let rename = json!({ "name": "ada", "new_name": "lovelace" });
    test.admin("person.update", rename).await;
    let phone = TestDevice::new();
    let enrolled = phone
        .enrol(&test.site, &ticket.token, "lovelace", NOW)
        .await;
    assert!(enrolled.is_ok());
}

/// At the limit and one over; the ticket is not spent, so that it serves once there is room.
#[tokio::test]
async fn a_person_has_so_many_devices_and_no_more() {
    let test = site().await;
    let enrol = async |token: &Token| TestDevice::new().enrol(&test.site, token, ADA, NOW).await;
    for _ in 0..DEVICES_PER_ACCOUNT {
        let ticket = test.ticket("ada").await;
        enrol(&ticket.token).await.unwrap();
    }
    let ticket = test.ticket("ada").await;
    assert_eq!(enrol(&ticket.token).await, REFUSED);
    let first = devices(&test).await.remove(0);
    test.admin("device.revoke", json!({ "id": first["id"] }))
        .await;
    assert!(enrol(&ticket.token).await.is_ok());
}

/// A stolen database or a backup held tickets that could still be used.
#[tokio::test]
async fn no_token_is_in_the_database_or_the_audit_log() {
    let test = with_ada(TestSite::builder().file()).await;
    let issued = test.admin("ticket.issue", json!({ "person": "ada" })).await;
    let token = ticket(&issued).token;
    let phone = TestDevice::new();
    phone.enrol(&test.site, &token, ADA, NOW).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    let (_, body) = issued["uri"].as_str().unwrap().split_once('#').unwrap();
    let secrets = [
        token.expose().to_vec(),
        text(&issued["ticket"]["token"]),
        body.as_bytes().to_vec(),
    ];
    for file in std::fs::read_dir(test.folder()).unwrap() {
        let stored = std::fs::read(file.unwrap().path()).unwrap();
        for secret in &secrets {
            let found = stored.windows(secret.len()).any(|part| part == secret);
            assert!(!found, "a token is stored");
        }
    }
    let log = serde_json::to_string(&test.audit().await).unwrap();
    assert!(!log.contains(issued["ticket"]["token"].as_str().unwrap()));
}

/// The listener rejects a source with a penalty before this. Other sources are counted
/// separately.
#[tokio::test]
async fn refusals_count_for_their_source() {
    let test = site().await;
    let other = Source::V4([198, 51, 100, 1].into());
    let throttle = test.site.throttle();
    throttle
        .penalties()
        .record_abuse(other, Abuse::Malformed, NOW);
    let ticket = test.ticket("ada").await;
    let phone = TestDevice::new();
    let wrong = phone.enrol(&test.site, &ticket.token, "bob", NOW).await;
    assert_eq!(wrong, REFUSED);
    let listed = test.site.throttle().penalties().list(NOW);
    let points = |of| {
        listed
            .iter()
            .find(|(source, _)| *source == of)
            .unwrap()
            .1
            .points
    };
    assert_eq!((points(DEVICE_SOURCE), points(other)), (4, 8));
}
