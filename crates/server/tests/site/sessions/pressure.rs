//! Sessions whose client sends too many operations or does not read. Rules named: SES-26.

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
use crate::sessions::raw::Raw;

/// Above the limit: of a hundred operations in one packet, three run at a time.
#[tokio::test]
async fn the_number_of_operations_in_flight_is_limited() {
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

/// [OPS-7]: sessions ran any number of costly operations at a time, and logins had to wait.
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
        "all get a result"
    );
}

async fn given(served: &ServedSite) -> usize {
    let given = served.admin("test.text", json!({ "count": true })).await;
    given.as_str().unwrap().parse().unwrap()
}

/// A thousand operations in a few packets with 64 MiB of results: operations wait while the client does not read.
#[tokio::test]
async fn operations_wait_while_their_client_does_not_read() {
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
    // The site does not count the data in the buffers of the two sockets.
    assert!(before < 500, "{before} of them");
    let results = raw.results(1_000).await;
    assert!(
        results
            .iter()
            .all(|text| text.as_str().unwrap().len() == 64 * 1024)
    );
}

/// The operations in flight that had not ended yet when the output was full all ended later, each
/// with its page: 128 MiB for a client that reads nothing.
// OPS-12
#[tokio::test]
async fn operations_that_list_wait_for_room_while_their_client_does_not_read() {
    const ASKED: u64 = 96;
    let served = site().serve().await;
    let mut raw = Raw::service(&served).await;
    for id in 1..=ASKED {
        raw.ask(id, "test", "pages", &json!({ "limit": 1 }));
    }
    raw.flush().await;
    let given = async || {
        let given = served.admin("test.pages", json!({ "limit": 0 })).await;
        given.as_str().unwrap().parse::<usize>().unwrap()
    };
    let mut before = usize::MAX;
    while given().await != before {
        before = given().await;
        time::settle().await;
    }
    // The site does not count the data in the buffers of the two sockets.
    assert!(before < 48, "{before} of them");
    assert_eq!(raw.results(96).await.len(), 96);
}

/// Events for a client that does not read are dropped and need no memory. The client learns of it.
// ALM-49
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
    while served.site.events().publish(&Audience::All, &event) == 1 {
        told += 1;
        assert!(told < 2_000, "128 MiB are queued for the client");
        tokio::task::yield_now().await;
    }
    assert!(told > 256, "{told}");
    let mut missed = 0;
    while told > 0 || missed == 0 {
        for got in raw.read().await {
            match got {
                FromSite::Event(event) if event.event == "missed" => missed += 1,
                FromSite::Event(_) => told -= 1,
                _ => panic!("the site sends events only"),
            }
        }
    }
    assert_eq!(missed, 1);
    raw.ask(1, "self", "show", &json!({}));
    raw.flush().await;
    raw.results(1).await;
}

/// [SES-26]: an operation that panics gets a result, and so do operations that run at the same time.
#[tokio::test]
async fn a_panic_in_an_operation_ends_only_that_operation() {
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

/// At the limit and one over. The refusal is sent in a packet, and the client may try again.
#[tokio::test]
async fn the_sessions_of_one_account_are_limited() {
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
