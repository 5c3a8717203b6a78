//! Service tickets over the API.

use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::broker::v2::SealedMessage;
use countersign_proto::broker::v2::symmetric::TicketResult;
use countersign_testkit::harness::TestSite;
use serde_json::{Value, json};

use super::client::Program;
use crate::http::now;
use crate::http::symmetric::register;

/// `POST /broker/tickets` refused every caller: an application had a service in a session alone.
// BRK-54
#[tokio::test]
async fn a_service_gets_tickets_for_its_application_with_an_access_token() {
    let served = TestSite::builder().serve().await;
    let ledger = register(&served, "ledger").await;
    let settings = json!({ "service": "robot", "may_call": [{ "app": "ledger" }] });
    let key = served.create_application("billing", settings).await;
    let consumer = served.consumer("billing", key);
    let robot = Program::robot(&served, &["broker.ticket"]).await;
    let ask = async |app: &str| {
        let body = json!({ "app": app, "providers": ["ledger", "unknown"] }).to_string();
        robot.call("POST", "/broker/tickets", &body).await
    };
    let reply = ask("billing").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.field("cache-control"), "no-store");
    let answers: Vec<TicketResult> =
        serde_json::from_value(reply.json()["tickets"].take()).unwrap();
    let [TicketResult::Granted(response), TicketResult::Refused(code)] = answers.as_slice() else {
        panic!("{reply:?}");
    };
    assert_eq!(code, "not-allowed");
    let ticket = consumer
        .read_session_response("ledger", (**response).clone())
        .unwrap();
    let (_, presentation) = ticket.present(now(), &mut SystemEntropy).unwrap();
    let mut provider = served.provider("ledger", ledger.application.keys[0].clone());
    let app = json!({ "app": "ledger" });
    let keys: Value = ledger
        .session
        .call("broker", "ticket_keys", &app)
        .await
        .unwrap();
    let sealed: Vec<SealedMessage> = serde_json::from_value(keys["keys"].clone()).unwrap();
    provider.ticket_keys = provider.ticket_keys(&sealed[0]).unwrap();
    let accepted = provider.accept(presentation.as_bytes(), now());
    assert!(accepted.is_ok());

    // The application of another service, and one that does not exist.
    let refusals = [ask("ledger").await, ask("unknown").await];
    let problems = refusals.map(|refused| {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "not_permitted")
        );
        let mut problem = refused.json();
        problem["request_id"].take();
        problem
    });
    assert_eq!(problems[0], problems[1]);
    served.stop().await;
}
