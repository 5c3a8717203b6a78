//! Tickets, as the site gives them to applications that are registered.

use std::sync::Arc;

use countersign_core::audit::AuditDraft;
use countersign_core::broker::{BrokerKeys, NotAnswered, Registered};
use countersign_core::caller::Caller;
use countersign_core::store::{Change, ChangeSet, Store};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_proto::broker::v2::consumer::{Asked, Consumer};
use countersign_proto::broker::v2::site::Request;
use countersign_proto::broker::v2::{Refusal, SealedMessage};
use countersign_proto::operation::Code;
use serde_json::json;

use super::fixture::{NOW, TestSite, run};

const SITE_RSA: &str = include_str!("../../../../../vectors/serveros/keys/master.key.pem");

/// When the site began to answer, some time before now.
const START: Timestamp = Timestamp::from_millis(NOW.millis() - 600_000);

fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap()
}

/// A site with `billing`, which may call `ledger`.
async fn applications() -> (TestSite, Consumer) {
    let test = TestSite::new().await;
    test.site.begin_to_answer(START);
    let party = || PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
    let billing = party();
    for (id, key) in [("billing", &billing), ("ledger", &party())] {
        let params = json!({ "id": id, "public_keys": [key.public().to_pem()] });
        test.admin("app.create", params).await;
    }
    let settings = json!({ "may_call": [{ "app": "ledger" }], "auth_data": { "team": 7 } });
    test.admin(
        "app.update",
        json!({ "id": "billing", "settings": settings }),
    )
    .await;
    let keys = keys(&test);
    let consumer = Consumer {
        id: "billing".to_owned(),
        keys: vec![billing],
        site: keys.id().to_owned(),
        site_keys: vec![keys.party().unwrap().public().clone()],
        suite: SealingSuite::XWing,
    };
    (test, consumer)
}

fn keys(test: &TestSite) -> Arc<BrokerKeys> {
    test.site.opened().unwrap().broker.clone()
}

type Answered = Result<SealedMessage, NotAnswered<Refusal>>;

/// What the site answers at `now`.
async fn answer(test: &TestSite, request: &SealedMessage, now: Timestamp) -> Answered {
    let text = serde_json::to_vec(request).unwrap();
    let request = Request::read(&text).map_err(NotAnswered::Refused)?;
    let requester = test.site.registered(request.requester(), now).await;
    let requester: Option<Arc<Registered>> = requester.unwrap();
    let keys = keys(test);
    let verified = keys
        .verify(request, requester.as_deref(), now)
        .map_err(NotAnswered::Refused)?;
    test.site
        .ticket(&keys, verified, requester.as_deref().unwrap(), now)
        .await
}

fn ask(consumer: &Consumer, requested: &str, now: Timestamp) -> (Asked, SealedMessage) {
    let asked = consumer.ask(requested, millis(now), &mut SystemEntropy);
    asked.unwrap()
}

fn refusal(answered: Answered) -> Refusal {
    match answered {
        Err(NotAnswered::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_registered_application_gets_a_ticket_for_whom_it_may_call() {
    let (test, consumer) = applications().await;
    let (asked, request) = ask(&consumer, "ledger", NOW);
    let answered = answer(&test, &request, NOW).await.unwrap();
    let body = serde_json::to_vec(&answered).unwrap();
    let granted = consumer.granted(asked, &body).unwrap();
    assert_eq!(granted.response().expires, millis(NOW) + 3_600_000);
}

/// [BRK-5]
#[tokio::test]
async fn a_request_is_answered_once_also_by_a_site_that_was_started_again() {
    let (test, consumer) = applications().await;
    let (_, request) = ask(&consumer, "ledger", NOW);
    answer(&test, &request, NOW).await.unwrap();
    let again = answer(&test, &request, NOW).await;
    assert_eq!(refusal(again), Refusal::Replayed);
    // Started anew it knows nothing of it, but that it was made before.
    test.site.begin_to_answer(NOW);
    let later = NOW.plus_millis(1_500);
    let again = answer(&test, &request, later).await;
    assert_eq!(refusal(again), Refusal::Clock);
    let (_, request) = ask(&consumer, "ledger", later);
    answer(&test, &request, later).await.unwrap();
}

/// [BRK-6] and [BRK-30]
#[tokio::test]
async fn policy_is_asked_each_time() {
    let (test, consumer) = applications().await;
    let ask_for = async |requested: &str| {
        let (_, request) = ask(&consumer, requested, NOW);
        answer(&test, &request, NOW).await
    };
    let unknown = ask_for("nobody").await;
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

/// What is changed between a verification and its ticket counts.
#[tokio::test]
async fn a_lock_that_came_meanwhile_holds() {
    let (test, consumer) = applications().await;
    let verified = async || {
        let (_, request) = ask(&consumer, "ledger", NOW);
        let request = Request::read(&serde_json::to_vec(&request).unwrap()).unwrap();
        let requester = test.site.registered("billing", NOW).await.unwrap().unwrap();
        let verified = keys(&test).verify(request, Some(&requester), NOW);
        (verified.unwrap(), requester)
    };
    let lock = async || test.admin("app.lock", json!({ "id": "billing" })).await;
    let unlock = async || test.admin("app.unlock", json!({ "id": "billing" })).await;
    for locks in [false, true] {
        let (verified, requester) = verified().await;
        if locks {
            lock().await;
        }
        let keys = keys(&test);
        let ticket = test.site.ticket(&keys, verified, &requester, NOW);
        assert_eq!(ticket.await.is_err(), locks);
    }
    unlock().await;
    // Read by two at once, of which one was before the change: what is kept ready is what came after it.
    let (before, ()) = tokio::join!(test.site.registered("billing", NOW), async {
        lock().await;
    });
    assert!(before.unwrap().is_some());
    let after = test.site.registered("billing", NOW).await.unwrap().unwrap();
    assert_eq!(after.application.state.as_str(), "locked");
}

/// [BRK-31]: what is kept ready is not kept beyond the time of a key.
#[tokio::test]
async fn an_older_key_is_accepted_until_it_retires() {
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

/// The keys follow from the site key, so they are the same whenever the site is opened.
/// An attacker with a stolen session of an admin gave the site an RSA key of the attacker's own, and could pose as the
/// site to each application of edition v1.
#[tokio::test]
async fn over_a_session_the_site_makes_its_v1_key_itself() {
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
async fn the_sites_keys_come_back_with_the_site_key() {
    let (test, _) = applications().await;
    let shown = test.admin("broker.show", json!({})).await;
    assert_eq!(shown["id"], "example.org");
    assert_eq!(shown["v1_public_keys"], json!([]));
    test.admin("broker.new_v1_key", json!({})).await;
    let first = test.admin("broker.show", json!({})).await;
    test.admin("broker.new_v1_key", json!({ "keep": 1 })).await;
    let second = test.admin("broker.show", json!({})).await;
    assert_eq!(first["public_key"], shown["public_key"]);
    assert_eq!(second["v1_public_keys"][1], first["v1_public_keys"][0]);
    assert_ne!(second["v1_public_keys"][0], first["v1_public_keys"][0]);

    let sealed = test.restarted().await;
    assert!(sealed.opened().is_none());
    let again = test.unsealed().await;
    let opened = again.opened().unwrap();
    let public = opened.broker.party().unwrap().public().to_pem();
    assert_eq!(second["public_key"], public);
    let v1: Vec<String> = opened.broker.v1_public();
    assert_eq!(second["v1_public_keys"], json!(v1));

    for wrong in [
        json!({ "keep": 4 }),
        json!({ "private_key": "none" }),
        json!({ "private_key": shown["public_key"] }),
    ] {
        let (code, _) = test.refused("broker.new_v1_key", wrong).await;
        assert_eq!(code, Code::INVALID_PARAMS);
    }
}

/// Ids that no application has cost the store a read at each request, and those of applications none: the time
/// told them apart. They are kept as well, until one of them is registered.
#[tokio::test]
async fn an_unknown_id_is_read_once_and_found_when_it_is_registered() {
    let (test, _) = applications().await;
    let party = PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
    let params = json!({ "id": "other", "public_keys": [party.public().to_pem()] });
    assert!(test.site.registered("other", NOW).await.unwrap().is_none());
    test.admin("app.create", params).await;
    assert!(test.site.registered("other", NOW).await.unwrap().is_some());
    // Many of them take no more room than there is.
    for number in 0..3_000 {
        let id = format!("unknown{number}");
        assert!(test.site.registered(&id, NOW).await.unwrap().is_none());
    }
    assert!(test.site.registered("other", NOW).await.unwrap().is_some());

    // Registered behind the site's back: what is kept is not read again.
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
    let store = test.store.reopened();
    let set = ChangeSet::new(
        vec![Change::InsertApplication(Box::new(later))],
        AuditDraft::done(&Caller::site(), "test.behind", NOW),
    );
    store.commit(set).await.unwrap();
    let later = test.site.registered("later", NOW).await.unwrap();
    assert!(later.is_none());
}
