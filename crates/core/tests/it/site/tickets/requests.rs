//! A ticket request over HTTP is the operation `broker ticket`, called by the application that signed it.

use countersign_core::access::{Caller, Channel};
use countersign_core::engine::TicketWork;
use countersign_core::lockdown::{Activity, OperationKind};
use countersign_core::operations;
use countersign_core::throttle::Rate;
use countersign_core::tickets::{IssueError, TicketEdition, V2};
use countersign_core::timestamp::Timestamp;
use countersign_proto::broker::v2::{Refusal, SealedMessage};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite, run};
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::{Error, Work, answer, answer_with, applications, ask, refusal, verify};

/// The counted entries of tickets: actor, channel, target and outcome, with the number of events.
async fn counted(test: &TestSite) -> Vec<(String, u64)> {
    test.site.write_all_counted().await.unwrap();
    let entries = test.audit().await.into_iter();
    let tickets = entries.filter(|entry| entry["operation"] == "broker.ticket");
    let mut sums: Vec<(String, u64)> = Vec::new();
    for entry in tickets {
        let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        let kind = ["actor", "channel", "target", "outcome"]
            .map(text)
            .join(" | ");
        let count = entry["details"]["count"].as_u64().unwrap_or(1);
        match sums.iter_mut().find(|(of, _)| *of == kind) {
            Some((_, sum)) => *sum += count,
            None => sums.push((kind, count)),
        }
    }
    sums.sort();
    sums
}

fn of(target: &str, outcome: &str, count: u64) -> (String, u64) {
    let kind = format!("application billing | application | {target} | {outcome}");
    (kind, count)
}

/// Each step counted what it refused itself: a replay in one place, policy in another, and a ticket
/// that was refused for its algorithms in none.
#[tokio::test]
async fn each_answer_to_a_verified_request_is_counted_once() {
    let (test, consumer) = applications().await;
    let (_, request) = ask(&consumer, "ledger", NOW);
    assert!(answer(&test, &request, NOW).await.is_ok());
    for (again, expected) in [(2, Refusal::Replayed), (3, Refusal::Replayed)] {
        let replayed = answer(&test, &request, NOW).await;
        assert_eq!(refusal(replayed), expected, "{again}");
    }
    for provider in ["unknown", "billing", "ledger@elsewhere.example"] {
        let (_, request) = ask(&consumer, provider, NOW);
        let denied = answer(&test, &request, NOW).await;
        assert_eq!(refusal(denied), Refusal::NotAllowed, "{provider}");
    }
    // It is not verified, so it is not counted for the application whose name it has.
    let (_, mut forged) = ask(&consumer, "ledger", NOW);
    forged.signature = ask(&consumer, "ledger", NOW).1.signature;
    let forged = answer(&test, &forged, NOW).await;
    assert_eq!(refusal(forged), Refusal::NotVerified);
    let expected = [of("-", "not_permitted", 5), of("ledger", "done", 1)];
    assert_eq!(counted(&test).await, expected);
}

/// The lockdown was asked for before the request was read, and again after the ticket was made.
#[tokio::test]
async fn a_lockdown_is_checked_with_every_operation_and_counted() {
    let (test, consumer) = applications().await;
    let lock = || {
        let imposed = test.admin("lockdown.site", json!({ "level": "logins" }));
        imposed.map(drop).boxed()
    };
    let lift = async || test.admin("lockdown.lift", json!({ "site": true })).await;
    let is_lockdown = |answered: Result<_, Error>| matches!(answered, Err(IssueError::Lockdown));
    // While the request waits for its turn.
    assert!(is_lockdown(answer_with(&test, &consumer, &lock).await));
    // Before it is authorised.
    let (_, request) = ask(&consumer, "ledger", NOW);
    let verified = verify(&test, &request, NOW).await.unwrap();
    let turned = &|| -> futures_util::future::BoxFuture<'_, ()> {
        panic!("a refused request waits for no turn")
    };
    let work = Work {
        now: NOW,
        meanwhile: turned,
    };
    assert!(is_lockdown(test.site.request_ticket(verified, &work).await));
    assert_eq!(counted(&test).await, [of("-", "lockdown", 2)]);
    lift().await;
    assert!(answer(&test, &request, NOW).await.is_ok());
}

#[tokio::test]
async fn a_site_that_is_sealed_meanwhile_issues_no_ticket() {
    let (test, consumer) = applications().await;
    let seal = || test.admin("site.seal", json!({})).map(drop).boxed();
    let sealed = answer_with(&test, &consumer, &seal).await;
    assert!(matches!(sealed, Err(IssueError::Sealed)), "{sealed:?}");
    let (_, request) = ask(&consumer, "ledger", NOW);
    let sealed = answer(&test, &request, NOW).await;
    assert!(matches!(sealed, Err(IssueError::Sealed)), "{sealed:?}");
}

/// An attacker who records the requests of a consumer must not use up its rate.
#[tokio::test]
async fn an_application_has_a_rate_of_its_own_which_replays_do_not_use_up() {
    let (test, consumer) = applications().await;
    let billing = test.site.registered("billing", NOW).await.unwrap().unwrap();
    let rate = Rate::TicketRequests(billing.application.instance.unwrap());
    let all_but_two = test
        .site
        .throttle()
        .rates()
        .take_all(rate, None, 3_998, NOW);
    assert_eq!(all_but_two, Ok(()));
    let (_, request) = ask(&consumer, "ledger", NOW);
    assert!(answer(&test, &request, NOW).await.is_ok());
    for _ in 0..4 {
        let replayed = answer(&test, &request, NOW).await;
        assert_eq!(refusal(replayed), Refusal::Replayed);
    }
    let at = async |now: Timestamp| {
        let (_, request) = ask(&consumer, "ledger", now);
        answer(&test, &request, now).await
    };
    assert!(at(NOW).await.is_ok());
    let busy = at(NOW).await;
    assert!(matches!(busy, Err(IssueError::Busy)), "{busy:?}");
    assert!(at(NOW.plus_millis(10)).await.is_ok());
}

/// The program around the site has no turn.
struct Full;

impl TicketWork for Full {
    type Turn = ();

    async fn turn(&self) -> Option<()> {
        None
    }

    fn now(&self) -> Timestamp {
        NOW
    }

    fn recorded(&self) {}
}

/// A recorded request, years old too, cost a verification and an opening each time that it was sent again.
#[tokio::test]
async fn a_request_that_was_refused_as_replayed_or_stale_costs_no_verification_again() {
    let (test, consumer) = applications().await;
    let before = |request: &SealedMessage, now| {
        let received = V2::read(serde_json::to_vec(request).unwrap()).unwrap();
        test.site.refused_before::<V2>(&received, now)
    };
    let (_, fresh) = ask(&consumer, "ledger", NOW);
    assert!(answer(&test, &fresh, NOW).await.is_ok());
    assert_eq!(before(&fresh, NOW), None);
    assert_eq!(refusal(answer(&test, &fresh, NOW).await), Refusal::Replayed);
    assert_eq!(before(&fresh, NOW), Some(Refusal::Replayed));
    let later = NOW.plus_millis(3_600_000);
    let (_, recorded) = ask(&consumer, "ledger", NOW);
    assert_eq!(
        refusal(answer(&test, &recorded, later).await),
        Refusal::Clock
    );
    assert_eq!(before(&recorded, later), Some(Refusal::Clock));
    // Another request is not refused, and one that failed verification is not remembered.
    let (_, next) = ask(&consumer, "ledger", NOW);
    assert_eq!(before(&next, NOW), None);
    let mut forged = next.clone();
    forged.signature = fresh.signature[..63].to_vec();
    assert_eq!(
        refusal(answer(&test, &forged, NOW).await),
        Refusal::NotVerified
    );
    assert_eq!(before(&forged, NOW), None);
    assert!(answer(&test, &next, NOW).await.is_ok());
}

#[tokio::test]
async fn a_request_that_gets_no_turn_is_not_used_up() {
    let (test, consumer) = applications().await;
    let (_, request) = ask(&consumer, "ledger", NOW);
    let verified = verify(&test, &request, NOW).await.unwrap();
    let busy = test.site.request_ticket(verified, &Full).await;
    assert!(matches!(busy, Err(IssueError::Busy)), "{busy:?}");
    assert!(answer(&test, &request, NOW).await.is_ok());
}

/// The table grants the channel to one operation, which refuses a caller without a signed request.
#[tokio::test]
async fn an_application_calls_no_operation_but_its_ticket_request() {
    let (test, _) = applications().await;
    let caller = Caller::application("billing");
    let mut granted = Vec::new();
    for entry in operations::table().unwrap().entries() {
        if entry.access().channels().contains(&Channel::Application) {
            granted.push(entry.name().to_owned());
        } else {
            let (code, data) = run(&test.site, &caller, entry.name(), Value::Null).await;
            assert_eq!(code, Code::NOT_PERMITTED, "{}: {data}", entry.name());
        }
    }
    assert_eq!(granted, ["broker.ticket"]);
    let params = json!({ "app": "billing", "providers": ["ledger"] });
    let (code, _) = run(&test.site, &caller, "broker.ticket", params).await;
    assert_eq!(code, Code::NOT_PERMITTED);
    let activity = Activity::Operation(OperationKind::IssuesTickets, Channel::Application);
    assert!(test.site.permits(activity));
}
