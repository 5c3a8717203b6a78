//! Applications of a site that replaced its key three times: tickets of both editions and of the symmetric path
//! stay valid, and new ones are issued, without a change at the applications. `key_events.rs` shows the same of
//! people, services, devices and suspended sessions.

use countersign_http_auth::Provider;
use countersign_testkit::harness::ServedSite;
use serde_json::json;

use crate::http::{self, symmetric, v1};
use crate::operations::site;

async fn three_new_keys(served: &ServedSite) {
    let file = json!({ "slot_file": served.slot.to_text().expose() });
    for _ in 0..3 {
        let params = json!({ "secrets": [file], "slots": [file] });
        served.admin("site.key_new", params).await;
    }
}

#[tokio::test]
async fn an_application_of_v2_gets_tickets_before_and_after_three_new_site_keys() {
    let (served, consumer, provider) = http::applications().await;
    http::authenticates(&served, &consumer, &provider).await;
    three_new_keys(&served).await;
    http::authenticates(&served, &consumer, &provider).await;
}

#[tokio::test]
async fn an_application_of_v1_gets_tickets_before_and_after_three_new_site_keys() {
    let served = site().serve().await;
    v1::register(&served).await;
    v1::authenticates(&served).await;
    three_new_keys(&served).await;
    v1::authenticates(&served).await;
}

#[tokio::test]
async fn symmetric_tickets_of_sessions_outlive_three_new_site_keys() {
    let served = site().serve().await;
    let ledger = symmetric::register(&served, "ledger").await;
    let billing = symmetric::register(&served, "billing").await;
    let provider = Provider::builder(ledger.application.clone(), symmetric::known(&served))
        .ticket_keys_from(ledger.session.clone())
        .build()
        .unwrap();
    let address = symmetric::serve(&provider).await;
    let fine = Ok((200, "billing".to_owned()));
    let first = symmetric::consumer(&served, &billing, &address);
    assert_eq!(symmetric::call(&first, &address).await, fine);
    three_new_keys(&served).await;
    // The ticket from before, and one from after that, under the same ticket key.
    assert_eq!(symmetric::call(&first, &address).await, fine);
    let second = symmetric::consumer(&served, &billing, &address);
    assert_eq!(symmetric::call(&second, &address).await, fine);
    // The ticket keys are derived again alike.
    provider.ask_ticket_keys().await.unwrap();
    assert_eq!(symmetric::call(&first, &address).await, fine);
}
