//! What an attacker with a stolen session prepares for later.

use countersign_core::enrolment::{RevocationReason, TicketState};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestDevice, TestSite, TestTicket, run, run_at, ticket};
use serde_json::json;

use super::alarms;
use super::enrolment::{ADA, REFUSED, site, state};
use crate::site::accounts::proof;
use crate::site::alarms::outbox::due;
use crate::site::enrolment::passphrase_tickets::Registrant;

async fn passphrase_ticket(test: &TestSite) -> TestTicket {
    let issue = json!({ "person": "ada", "kind": "passphrase" });
    ticket(&test.admin("ticket.issue", issue).await)
}

async fn why(test: &TestSite, ticket: &TestTicket) -> Option<RevocationReason> {
    match state(&test.memory(), ticket.id).await {
        TicketState::Revoked { why, .. } => Some(why),
        _ => None,
    }
}

/// A thief issued tickets, and enrolled a device with one after the owner had set a new pass phrase.
// DEV-31
#[tokio::test]
async fn a_new_pass_phrase_revokes_open_tickets() {
    let test = site().await;
    let (first, early) = (passphrase_ticket(&test).await, test.ticket("ada").await);
    let ada = Registrant::new();
    ada.set(&test.site, &first.token, ADA, NOW).await.unwrap();
    assert_eq!(why(&test, &early).await, None, "the first pass phrase");
    let bound = test.ticket("ada").await;
    let phone = TestDevice::new();
    phone
        .enrol(&test.site, &bound.token, ADA, NOW)
        .await
        .unwrap();
    let prepared = test.ticket("ada").await;
    let second = passphrase_ticket(&test).await;
    ada.set(&test.site, &second.token, ADA, NOW).await.unwrap();
    for ticket in [&early, &prepared] {
        let expected = Some(RevocationReason::PassphraseChanged);
        assert_eq!(why(&test, ticket).await, expected);
        let thief = TestDevice::new();
        let enrolled = thief.enrol(&test.site, &ticket.token, ADA, NOW).await;
        assert_eq!(enrolled, REFUSED);
    }
    // Both replies may have been lost.
    assert!(
        ada.set(&test.site, &second.token, ADA, NOW)
            .await
            .unwrap()
            .repeated
    );
    let repeated = phone.enrol(&test.site, &bound.token, ADA, NOW).await;
    assert!(repeated.unwrap().repeated);

    let third = test.ticket("ada").await;
    test.set_passphrase("ada", "another fine pass phrase").await;
    let expected = Some(RevocationReason::PassphraseChanged);
    assert_eq!(why(&test, &third).await, expected, "by operation");
}

/// Of two tickets for a pass phrase the thief kept one, and used it after the owner had used the
/// other.
// DEV-31
#[tokio::test]
async fn a_second_ticket_for_a_pass_phrase_revokes_the_first() {
    let test = site().await;
    let (first, device) = (passphrase_ticket(&test).await, test.ticket("ada").await);
    let second = passphrase_ticket(&test).await;
    assert_eq!(why(&test, &first).await, Some(RevocationReason::Replaced));
    assert_eq!(why(&test, &device).await, None);
    assert_eq!(why(&test, &second).await, None);
}

/// A person was locked and unlocked, and the tickets of the time before could be used again.
// DEV-31
#[tokio::test]
async fn a_locked_person_has_no_open_tickets() {
    for (stop, go_on) in [("lock", "unlock"), ("disable", "enable")] {
        let test = site().await;
        let ticket = test.ticket("ada").await;
        for verb in [stop, go_on] {
            test.admin(&format!("person.{verb}"), json!({ "name": "ada" }))
                .await;
        }
        let expected = Some(RevocationReason::AccountLocked);
        assert_eq!(why(&test, &ticket).await, expected, "{stop}");
    }
}

/// A stolen session redirected the person's alarms to the thief, also those about the theft.
// ALM-48
#[tokio::test]
async fn a_stolen_session_cannot_change_where_alarms_go() {
    let test = alarms::site().await;
    let maria = proof::person(&test, "maria", "member").await;
    let set = async |params| run(&test.site, &maria.caller, "alarm.preferences", params).await;
    for redirect in [
        json!({ "text_to": "+49 666" }),
        json!({ "channels": ["text"] }),
        json!({ "channels": ["text", "email"], "text_to": "+49 666", "language": "de" }),
    ] {
        let (code, refused) = set(redirect.clone()).await;
        assert_eq!(code, Code::NOT_PERMITTED, "{redirect}: {refused}");
    }
    let (code, _) =
        set(json!({ "language": "de", "quiet_from": "22:00", "quiet_to": "07:00" })).await;
    assert_eq!(code, Code::SUCCESS, "this redirects nothing");
    let (code, _) = proof::make_proof(&test.site, &maria, proof::PHRASE, NOW).await;
    assert_eq!(code, Code::SUCCESS);
    let (code, _) = set(json!({ "text_to": "+49 1" })).await;
    assert_eq!(code, Code::SUCCESS);
    // A session may change its settings five times at once, and once a minute.
    let (later, other) = (NOW.plus_seconds(60), json!({ "text_to": "+49 2" }));
    let (code, _) = run_at(&test.site, &maria.caller, "alarm.preferences", other, later).await;
    assert_eq!(code, Code::NOT_PERMITTED, "a proof allows one change");
}

/// An attacker with the pass phrase redirected the person's alarms, and the person did not learn of it:
/// the channels of before were no longer used.
// ALM-48
#[tokio::test]
async fn the_previous_channels_learn_of_a_change() {
    let test = alarms::site().await;
    let maria = proof::person(&test, "maria", "member").await;
    let email = json!({ "name": "maria", "email": "maria@mail.example" });
    test.admin("person.update", email).await;
    let set = async |params| {
        let (code, _) = proof::make_proof(&test.site, &maria, proof::PHRASE, NOW).await;
        assert_eq!(code, Code::SUCCESS);
        let (code, refused) = run(&test.site, &maria.caller, "alarm.preferences", params).await;
        assert_eq!(code, Code::SUCCESS, "{refused}");
        let due = due(&test.site, NOW).await;
        let mut addresses: Vec<String> = due.into_iter().map(|one| one.address).collect();
        addresses.sort_unstable();
        addresses
    };
    let redirect = json!({ "channels": ["text"], "text_to": "+49 666" });
    assert_eq!(set(redirect).await, ["maria@mail.example"]);
    // An acknowledgement by the attacker silences no later change.
    let listed = test.admin("alarm.list", json!({})).await;
    let by_id = json!({ "id": listed["entries"][0]["id"] });
    let (code, _) = run(&test.site, &maria.caller, "alarm.acknowledge", by_id).await;
    assert_eq!(code, Code::SUCCESS);
    let again = json!({ "text_to": "+49 667" });
    let caller = &maria.caller;
    let later = NOW.plus_seconds(1);
    let (code, _) = proof::make_proof(&test.site, &maria, proof::PHRASE, NOW).await;
    assert_eq!(code, Code::SUCCESS);
    let (code, _) = run_at(&test.site, caller, "alarm.preferences", again, later).await;
    assert_eq!(code, Code::SUCCESS);
    let due = due(&test.site, later).await;
    assert!(due.iter().any(|one| one.address == "maria@mail.example"));
}
