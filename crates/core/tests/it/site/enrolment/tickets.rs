//! `ticket issue`, `ticket list` and `ticket revoke`.

use countersign_core::access::Caller;
use countersign_core::engine::Endpoints;
use countersign_core::id::TicketId;
use countersign_core::sessions::Proof;
use countersign_core::store::EnrolmentTickets;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, PASSPHRASE, TestDevice, TestSite, run, run_at, ticket};
use serde_json::{Value, json};

use super::{REFUSED, devices, site};
use crate::site::accounts::proof::make_proof;

#[tokio::test]
async fn a_ticket_says_where_to_enrol_and_neither_whose_nor_for_how_long() {
    let test = site().await;
    let issued = test.admin("ticket.issue", json!({ "person": "ada" })).await;
    assert_eq!(issued["expires"], json!(NOW.plus_seconds(3_600)));
    assert_eq!(issued["ticket"]["host"], "devices.example.org");
    let members = issued["ticket"].as_object().unwrap();
    let members: Vec<_> = members.keys().map(String::as_str).collect();
    assert_eq!(members, ["host", "kind", "port", "site_key", "token"]);
    for form in ["uri", "qr_uri"] {
        let text = issued[form].as_str().unwrap();
        assert!(!text.contains("ada") && !text.contains("ADA"), "{text}");
        let read: EnrolmentTicket = text.parse().unwrap();
        assert_eq!(*read.site(), test.site.public_key().signing);
    }
    // Without a listener there is nowhere to enrol.
    test.site.announce(Endpoints::default());
    let (code, _) = test
        .refused("ticket.issue", json!({ "person": "ada" }))
        .await;
    assert_eq!(code, Code::CONFLICT);
}

/// At the limits and one over.
#[tokio::test]
async fn a_ticket_lasts_at_most_seven_days_and_a_person_has_at_most_64_open_ones() {
    let test = site().await;
    let issue = |seconds: u32| json!({ "person": "ada", "expires_in": seconds });
    for wrong in [0, 604_801] {
        let (code, data) = test.refused("ticket.issue", issue(wrong)).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::INVALID_PARAMS, &json!("expires_in"))
        );
    }
    for kind in ["admin", "peer", "car"] {
        let params = json!({ "person": "ada", "kind": kind });
        let (code, _) = test.refused("ticket.issue", params).await;
        assert_eq!(code, Code::INVALID_PARAMS, "{kind}");
    }
    let mut last = Value::Null;
    for _ in 0..64 {
        last = test.admin("ticket.issue", issue(604_800)).await;
    }
    let (code, _) = test.refused("ticket.issue", issue(1)).await;
    assert_eq!(code, Code::CONFLICT);
    test.admin("ticket.revoke", json!({ "id": last["id"] }))
        .await;
    test.admin("ticket.issue", issue(1)).await;
    // Other persons still get tickets.
    test.admin("person.create", json!({ "name": "bob" })).await;
    test.ticket("bob").await;
}

/// A stolen session becomes no device of its account.
#[tokio::test]
async fn a_person_issues_tickets_for_themselves_after_a_fresh_proof_alone() {
    let test = site().await;
    for role in ["member", "admin"] {
        let name = format!("{role}-of-the-site");
        let own = test.person(&name, role).await;
        let ask = async |person: &str| {
            let params = json!({ "person": person });
            run(&test.site, &own.caller, "ticket.issue", params).await.0
        };
        assert_eq!(ask(&name).await, Code::NOT_PERMITTED);
        let (of_others, of_unknown) = match role {
            "admin" => (Code::SUCCESS, Code::NOT_FOUND),
            _ => (Code::NOT_FOUND, Code::NOT_FOUND),
        };
        assert_eq!(ask("ada").await, of_others);
        assert_eq!(ask("unknown").await, of_unknown);
    }
}

#[tokio::test]
async fn a_member_who_proves_the_pass_phrase_issues_one_ticket() {
    let test = TestSite::builder().person("eve", "member").build().await;
    test.takes_enrolments();
    let shown = test.admin("person.show", json!({ "name": "eve" })).await;
    let eve = test.session(&shown, Proof::Passphrase).await.unwrap();
    let (code, data) = make_proof(&test.site, &eve, PASSPHRASE, NOW).await;
    assert_eq!(code, Code::SUCCESS, "{data}");
    let issue = async || {
        let params = json!({ "person": "eve" });
        run(&test.site, &eve.caller, "ticket.issue", params).await
    };
    let (code, issued) = issue().await;
    assert_eq!(code, Code::SUCCESS, "{issued}");
    let token = ticket(&issued).token;
    let phone = TestDevice::new();
    assert!(phone.enrol(&test.site, &token, "eve", NOW).await.is_ok());
    assert_eq!(issue().await.0, Code::NOT_PERMITTED, "the proof is spent");
}

#[tokio::test]
async fn tickets_are_listed_and_revoked_by_an_admin_and_by_their_person() {
    let test = site().await;
    let bob = test.person("bob", "member").await;
    let (of_ada, of_bob) = (test.ticket("ada").await, test.ticket("bob").await);
    let used = test.ticket("bob").await;
    let enrolled = TestDevice::new()
        .enrol(&test.site, &used.token, "bob", NOW)
        .await
        .unwrap();
    let list = async |caller: &Caller, params| {
        let (code, listed) = run(&test.site, caller, "ticket.list", params).await;
        assert_eq!(code, Code::SUCCESS, "{listed}");
        let entries = listed["entries"].as_array().unwrap().clone();
        let of = |entry: &Value| {
            let [person, state] = ["person", "state"].map(|field| entry[field].as_str().unwrap());
            format!("{person} {state}")
        };
        (entries.iter().map(of).collect::<Vec<_>>(), entries)
    };
    let local = Caller::admin_socket();
    let (mut all, _) = list(&local, json!({})).await;
    all.sort();
    let bobs = ["bob@example.org bound", "bob@example.org open"];
    assert_eq!(all, ["ada@example.org open", bobs[0], bobs[1]]);
    for (caller, params) in [
        (&bob.caller, json!({})),
        (&bob.caller, json!({ "person": "bob" })),
        (&local, json!({ "person": "bob" })),
    ] {
        let (mut own, entries) = list(caller, params).await;
        own.sort();
        assert_eq!(own, bobs);
        let bound = entries.iter().find(|entry| entry["state"] == "bound");
        let bound = bound.unwrap();
        assert_eq!(bound["device"], json!(enrolled.device));
        let id = json!({ "id": bound["id"] });
        let (code, shown) = run(&test.site, caller, "ticket.show", id).await;
        assert_eq!((code, &shown), (Code::SUCCESS, bound));
    }
    let adas = json!({ "id": of_ada.id });
    let (code, _) = run(&test.site, &bob.caller, "ticket.show", adas).await;
    assert_eq!(code, Code::NOT_FOUND);
    let (code, _) = run(
        &test.site,
        &bob.caller,
        "ticket.list",
        json!({ "person": "ada" }),
    )
    .await;
    assert_eq!(code, Code::NOT_FOUND);

    let revoke = async |id: TicketId| {
        let params = json!({ "id": id });
        run(&test.site, &bob.caller, "ticket.revoke", params)
            .await
            .0
    };
    assert_eq!(revoke(of_ada.id).await, Code::NOT_FOUND);
    for _ in 0..2 {
        assert_eq!(
            revoke(of_bob.id).await,
            Code::SUCCESS,
            "the second time too"
        );
    }
    let phone = TestDevice::new();
    let refused = phone.enrol(&test.site, &of_bob.token, "bob", NOW).await;
    assert_eq!(refused, REFUSED);
    test.admin("ticket.revoke", json!({ "id": of_ada.id }))
        .await;
    test.admin("ticket.revoke", json!({ "id": used.id })).await;
    assert_eq!(devices(&test).await.len(), 1, "the device stays");
    let revoked = test.audited().await;
    let revoked = revoked
        .iter()
        .filter(|entry| entry.starts_with("ticket.revoke"));
    assert_eq!(revoked.count(), 3);
}

#[tokio::test]
async fn tickets_of_one_person_are_issued_so_often_over_sessions() {
    let test = site().await;
    let root = test.person("root", "admin").await;
    let issue = async |person: &str| {
        let params = json!({ "person": person });
        run(&test.site, &root.caller, "ticket.issue", params)
            .await
            .0
    };
    for _ in 0..32 {
        assert_eq!(issue("ada").await, Code::SUCCESS);
    }
    assert_eq!(issue("ada").await, Code::BUSY);
    test.admin("person.create", json!({ "name": "bob" })).await;
    assert_eq!(issue("bob").await, Code::SUCCESS);
    test.ticket("ada").await;
}

/// A ticket that is long over is not kept: the next one for its person takes it away.
#[tokio::test]
async fn a_ticket_that_is_over_for_a_week_is_forgotten() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let listed = async |now| {
        let (site, local) = (&test.site, Caller::admin_socket());
        let params = json!({ "person": "ada", "expires_in": 60 });
        run_at(site, &local, "ticket.issue", params, now).await;
        let found = test.memory().enrolment_ticket(ticket.id).await;
        found.unwrap().is_some()
    };
    let over = NOW.plus_seconds(3_600);
    let week = over.plus_seconds(7 * 24 * 60 * 60);
    assert!(listed(week).await);
    assert!(!listed(week.plus_millis(1)).await);
}
