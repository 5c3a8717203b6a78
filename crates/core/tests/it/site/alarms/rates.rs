//! How often alarms are raised and ended, and the share of one credential.

use std::sync::Arc;

use countersign_core::access::{Caller, Channel, HttpCredential, HttpGrant};
use countersign_core::id::AccessTokenId;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, run, run_at};
use serde_json::json;

use super::{later, person, site};

#[tokio::test]
async fn a_service_raises_alarms_up_to_its_rate_limit() {
    let test = site().await;
    person(&test, "maria", "member").await;
    let (robot, _) = test.service("robot").await;
    let raise = async |now| {
        let params = json!({ "to": "maria", "severity": "info", "text": "x", "key": "same" });
        run_at(&test.site, &robot.caller, "alarm.raise", params, now).await
    };
    // One key has half of the 60 at once, and of one more in 2 s.
    for _ in 0..30 {
        assert_eq!(raise(NOW).await.0, Code::SUCCESS);
    }
    let (code, refused) = raise(NOW).await;
    assert_eq!(
        (code, &refused["retry_after_ms"]),
        (Code::BUSY, &json!(4_000))
    );
    assert_eq!(raise(later(4)).await.0, Code::SUCCESS);
}

/// A stolen token that named `alarm.over` alone used up the rate of its service, which could raise no
/// alarm then.
// OPS-15
#[tokio::test]
async fn a_stolen_token_leaves_half_of_a_limit_to_the_key_of_its_service() {
    let test = site().await;
    person(&test, "maria", "member").await;
    let (robot, _) = test.service("robot").await;
    let stolen = |names: &[&str]| {
        let owner = (
            robot.info.account,
            robot.caller.name.clone(),
            robot.caller.role,
        );
        let token = HttpCredential::Token(AccessTokenId::from_bytes([1; 16]));
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Caller {
            channel: Channel::Http,
            session: None,
            grant: Some(Arc::new(HttpGrant::new(token, owner, Some(names), None))),
            ..robot.caller.clone()
        }
    };
    let params = json!({ "to": "maria", "severity": "info", "text": "x", "key": "same" });
    let raised = async |caller: &Caller, now| {
        let mut raised = 0;
        for _ in 0..40 {
            let done = run_at(&test.site, caller, "alarm.raise", params.clone(), now).await;
            raised += u32::from(done.0 == Code::SUCCESS);
        }
        raised
    };
    let thief = stolen(&["alarm.over"]);
    for _ in 0..100 {
        let (code, _) = run(&test.site, &thief, "alarm.over", json!({ "key": "none" })).await;
        assert!(matches!(code, Code::NOT_FOUND | Code::BUSY), "{code:?}");
    }
    // A new session with the same key has no share of its own.
    let account = json!({ "id": robot.info.account });
    let again = test.session(&account, robot.info.proof).await.unwrap();
    let thief = stolen(&["alarm.raise"]);
    let at_first = [
        raised(&robot.caller, NOW).await,
        raised(&again.caller, NOW).await,
        raised(&thief, NOW).await,
    ];
    assert_eq!(at_first, [30, 0, 30]);
    let now = later(120);
    assert_eq!(raised(&thief, now).await, 30);
    assert_eq!(raised(&again.caller, now).await, 30);
}
