//! The bodies of ticket requests over HTTP/2.

use std::collections::HashMap;
use std::time::Duration;

use countersign_testkit::harness::{TestSite, time};

use super::client::Program;
use super::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, Http2, RST_STREAM, WINDOW_UPDATE, literal,
};
use crate::http::trusted::on_this_machine;
use crate::http::{MOMENT, ask, now};
use crate::operations::site;

const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "site.example"),
    (":path", "/authenticate"),
];

/// A client that reset each ticket request before it was refused made the site read without end, and got no
/// penalty.
#[tokio::test]
async fn a_ticket_request_that_its_client_abandons_counts() {
    let served = TestSite::builder().serve().await;
    time::until(async || {
        let mut client = Http2::connect(&served).await;
        client.send(HEADERS, END_HEADERS, 1, &literal(&POST)).await;
        time::settle().await;
        client.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes()).await;
        time::settle().await;
        let listed = served.admin("penalty.list", serde_json::json!({})).await;
        listed["entries"][0]["source"] == "127.0.0.1"
    })
    .await;
}

/// Each of 64 requests of a connection could have a body that never ends, and the site kept all of them. Then a
/// body that never ended kept the others of its client waiting for 30 s.
#[tokio::test]
async fn the_bodies_of_ticket_requests_of_a_client_are_read_one_after_another() {
    let served = TestSite::builder().serve().await;
    let mut client = Http2::connect(&served).await;
    client.send(HEADERS, END_HEADERS, 1, &literal(&POST)).await;
    client.send(DATA, 0, 1, b"{").await;
    time::settle().await;
    client.send(HEADERS, END_HEADERS, 3, &literal(&POST)).await;
    client.send(DATA, END_STREAM, 3, b"{}").await;
    for _ in 0..10 {
        time::pass(Duration::from_millis(200)).await;
        time::settle().await;
    }
    let (first, lost) = client.answered().await;
    assert_eq!((first, lost.contains("\"busy\"")), (1, true), "{lost}");
    let (second, read) = client.answered().await;
    assert_eq!(
        (second, read.contains("\"not-verified\"")),
        (3, true),
        "{read}"
    );
}

/// 16 slow bodies of one client behind a proxy kept the ticket requests of all others waiting; the next 16 used up
/// what the connection may send unread, so that uploads waited too. After 30 s the requests that had waited counted
/// as failed, so that their sources were refused.
#[tokio::test]
async fn one_client_behind_a_proxy_delays_no_ticket_request_or_upload_of_others() {
    let served = site().proxies(on_this_machine(true)).serve().await;
    let (consumer, _) = served.billing_and_ledger().await;
    time::pass(MOMENT).await;
    let robot = Program::robot(&served, &["self.show", "alarm.raise"]).await;
    let from = |client| [&POST[..], &[("x-forwarded-for", client)]].concat();
    let mut proxy = Http2::connect(&served).await;
    // Until the site has sent it, the connection may send no more than 64 KiB.
    while proxy.frame().await.unwrap().kind != WINDOW_UPDATE {}
    let part = vec![b' '; 16_383];
    for number in 0..17 {
        let stream = 2 * number + 1;
        let head = literal(&from("192.0.2.7"));
        proxy.send(HEADERS, END_HEADERS, stream, &head).await;
        for _ in 0..4 {
            proxy.send(DATA, 0, stream, &part).await;
        }
    }
    let (_, request) = ask(&consumer, "ledger", now());
    let head = literal(&from("192.0.2.8"));
    proxy.send(HEADERS, END_HEADERS, 101, &head).await;
    proxy.send(DATA, END_STREAM, 101, &request).await;
    let credential = format!("Bearer {}", robot.token);
    let mut upload = from("192.0.2.9");
    upload[3] = (":path", "/api/v1/alarms");
    upload.push(("authorization", &credential));
    upload.push(("content-type", "application/json"));
    proxy
        .send(HEADERS, END_HEADERS, 103, &literal(&upload))
        .await;
    for flags in [0, 0, 0, END_STREAM] {
        proxy.send(DATA, flags, 103, &part).await;
    }
    let mut answers = HashMap::new();
    while !(answers.contains_key(&101) && answers.contains_key(&103)) {
        let (stream, body) = proxy.answered().await;
        answers.insert(stream, body);
    }
    assert!(answers[&101].contains("auth-response"), "{answers:?}");
    // 64 KiB of blanks are no JSON.
    assert!(answers[&103].contains("\"invalid_params\""), "{answers:?}");
    let penalties = served.admin("penalty.list", serde_json::json!({})).await;
    assert_eq!(penalties["entries"], serde_json::json!([]));
}
