//! The ticket of the first admin.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use countersign_core::access::Caller;
use countersign_core::audit::AuditDraft;
use countersign_core::engine::RegistrationOrigin;
use countersign_core::store::{Change, ChangeSet, MemoryStore, Setting, Store};
use countersign_proto::enrolment::{EnrolmentTicket, TicketKind};
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{DEVICE_SOURCE, NOW, TestDevice, TestSite, ticket};

use serde_json::{Value, json};

use super::passphrase_tickets::{
    ROOT, Registrant, audited_since, first_admin_ticket, has_passphrase, is_refused,
};

// DEV-45
#[tokio::test]
async fn the_first_admin_chooses_the_name_and_there_is_one() {
    let test = TestSite::new().await;
    test.takes_enrolments();
    let ticket = first_admin_ticket(&test).await;
    assert_eq!(ticket.kind(), TicketKind::Admin);
    let before = test.audited().await.len();
    let (root, other) = (Registrant::new(), Registrant::new());
    let late = other.started(&test.site, ticket.token(), "other").await;
    let reply = root
        .set(&test.site, ticket.token(), "root", NOW)
        .await
        .unwrap();
    assert_eq!(
        (reply.id.to_string().as_str(), reply.repeated),
        (ROOT, false)
    );
    let shown = test.admin("person.show", json!({ "name": "root" })).await;
    assert_eq!(
        (&shown["role"], &shown["state"]),
        (&json!("admin"), &json!("active"))
    );
    assert!(has_passphrase(&test, "root").await);
    let again = root
        .set(&test.site, ticket.token(), "root", NOW)
        .await
        .unwrap();
    assert!(again.repeated);
    assert!(is_refused(&late.finish(&test.site, NOW).await));
    for (who, name) in [(&root, "toor"), (&other, "root")] {
        assert!(is_refused(
            &who.set(&test.site, ticket.token(), name, NOW).await
        ));
    }
    let audited = audited_since(&test, before).await;
    assert_eq!(audited[0], format!("passphrase.enrolled {ROOT} done"));
    assert!(
        test.site
            .issue_first_admin_ticket(NOW)
            .await
            .unwrap()
            .is_none()
    );
}

/// The site had a ticket that makes an admin, and no command showed it.
#[tokio::test]
async fn the_ticket_of_the_first_admin_is_listed_and_can_be_revoked() {
    let test = TestSite::new().await;
    assert_eq!(
        test.admin("ticket.list", json!({})).await["entries"],
        json!([])
    );
    test.takes_enrolments();
    let ticket = first_admin_ticket(&test).await;
    let listed = test.admin("ticket.list", json!({})).await;
    let [entry] = listed["entries"].as_array().unwrap().as_slice() else {
        panic!("{listed}");
    };
    assert_eq!(
        (&entry["kind"], &entry["state"], &entry["issued"]),
        (&json!("admin"), &json!("open"), &json!(NOW))
    );
    let id = entry["id"].clone();
    let shown = test.admin("ticket.show", json!({ "id": id })).await;
    assert_eq!(&shown, entry);
    let after = test.admin("ticket.list", json!({ "after": id })).await;
    assert_eq!(after["entries"], json!([]), "it is on one page alone");
    let before = test.audited().await.len();
    for _ in 0..2 {
        test.admin("ticket.revoke", json!({ "id": id })).await;
    }
    let revoked = audited_since(&test, before).await;
    assert_eq!(revoked.len(), 1, "{revoked:?}");
    let listed = test.admin("ticket.list", json!({})).await;
    assert_eq!(listed["entries"][0]["state"], json!("revoked"));
    let root = Registrant::new();
    let set = root.set(&test.site, ticket.token(), "root", NOW).await;
    assert!(is_refused(&set));
    // The name of the admin who was created with another ticket.
    let ticket = first_admin_ticket(&test).await;
    let set = root.set(&test.site, ticket.token(), "root", NOW).await;
    assert!(set.is_ok());
    let listed = test.admin("ticket.list", json!({})).await;
    let entry = &listed["entries"][0];
    assert_eq!(
        (&entry["person"], &entry["state"]),
        (&json!(ROOT), &json!("bound"))
    );
}

// DEV-45
#[tokio::test]
async fn a_ticket_of_the_first_admin_is_of_no_use_once_there_is_an_admin_or_it_is_over() {
    let test = TestSite::new().await;
    assert!(
        test.site
            .issue_first_admin_ticket(NOW)
            .await
            .unwrap()
            .is_none()
    );
    test.takes_enrolments();
    let replaced = first_admin_ticket(&test).await;
    let ticket = first_admin_ticket(&test).await;
    let root = Registrant::new();
    let set = async |ticket: &EnrolmentTicket, name: &str, now| {
        root.set(&test.site, ticket.token(), name, now).await
    };
    assert!(is_refused(&set(&replaced, "root", NOW).await));
    assert!(is_refused(
        &set(&ticket, "root", NOW.plus_seconds(3_600)).await
    ));
    // A name that is taken leaves the ticket as it was.
    test.admin("person.create", json!({ "name": "ada" })).await;
    assert!(is_refused(&set(&ticket, "ada", NOW).await));
    let started = root.started(&test.site, ticket.token(), "root").await;
    let admin = json!({ "name": "maria", "role": "admin" });
    test.admin("person.create", admin).await;
    assert!(is_refused(&set(&ticket, "root", NOW).await));
    assert!(is_refused(&started.finish(&test.site, NOW).await));
}

async fn entry(test: &TestSite) -> Value {
    let listed = test.admin("ticket.list", json!({})).await;
    listed["entries"][0].clone()
}

/// The ticket stayed open beside an admin who was created in another way: it was listed as open, was refused for a
/// reason that was not true, and was valid again when that admin was deleted.
// DEV-45
#[tokio::test]
async fn whatever_makes_an_admin_revokes_the_ticket_of_the_first_admin() {
    for makes in ["create", "role", "unlock", "load"] {
        let test = TestSite::new().await;
        test.takes_enrolments();
        let role = if makes == "role" { "member" } else { "admin" };
        let mut dump = Value::Null;
        if makes != "create" {
            let person = json!({ "name": "maria", "role": role });
            test.admin("person.create", person).await;
        }
        if makes == "load" {
            dump = test.admin("person.dump", json!({ "name": "maria" })).await;
            test.admin("person.delete", json!({ "name": "maria" }))
                .await;
        }
        if makes == "unlock" {
            test.admin("person.lock", json!({ "name": "maria" })).await;
        }
        let ticket = first_admin_ticket(&test).await;
        test.admin("person.create", json!({ "name": "bob" })).await;
        assert_eq!(
            entry(&test).await["state"],
            "open",
            "a member leaves it open"
        );
        let (operation, params) = match makes {
            "create" => ("create", json!({ "name": "maria", "role": "admin" })),
            "role" => ("update", json!({ "name": "maria", "role": "admin" })),
            "unlock" => ("unlock", json!({ "name": "maria" })),
            _ => ("load", json!({ "dump": dump.to_string() })),
        };
        test.admin(&format!("person.{operation}"), params).await;
        let listed = entry(&test).await;
        assert_eq!(
            (&listed["state"], &listed["why"]),
            (&json!("revoked"), &json!("there_is_an_admin")),
            "{makes}"
        );
        test.admin("person.delete", json!({ "name": "maria" }))
            .await;
        let root = Registrant::new();
        let set = root.set(&test.site, ticket.token(), "root", NOW).await;
        assert!(is_refused(&set), "{makes}");
        // The next start issues another one.
        let ticket = first_admin_ticket(&test).await;
        let set = root.set(&test.site, ticket.token(), "root", NOW).await;
        assert!(set.is_ok(), "{makes}");
        let admin = json!({ "name": "eve", "role": "admin" });
        test.admin("person.create", admin).await;
        assert_eq!(
            entry(&test).await["state"],
            "bound",
            "a used ticket stays used"
        );
    }
}

/// A ticket that was issued while an admin was created, after the read of the one and before the commit of the
/// other, stayed open beside the admin.
// DEV-45
#[tokio::test]
async fn no_ticket_of_the_first_admin_is_open_once_there_is_an_admin() {
    let mut context = Context::from_waker(Waker::noop());
    for is_issued_first in [false, true] {
        for polls in 0.. {
            let store = MemoryStore::new();
            // Each read is a step.
            let steps = FaultyStore::new(Arc::new(store.reopened()), Fault::Fails);
            let test = TestSite::builder().memory(store, Arc::new(steps));
            let test = test.build().await;
            test.takes_enrolments();
            let mut issued = pin!(test.site.issue_first_admin_ticket(NOW));
            let params = json!({ "name": "maria", "role": "admin" });
            let mut created = pin!(test.admin("person.create", params));
            let is_done = match is_issued_first {
                true => {
                    let is_done = (0..polls).any(|_| issued.as_mut().poll(&mut context).is_ready());
                    created.await;
                    if !is_done {
                        issued.await.unwrap();
                    }
                    is_done
                }
                false => {
                    let is_done =
                        (0..polls).any(|_| created.as_mut().poll(&mut context).is_ready());
                    issued.await.unwrap();
                    if !is_done {
                        created.await;
                    }
                    is_done
                }
            };
            let listed = test.admin("ticket.list", json!({})).await;
            let state = &listed["entries"][0]["state"];
            assert_ne!(state, "open", "{is_issued_first}, after {polls} polls");
            if is_done {
                break;
            }
        }
    }
}

/// A record of the ticket that cannot be read prevented that there is an admin. Without an admin, no ticket was
/// listed or revoked, and no pass phrase was set with one.
#[tokio::test]
async fn a_damaged_ticket_of_the_first_admin_prevents_no_admin_and_hides_no_ticket() {
    let test = TestSite::new().await;
    test.takes_enrolments();
    let setting = Setting {
        value: b"damaged".to_vec(),
        revision: 1,
    };
    let change = Change::PutSetting {
        name: "first_admin_ticket",
        setting,
    };
    let audit = AuditDraft::done(&Caller::site(), "test", NOW);
    let set = ChangeSet::new(vec![change], audit);
    test.memory().commit(set).await.unwrap();
    test.admin("person.create", json!({ "name": "ada" })).await;
    let of_ada = json!({ "person": "ada", "kind": "passphrase" });
    let issued = test.admin("ticket.issue", of_ada).await;
    let listed = test.admin("ticket.list", json!({})).await;
    assert_eq!(listed["entries"][0]["id"], issued["id"]);
    let token = ticket(&issued).token;
    let ada = Registrant::new();
    assert!(ada.set(&test.site, &token, "ada", NOW).await.is_ok());
    test.admin("ticket.revoke", json!({ "id": issued["id"] }))
        .await;
    let admin = json!({ "name": "maria", "role": "admin" });
    test.admin("person.create", admin).await;
}

// DEV-45
#[tokio::test]
async fn a_wrong_proof_revokes_the_ticket_of_the_first_admin() {
    let test = TestSite::new().await;
    test.takes_enrolments();
    let ticket = first_admin_ticket(&test).await;
    let root = Registrant::new();
    let (_, request) = root.request(ticket.token(), "root");
    let begun = test.site.begin_registration(
        &request,
        async { None },
        RegistrationOrigin::device(DEVICE_SOURCE),
        NOW,
    );
    assert!(is_refused(&begun.await));
    assert!(is_refused(
        &root.set(&test.site, ticket.token(), "root", NOW).await
    ));
}

/// The site took the token for an unknown one, and the ticket stayed as it was.
// DEV-44
#[tokio::test]
async fn the_ticket_of_the_first_admin_in_an_enrolment_is_revoked() {
    let test = TestSite::new().await;
    test.takes_enrolments();
    let ticket = first_admin_ticket(&test).await;
    let before = test.audited().await.len();
    let phone = TestDevice::new();
    let enrolled = phone.enrol(&test.site, ticket.token(), "root", NOW).await;
    assert!(is_refused(&enrolled));
    let audited = audited_since(&test, before).await;
    assert!(
        audited
            .iter()
            .any(|entry| entry.starts_with("ticket.misused")),
        "{audited:?}"
    );
    let set = Registrant::new()
        .set(&test.site, ticket.token(), "root", NOW)
        .await;
    assert!(is_refused(&set));
}
