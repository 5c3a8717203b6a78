//! A ticket with a wrong id is spent at once, whatever the store does.

use std::sync::Arc;

use countersign_core::engine::Begun;
use countersign_core::enrolment::{RevocationReason, TicketState};
use countersign_core::store::MemoryStore;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, TestDevice, TestSite, ticket};
use serde_json::json;

use super::passphrase_tickets::Registrant;
use super::{ADA, state, with_ada};

async fn on_faulty_store() -> (TestSite, Arc<FaultyStore>) {
    let memory = MemoryStore::default();
    let faulty = FaultyStore::new(Arc::new(memory.reopened()), Fault::Fails);
    let faulty = Arc::new(faulty);
    let builder = TestSite::builder().memory(memory, faulty.clone());
    (with_ada(builder).await, faulty)
}

/// An attacker with a token sent a different id on each of some hundred connections at once: each
/// was compared with the person's before the first revocation was written.
// DEV-14
#[tokio::test]
async fn of_many_ids_sent_at_once_with_one_token_one_is_tried() {
    // Reads of SQLite wait for each other, so all requests read the ticket as open.
    let test = with_ada(TestSite::builder().file()).await;
    let issue = json!({ "person": "ada", "kind": "passphrase" });
    let ticket = ticket(&test.admin("ticket.issue", issue).await);
    let thief = Registrant::new();
    let guess = async |id: String| {
        thief
            .begin(&test.site, &ticket.token, &id, NOW)
            .await
            .is_ok()
    };
    let wrong = (0..20).map(|number| format!("guess{number}@example.org"));
    let ids = wrong.chain([ADA.to_owned()]);
    let answered = futures_util::future::join_all(ids.map(guess)).await;
    assert!(!answered.contains(&true), "the right id was answered");
}

/// On a full disk the revocation could not be written, and the guesses at the id went on. With room
/// again, the account was taken over.
// DEV-14
#[tokio::test]
async fn a_wrong_id_spends_the_ticket_although_the_disk_is_full() {
    for kind in ["device", "passphrase"] {
        let (test, disk) = on_faulty_store().await;
        let issue = json!({ "person": "ada", "kind": kind });
        let ticket = ticket(&test.admin("ticket.issue", issue).await);
        let thief = Registrant::new();
        let enrol = async |id: &str| match kind {
            "device" => {
                let device = TestDevice::new();
                let enrolled = device.enrol(&test.site, &ticket.token, id, NOW).await;
                enrolled.is_ok()
            }
            _ => {
                let begun = thief.begin(&test.site, &ticket.token, id, NOW).await;
                matches!(begun, Ok((_, Begun::Started(_))))
            }
        };
        disk.break_after(0, usize::MAX);
        assert!(!enrol("guess@example.org").await);
        assert!(
            test.site
                .revoke_misused_tickets(NOW.plus_seconds(1))
                .await
                .is_err()
        );
        disk.break_after(0, 0);
        assert!(
            !enrol(ADA).await,
            "{kind}: it is spent, though not in the store"
        );
        test.site
            .revoke_misused_tickets(NOW.plus_seconds(2))
            .await
            .unwrap();
        let revoked = TicketState::Revoked {
            at: NOW,
            why: RevocationReason::WrongId,
        };
        assert_eq!(state(&test.memory(), ticket.id).await, revoked);
        let audited = test.audited().await;
        let misused = |line: &&String| line.starts_with("ticket.misused");
        assert_eq!(audited.iter().filter(misused).count(), 1, "{audited:?}");
        // A minute later the store alone remembers it.
        test.site
            .revoke_misused_tickets(NOW.plus_seconds(63))
            .await
            .unwrap();
        assert!(!enrol(ADA).await);
    }
}
