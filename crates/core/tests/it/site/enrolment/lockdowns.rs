//! Tickets that are used while a lockdown is imposed.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use countersign_core::engine::NotEnrolled;
use countersign_core::store::MemoryStore;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, TestDevice, TestPeer, TestSite};
use serde_json::json;

use super::ADA;
use super::passphrase_tickets::{Registrant, first_admin_ticket, passphrase_ticket};

/// A site whose store can be left at each step.
async fn without_persons() -> TestSite {
    let store = MemoryStore::new();
    let steps = FaultyStore::new(Arc::new(store.reopened()), Fault::Fails);
    let test = TestSite::builder().memory(store, Arc::new(steps));
    let test = test.build().await;
    test.starts_peer_server().await;
    test
}

/// The same with the person ada.
async fn site() -> TestSite {
    let test = without_persons().await;
    test.admin("person.create", json!({ "name": "ada" })).await;
    test
}

/// The number of the last audit entry of this operation.
async fn audited(test: &TestSite, operation: &str) -> Option<u64> {
    let entries = test.audit().await;
    let last = entries
        .iter()
        .rfind(|entry| entry["operation"] == operation);
    last.map(|entry| entry["seq"].as_u64().unwrap())
}

/// Puts the site in lockdown at each step of the use of a ticket, whose effect is never written after it.
async fn race<Used, T>(
    effect: &str,
    prepared: impl AsyncFn() -> (TestSite, Used),
    uses: impl AsyncFn(&TestSite, &Used) -> Result<T, NotEnrolled>,
) {
    let mut context = Context::from_waker(Waker::noop());
    let mut refused = 0;
    for polls in 1.. {
        let (test, ticket) = prepared().await;
        let mut using = pin!(uses(&test, &ticket));
        if (0..polls).any(|_| using.as_mut().poll(&mut context).is_ready()) {
            assert!(refused > 2, "{effect} has steps before it is written");
            return;
        }
        let level = json!({ "level": "enrolment" });
        test.admin("lockdown.site", level).await;
        let used = using.await;
        let written = audited(&test, effect).await;
        let locked = audited(&test, "lockdown.site").await;
        assert!(written < locked, "{effect} after {polls} steps");
        assert_eq!(written.is_some(), used.is_ok());
        if used.is_err() {
            // The ticket stays as it was, and is of use when the lockdown is lifted.
            test.admin("lockdown.lift", json!({ "site": true })).await;
            assert!(uses(&test, &ticket).await.is_ok(), "{effect}");
            refused += 1;
        }
    }
}

/// A device whose enrolment the site had decided before a lockdown was there after it.
// DEV-69
#[tokio::test]
async fn no_device_is_enrolled_after_a_lockdown_that_began_meanwhile() {
    let prepared = async || {
        let test = site().await;
        let ticket = test.ticket("ada").await;
        (test, (TestDevice::new(), ticket.token))
    };
    race("device.enrolled", prepared, async |test, (phone, token)| {
        phone.enrol(&test.site, token, ADA, NOW).await
    })
    .await;
}

/// The same with a pass phrase.
// DEV-69
#[tokio::test]
async fn no_pass_phrase_is_set_after_a_lockdown_that_began_meanwhile() {
    let prepared = async || {
        let test = site().await;
        let token = passphrase_ticket(&test).await.token;
        let started = Registrant::new().started(&test.site, &token, "ada").await;
        (test, started)
    };
    race("passphrase.enrolled", prepared, async |test, started| {
        started.clone().finish(&test.site, NOW).await
    })
    .await;
}

/// The same with the first admin.
// DEV-69
#[tokio::test]
async fn no_first_admin_is_created_after_a_lockdown_that_began_meanwhile() {
    let prepared = async || {
        let test = without_persons().await;
        let ticket = first_admin_ticket(&test).await;
        let root = Registrant::new();
        let started = root.started(&test.site, ticket.token(), "root").await;
        (test, started)
    };
    race("passphrase.enrolled", prepared, async |test, started| {
        started.clone().finish(&test.site, NOW).await
    })
    .await;
}

/// The same with a site that becomes a peer.
// PEER-84
#[tokio::test]
async fn no_site_becomes_a_peer_after_a_lockdown_that_began_meanwhile() {
    let prepared = async || {
        let test = site().await;
        let issued = test.admin("peer.ticket", json!({ "person": "ada" })).await;
        let ticket = issued["uri"].as_str().unwrap().parse().unwrap();
        (test, (TestPeer::new("b.example"), ticket))
    };
    race("peer.joined", prepared, async |test, (peer, ticket)| {
        peer.join(&test.site, ticket, NOW).await
    })
    .await;
}
