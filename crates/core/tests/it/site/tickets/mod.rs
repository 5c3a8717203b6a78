//! Service tickets, as the site issues them to registered applications.

mod foreign;
mod foreign_changed;
mod foreign_void;
mod keys;
mod requests;
mod symmetric;
mod symmetric_refusals;
mod void;

use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::audit::AuditDraft;
use countersign_core::engine::TicketWork;
use countersign_core::store::{Change, ChangeSet, Store};
use countersign_core::tickets::{IssueError, TicketEdition, V2, Verified};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::PartyKey;
use countersign_proto::broker::v2::consumer::{Consumer, PendingRequest};
use countersign_proto::broker::v2::{Refusal, SealedMessage};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;

const SITE_RSA: &str = include_str!("../../../../../../vectors/serveros/keys/master.key.pem");

/// When the site started issuing tickets, some time before now.
pub(crate) const START: Timestamp = Timestamp::from_millis(NOW.millis() - 600_000);

pub(crate) fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap()
}

/// Returns a site with `billing`, which may call `ledger`.
pub(crate) async fn applications() -> (TestSite, Consumer) {
    let test = TestSite::new().await;
    test.site.start_issuing(START);
    let (consumer, _) = test.billing_and_ledger().await;
    (test, consumer)
}

/// The program around the site: its clock stands, and something happens while a request waits for
/// its turn.
pub(crate) struct Work<'a> {
    pub(crate) now: Timestamp,
    pub(crate) meanwhile: &'a (dyn Fn() -> BoxFuture<'a, ()> + Sync),
}

impl TicketWork for Work<'_> {
    type Turn = ();

    async fn turn(&self) -> Option<()> {
        (self.meanwhile)().await;
        Some(())
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn recorded(&self) {}
}

pub(crate) type Error = IssueError<Refusal>;
type Answered = Result<SealedMessage, Error>;

pub(crate) async fn verify(
    test: &TestSite,
    request: &SealedMessage,
    now: Timestamp,
) -> Result<Verified<V2>, Error> {
    let received = V2::read(serde_json::to_vec(request).unwrap());
    let received = received.map_err(IssueError::Refused)?;
    test.site.verify_request(received, now).await
}

/// Returns the site's answer at `now`.
pub(crate) async fn answer(test: &TestSite, request: &SealedMessage, now: Timestamp) -> Answered {
    let meanwhile = &|| async {}.boxed();
    let verified = verify(test, request, now).await?;
    test.site
        .request_ticket(verified, &Work { now, meanwhile })
        .await
}

/// Returns the site's answer to a new request of `consumer` for `ledger`, with what happens while it
/// waits for its turn.
pub(crate) async fn answer_with<'a>(
    test: &TestSite,
    consumer: &Consumer,
    meanwhile: &'a (dyn Fn() -> BoxFuture<'a, ()> + Sync),
) -> Answered {
    let (_, request) = ask(consumer, "ledger", NOW);
    let verified = verify(test, &request, NOW).await?;
    let work = Work {
        now: NOW,
        meanwhile,
    };
    test.site.request_ticket(verified, &work).await
}

pub(crate) fn ask(
    consumer: &Consumer,
    requested: &str,
    now: Timestamp,
) -> (PendingRequest, SealedMessage) {
    let asked = consumer.ask(requested, millis(now), &mut SystemEntropy);
    asked.unwrap()
}

pub(crate) fn refusal(answered: Answered) -> Refusal {
    match answered {
        Err(IssueError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_registered_application_gets_a_ticket_for_an_application_that_it_may_call() {
    let (test, consumer) = applications().await;
    let (asked, request) = ask(&consumer, "ledger", NOW);
    let answered = answer(&test, &request, NOW).await.unwrap();
    let body = serde_json::to_vec(&answered).unwrap();
    let granted = consumer.read_response(asked, &body).unwrap();
    assert_eq!(granted.response().expires, millis(NOW) + 3_600_000);
}

/// [BRK-5]
#[tokio::test]
async fn a_request_is_answered_once_even_if_the_site_restarts() {
    let (test, consumer) = applications().await;
    let (_, request) = ask(&consumer, "ledger", NOW);
    answer(&test, &request, NOW).await.unwrap();
    let again = answer(&test, &request, NOW).await;
    assert_eq!(refusal(again), Refusal::Replayed);
    // After a restart the replay cache is empty, and the request is refused because it is older
    // than the start.
    test.site.start_issuing(NOW);
    let later = NOW.plus_millis(1_500);
    let again = answer(&test, &request, later).await;
    assert_eq!(refusal(again), Refusal::Clock);
    let (_, request) = ask(&consumer, "ledger", later);
    answer(&test, &request, later).await.unwrap();
}

/// [BRK-6] and [BRK-30]
#[tokio::test]
async fn policy_is_checked_for_each_request() {
    let (test, consumer) = applications().await;
    let ask_for = async |requested: &str| {
        let (_, request) = ask(&consumer, requested, NOW);
        answer(&test, &request, NOW).await
    };
    let unknown = ask_for("unknown").await;
    assert_eq!(refusal(unknown), Refusal::NotAllowed);
    let itself = ask_for("billing").await;
    assert_eq!(refusal(itself), Refusal::NotAllowed);
    assert!(ask_for("ledger").await.is_ok());

    test.admin("app.lock", json!({ "id": "ledger" })).await;
    let locked = ask_for("ledger").await;
    assert_eq!(refusal(locked), Refusal::NotAllowed);
    test.admin("app.unlock", json!({ "id": "ledger" })).await;
    assert!(ask_for("ledger").await.is_ok());

    test.admin("app.lock", json!({ "id": "billing" })).await;
    let locked = ask_for("ledger").await;
    assert_eq!(refusal(locked), Refusal::NotVerified);
    test.admin("app.unlock", json!({ "id": "billing" })).await;

    let settings = json!({ "may_call": [] });
    test.admin(
        "app.update",
        json!({ "id": "billing", "settings": settings }),
    )
    .await;
    let denied = ask_for("ledger").await;
    assert_eq!(refusal(denied), Refusal::NotAllowed);
    test.admin("app.delete", json!({ "id": "billing" })).await;
    let deleted = ask_for("ledger").await;
    assert_eq!(refusal(deleted), Refusal::NotVerified);
}

/// A change between the verification of a request and its ticket takes effect.
#[tokio::test]
async fn a_lock_during_a_request_takes_effect() {
    let (test, consumer) = applications().await;
    let other = PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
    let params = json!({ "id": "other", "public_keys": [other.public().to_pem()] });
    test.admin("app.create", params).await;
    let lock = || test.admin("app.lock", json!({ "id": "billing" }));
    let unlock = || test.admin("app.unlock", json!({ "id": "billing" }));
    for (locks, unlocks) in [(false, false), (true, true), (true, false)] {
        let ticket = answer_with(&test, &consumer, &|| {
            let (lock, unlock) = (&lock, &unlock);
            async move {
                if locks {
                    lock().await;
                }
                if unlocks {
                    unlock().await;
                }
            }
            .boxed()
        })
        .await;
        match (ticket, locks) {
            // Unlocked again, the application has another revision.
            (ticket, true) => assert_eq!(refusal(ticket), Refusal::NotVerified),
            (ticket, false) => assert!(ticket.is_ok()),
        }
    }
    unlock().await;
    // A lock of the provider takes effect too. A change of another application has none.
    for (id, granted) in [("other", true), ("ledger", false)] {
        let lock = || async { drop(test.admin("app.lock", json!({ "id": id })).await) };
        let ticket = answer_with(&test, &consumer, &|| lock().boxed()).await;
        assert_eq!(ticket.is_ok(), granted, "{id}");
    }
    test.admin("app.unlock", json!({ "id": "ledger" })).await;
    // Locked between verification and the policy check.
    let (_, request) = ask(&consumer, "ledger", NOW);
    let verified = verify(&test, &request, NOW).await.unwrap();
    lock().await;
    let work = Work {
        now: NOW,
        meanwhile: &|| async {}.boxed(),
    };
    let ticket = test.site.request_ticket(verified, &work).await;
    assert_eq!(refusal(ticket), Refusal::NotVerified);
    unlock().await;
    // Two requests read an application, one of them before a change: the cache keeps the later
    // value.
    let (before, ()) = tokio::join!(test.site.registered("billing", NOW), async {
        lock().await;
    });
    assert!(before.unwrap().is_some());
    let after = test.site.registered("billing", NOW).await.unwrap().unwrap();
    assert_eq!(after.application.state.as_str(), "locked");
}

/// [BRK-31]: a cached application is not used after one of its keys retired.
#[tokio::test]
async fn a_previous_key_is_valid_until_it_retires() {
    let (test, consumer) = applications().await;
    let next = PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
    let rotate = json!({
        "id": "billing", "public_key": next.public().to_pem(), "overlap": 1_000
    });
    test.admin("app.rotate_key", rotate).await;
    for (after, accepted) in [(999, true), (1_000, false)] {
        let now = NOW.plus_millis(after);
        let (_, request) = ask(&consumer, "ledger", now);
        assert_eq!(
            answer(&test, &request, now).await.is_ok(),
            accepted,
            "{after}"
        );
    }
    let now = NOW.plus_millis(1_000);
    let rotated = Consumer {
        keys: vec![next],
        ..consumer
    };
    let (_, request) = ask(&rotated, "ledger", now);
    assert!(answer(&test, &request, now).await.is_ok());
}

/// Regression test: an attacker with a stolen session of an admin set an RSA key of their
/// own, and could pose as the site to each application of edition v1.
#[tokio::test]
async fn a_v1_key_cannot_be_given_over_a_session() {
    let test = TestSite::new().await;
    let root = test.person("root", "admin").await;
    let give = json!({ "private_key": SITE_RSA });
    let new = async |params| run(&test.site, &root.caller, "broker.new_v1_key", params).await;
    let (code, data) = new(give.clone()).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::NOT_PERMITTED, &json!("private_key"))
    );
    assert_eq!(new(json!({})).await.0, Code::SUCCESS);
    test.admin("broker.new_v1_key", give).await;
}

#[tokio::test]
async fn the_broker_keys_are_available_again_after_unsealing() {
    let (test, _) = applications().await;
    let shown = test.admin("broker.show", json!({})).await;
    assert_eq!(shown["id"], "example.org");
    assert_eq!(shown["v1_public_keys"], json!([]));
    test.admin("broker.new_v1_key", json!({})).await;
    let first = test.admin("broker.show", json!({})).await;
    // The previous key stays by default, so that applications can change over.
    test.admin("broker.new_v1_key", json!({})).await;
    let second = test.admin("broker.show", json!({})).await;
    assert_eq!(first["public_key"], shown["public_key"]);
    assert_eq!(second["v1_public_keys"][1], first["v1_public_keys"][0]);
    assert_ne!(second["v1_public_keys"][0], first["v1_public_keys"][0]);

    let sealed = test.restarted().await;
    assert!(sealed.unsealed_keys().is_none());
    let again = test.unsealed().await;
    let opened = again.unsealed_keys().unwrap();
    let public = opened.broker.party().unwrap().public().to_pem();
    assert_eq!(second["public_key"], public);
    let v1: Vec<String> = opened.broker.v1_public();
    assert_eq!(second["v1_public_keys"], json!(v1));
    test.admin("broker.new_v1_key", json!({ "keep": 0 })).await;
    let alone = test.admin("broker.show", json!({})).await;
    assert_eq!(alone["v1_public_keys"].as_array().unwrap().len(), 1);

    for wrong in [
        json!({ "keep": 4 }),
        json!({ "private_key": "none" }),
        json!({ "private_key": shown["public_key"] }),
    ] {
        let (code, _) = test.refused("broker.new_v1_key", wrong).await;
        assert_eq!(code, Code::INVALID_PARAMS);
    }
}

/// Regression test: unknown ids cost a read of the store at each request and existing ones did not,
/// so that their timing differed. Unknown ids are cached too, until they are registered.
#[tokio::test]
async fn an_unknown_id_is_cached_until_it_is_registered() {
    let (test, _) = applications().await;
    let party = PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
    let params = json!({ "id": "other", "public_keys": [party.public().to_pem()] });
    assert!(test.site.registered("other", NOW).await.unwrap().is_none());
    test.admin("app.create", params).await;
    assert!(test.site.registered("other", NOW).await.unwrap().is_some());
    // The cache of unknown ids is bounded.
    for number in 0..3_000 {
        let id = format!("unknown{number}");
        assert!(test.site.registered(&id, NOW).await.unwrap().is_none());
    }
    assert!(test.site.registered("other", NOW).await.unwrap().is_some());

    // Registered without the site's knowledge: the cached answer stays.
    assert!(test.site.registered("later", NOW).await.unwrap().is_none());
    let mut later = test
        .site
        .registered("other", NOW)
        .await
        .unwrap()
        .unwrap()
        .application
        .clone();
    later.id = "later".parse().unwrap();
    later.keys[0].public.0 = vec![1];
    let store = test.memory();
    let set = ChangeSet::new(
        vec![Change::InsertApplication(Box::new(later))],
        AuditDraft::done(&Caller::site(), "test.behind", NOW),
    );
    store.commit(set).await.unwrap();
    let later = test.site.registered("later", NOW).await.unwrap();
    assert!(later.is_none());
}
