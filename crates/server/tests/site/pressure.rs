//! A session whose client asks for more than is good, or reads nothing. Rules named: SES-26.

use std::sync::Arc;

use countersign_client::{CallError, ConnectError};
use countersign_core::sessions::Audience;
use countersign_proto::operation::{Code, Event};
use countersign_proto::session::LoginError;
use countersign_proto::session::client::FromSite;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, time};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::operations::site;
use crate::raw::Raw;

/// At the limit, and over it: a hundred operations in one packet, of which three run at a time.
#[tokio::test]
async fn no_more_operations_run_at_a_time_than_may() {
    let served = site()
        .limits(Limits {
            operations_in_flight: 3,
            ..Limits::default()
        })
        .serve()
        .await;
    for asked in [3, 100] {
        let mut raw = Raw::service(&served).await;
        for id in 1..=asked {
            raw.ask(id, "test", "together", &json!({}));
        }
        raw.flush().await;
        let results = raw.results(usize::try_from(asked).unwrap()).await;
        let most = results.iter().filter_map(Value::as_u64).max();
        assert_eq!(most, Some(3), "{asked}");
    }
}

/// Sessions ran as much public-key work at a time as they liked, and logins waited behind it. [OPS-7]
#[tokio::test]
async fn costly_operations_take_turns() {
    const ASKED: u64 = 32;
    let served = site().serve().await;
    let mut raw = Raw::service(&served).await;
    for id in 1..=ASKED {
        raw.ask(id, "test", "costly", &json!({}));
    }
    raw.flush().await;
    let results = raw.results(usize::try_from(ASKED).unwrap()).await;
    let together = results.iter().filter_map(Value::as_u64).max().unwrap();
    let processors = std::thread::available_parallelism().unwrap().get() as u64;
    assert!(together <= (processors / 2).max(1), "{together} at a time");
    assert_eq!(
        results.len(),
        usize::try_from(ASKED).unwrap(),
        "all are answered"
    );
}

async fn given(served: &ServedSite) -> usize {
    let given = served.admin("test.text", json!({ "count": true })).await;
    given.as_str().unwrap().parse().unwrap()
}

/// A thousand operations in a few packets, 64 MiB of results: what a client does not read is not worked out.
#[tokio::test]
async fn a_client_that_does_not_read_gets_no_more_worked_out() {
    const ASKED: u64 = 1_000;
    let served = site()
        .limits(Limits {
            unsent_bytes: 256 * 1024,
            ..Limits::default()
        })
        .serve()
        .await;
    let mut raw = Raw::service(&served).await;
    for id in 1..=ASKED {
        raw.ask(id, "test", "text", &json!({}));
    }
    raw.flush().await;
    let mut before = usize::MAX;
    while given(&served).await != before {
        before = given(&served).await;
        time::settle().await;
    }
    // What the two sockets hold is not the site's to count.
    assert!(before < 500, "{before} of them");
    let results = raw.results(1_000).await;
    assert!(
        results
            .iter()
            .all(|text| text.as_str().unwrap().len() == 64 * 1024)
    );
}

/// Events for a client that does not read are lost in the end, and keep no memory.
#[tokio::test]
async fn a_client_that_does_not_read_misses_events() {
    let served = site().serve().await;
    let mut raw = Raw::service(&served).await;
    let event = Arc::new(Event {
        group: "test".to_owned(),
        event: "told".to_owned(),
        data: to_raw_value(&"x".repeat(64 * 1024)).unwrap(),
    });
    let mut told = 0;
    while served.site.events().publish(Audience::All, &event) == 1 {
        told += 1;
        assert!(told < 2_000, "128 MiB are kept for it");
        tokio::task::yield_now().await;
    }
    assert!(told > 256, "{told}");
    while told > 0 {
        let got = raw.read().await;
        assert!(got.iter().all(|got| matches!(got, FromSite::Event(_))));
        told -= got.len();
    }
    raw.ask(1, "self", "show", &json!({}));
    raw.flush().await;
    raw.results(1).await;
}

/// [SES-26]: an operation that panics is answered, and so are those beside it.
#[tokio::test]
async fn a_fault_in_an_operation_ends_nothing_else() {
    let served = site().serve().await;
    let client = served.robot().await;
    let fault = client.call::<_, Value>("test", "fault", &json!({})).await;
    assert!(matches!(
        fault,
        Err(CallError::Failed {
            code: Code::INTERNAL,
            ..
        })
    ));
    let _: Value = client.call("self", "show", &json!({})).await.unwrap();
    client.close().await.unwrap();
    time::until(async || served.site.sessions().count() == 0).await;
}

/// At the limit and one over; who is refused is told so inside a packet, and comes again.
#[tokio::test]
async fn one_account_has_its_share_of_sessions_and_no_more() {
    let served = site()
        .limits(Limits {
            sessions_per_account: 2,
            ..Limits::default()
        })
        .serve()
        .await;
    let first = served.robot().await;
    let _second = served.robot().await;
    let third = served.try_robot().await;
    assert!(matches!(third, Err(ConnectError::Login(LoginError::Busy))));
    first.close().await.unwrap();
    time::until(async || served.try_robot().await.is_ok()).await;
}
