//! Many enrolments at once, and ones that break off: one token is one device, in memory and in a
//! file.

use std::sync::Arc;

use countersign_core::engine::NotEnrolled;
use countersign_core::enrolment::TicketState;
use countersign_core::page::Page;
use countersign_core::store::MemoryStore;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, TestDevice, TestSite};
use serde_json::json;

use super::{ADA, REFUSED, devices, site, state, with_ada};
use crate::site::consequences::dropped_after;

/// One token raced by 100 keys: exactly one wins, and its repetition gets the same id.
async fn race(test: TestSite) {
    const KEYS: usize = 100;
    let ticket = test.ticket("ada").await;
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..KEYS {
        let (site, token) = (test.site.clone(), ticket.token.clone());
        racers.spawn(async move {
            let device = TestDevice::new();
            let enrolled = device.enrol(&site, &token, ADA, NOW).await;
            (device, enrolled)
        });
    }
    let answers = racers.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, one)| one.is_ok());
    assert_eq!((won.len(), lost.len()), (1, KEYS - 1));
    assert!(lost.iter().all(|(_, answer)| *answer == REFUSED));
    let (winner, enrolled) = &won[0];
    let enrolled = enrolled.as_ref().unwrap();
    assert!(!enrolled.repeated);
    let listed = devices(&test).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], json!(enrolled.device));
    for site in [test.site.clone(), test.unsealed().await] {
        let again = winner.enrol(&site, &ticket.token, ADA, NOW).await.unwrap();
        assert_eq!((again.device, again.repeated), (enrolled.device, true));
    }
}

// DEV-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_keys_one_gets_the_ticket_in_memory() {
    race(site().await).await;
}

// DEV-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_keys_one_gets_the_ticket_in_a_file() {
    race(with_ada(TestSite::builder().file()).await).await;
}

/// The same key came a hundred times at once: it is one device, and all are told its id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_that_comes_a_hundred_times_at_once_is_one_device() {
    let test = site().await;
    let ticket = test.ticket("ada").await;
    let phone = Arc::new(TestDevice::new());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (site, token, phone) = (test.site.clone(), ticket.token.clone(), phone.clone());
        calls.spawn(async move { phone.enrol(&site, &token, ADA, NOW).await.unwrap() });
    }
    let mut answers = calls.join_all().await;
    let first = answers.iter().filter(|enrolled| !enrolled.repeated);
    assert_eq!(first.count(), 1);
    answers.dedup_by_key(|enrolled| enrolled.device);
    assert_eq!(answers.len(), 1);
    assert_eq!(devices(&test).await.len(), 1);
}

/// The store wrote it and its answer was lost, or it wrote nothing: the device repeats, and is
/// enrolled once.
#[tokio::test]
async fn a_commit_that_fails_or_whose_answer_is_lost_is_repeated() {
    for fault in Fault::REPORTED {
        let store = MemoryStore::new();
        let faulty = Arc::new(FaultyStore::new(Arc::new(store.reopened()), fault));
        let test = with_ada(TestSite::builder().memory(store, faulty.clone())).await;
        let ticket = test.ticket("ada").await;
        let phone = TestDevice::new();
        faulty.break_after(0, 1);
        let lost = phone.enrol(&test.site, &ticket.token, ADA, NOW).await;
        assert!(matches!(lost, Err(NotEnrolled::Store(_))), "{fault:?}");
        let again = phone
            .enrol(&test.site, &ticket.token, ADA, NOW)
            .await
            .unwrap();
        assert_eq!(again.repeated, fault == Fault::AnswerLost);
        assert_eq!(devices(&test).await.len(), 1);
    }
}

/// The site is stopped at any point and started again: the device repeats, and is enrolled once.
async fn goes_away(test: impl AsyncFn() -> TestSite) {
    for waits in 0.. {
        let test = test().await;
        let ticket = test.ticket("ada").await;
        let phone = TestDevice::new();
        let enrolling = phone.enrol(&test.site, &ticket.token, ADA, NOW);
        let done = dropped_after(waits, enrolling).await;
        // What was under way is over when the next change is written.
        test.admin("person.create", json!({ "name": "behind" }))
            .await;
        let site = test.unsealed().await;
        let store = test.parts().await.store;
        let page = Page {
            after: None,
            limit: 10,
        };
        let devices = store.devices(None, &page).await.unwrap();
        let bound = match state(&*store, ticket.id).await {
            TicketState::Open => None,
            TicketState::Bound { device, .. } => device,
            TicketState::Revoked { why, .. } => panic!("{why:?}"),
        };
        let ids = devices.iter().flatten().map(|device| device.id);
        let ids: Vec<_> = ids.collect();
        assert_eq!(ids, Vec::from_iter(bound), "dropped after {waits} waits");
        let again = phone.enrol(&site, &ticket.token, ADA, NOW).await.unwrap();
        assert_eq!(again.repeated, bound.is_some());
        if let Some(done) = done {
            assert_eq!(bound, Some(done.unwrap().device));
            assert_eq!(bound, Some(again.device));
            break;
        }
    }
}

#[tokio::test]
async fn an_enrolment_that_breaks_off_at_any_point_is_repeated_in_memory() {
    goes_away(site).await;
}

#[tokio::test]
async fn an_enrolment_that_breaks_off_at_any_point_is_repeated_in_a_file() {
    goes_away(async || with_ada(TestSite::builder().file()).await).await;
}
