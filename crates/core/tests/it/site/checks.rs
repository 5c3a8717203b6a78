//! What a running site knows of its problems.

use std::sync::Arc;

use countersign_core::alarms::DiskSpace;
use countersign_core::engine::{Endpoints, HttpProtection, Observed};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestPeer, TestSite, run};
use serde_json::{Value, json};

const GIB: u64 = 1 << 30;

/// The checks that found a problem.
async fn problems(test: &TestSite) -> Vec<String> {
    let report = test.admin("site.doctor", json!({})).await;
    let checks = report["checks"].as_array().unwrap().clone();
    let problems = checks.iter().filter(|check| check["ok"] == false);
    let names: Vec<String> = problems
        .map(|check| {
            assert!(!check["hint"].as_str().unwrap().is_empty(), "{check}");
            check["check"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(report["problems"], names.len());
    names
}

/// The overview showed a peer with a problem, while `countersign doctor` said that there was none.
#[tokio::test]
async fn a_peer_with_a_problem_is_a_problem_of_the_site() {
    let test = TestSite::new().await;
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": "ada" })).await;
    let transport = Arc::new(TestPeer::new("any.example"));
    test.site.connect_peers_with(transport);
    let of_peers = async || {
        let report = test.admin("site.doctor", json!({})).await;
        let checks = report["checks"].as_array().unwrap().clone();
        let mut checks = checks.into_iter();
        let check = checks.find(|check| check["check"] == "peers").unwrap();
        (
            check["ok"].as_bool().unwrap(),
            check["message"].as_str().unwrap().to_owned(),
        )
    };
    // Without a peer it does not matter that no admin started the peer server.
    assert_eq!(of_peers().await, (true, "there are none".to_owned()));
    test.admin("peer.start", json!({})).await;
    test.peer("ada").await;
    assert_eq!(
        of_peers().await,
        (true, "peers without a problem: 1".to_owned())
    );
    test.admin("peer.suspend", json!({ "peer": "b.example" }))
        .await;
    assert_eq!(of_peers().await, (false, "b.example: suspended".to_owned()));
}

/// The overview of the console showed no finding of `countersign doctor`, which ran at the machine only.
#[tokio::test]
async fn a_site_names_its_problems_to_admins_only() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let (code, _) = run(&test.site, &maria.caller, "site.doctor", json!({})).await;
    assert_eq!(code, Code::NOT_PERMITTED);
    assert_eq!(problems(&test).await, ["backup"]);

    let low = DiskSpace {
        free: GIB - 1,
        total: 10 * GIB,
    };
    test.site.observe(Observed {
        disk: Some(low),
        descriptors: Some((1000, 1024)),
        connections: 317,
        ..Observed::default()
    });
    test.site.announce(Endpoints {
        http_protection: Some(HttpProtection::Files {
            pin: [7; 32],
            problem: Some("the key does not belong to it".to_owned()),
        }),
        ..Endpoints::default()
    });
    let level = json!({ "level": "logins", "reason": "a drill" });
    test.admin("lockdown.site", level).await;
    assert_eq!(
        problems(&test).await,
        [
            "lockdown",
            "HTTP certificate",
            "backup",
            "disk space",
            "open files"
        ]
    );
    let report = test.admin("site.doctor", json!({})).await;
    let files = report["checks"].as_array().unwrap().last().unwrap();
    assert_eq!(
        files["message"],
        "1000 of at most 1024; at most 317 connections of clients"
    );
}

#[tokio::test]
async fn a_sealed_site_names_that_as_a_problem() {
    let test = TestSite::new().await;
    let restarted = test.restarted().await;
    let caller = countersign_core::access::Caller::admin_socket();
    let (code, report) = run(&restarted, &caller, "site.doctor", json!({})).await;
    assert_eq!(code, Code::SUCCESS);
    let first: &Value = &report["checks"][0];
    assert_eq!(
        (&first["check"], &first["ok"]),
        (&"site key".into(), &false.into())
    );
}
