//! What `peer show` says of a peer, as text and as JSON.

use countersign_core::access::Caller;
use countersign_core::engine::{LONGEST_PEER_BACKOFF, PeerBackoff, PeerBreach, PeerProblem};
use countersign_proto::operation::{Code, Operation};
use countersign_testkit::harness::{TestPeer, TestSite};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

/// The text of an operation of the group `peer`, and the JSON.
async fn run(test: &TestSite, command: &str, params: Value) -> (String, Value) {
    let params = to_raw_value(&params).unwrap();
    let operation = Operation::new(1, "peer", command, params);
    let caller = Caller::admin_socket();
    let outcome = test.site.run(&caller, &operation, test.now()).await;
    let data = serde_json::from_str(outcome.data.get()).unwrap();
    (outcome.output, data)
}

/// The text of `peer show` without its columns, and the JSON.
async fn show(test: &TestSite) -> (Vec<String>, Value) {
    let (output, data) = run(test, "show", json!({ "peer": "b.example" })).await;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (output.lines().map(words).collect(), data)
}

fn has(text: &[String], line: &str) -> bool {
    text.iter().any(|has| has == line)
}

/// The text had neither what a peer may ask for, nor its limits, nor why messages wait.
#[tokio::test]
async fn peer_show_names_the_problem_the_next_attempt_the_permissions_and_the_limits() {
    let (test, peer) = TestSite::with_peer().await;
    let (site, now) = (peer.known().id(), test.now());
    let (text, shown) = show(&test).await;
    assert!(has(&text, "may ask for messages, audit_heads, tickets"));
    assert!(has(
        &text,
        "limit operations: 256 at once, then one every 100 ms"
    ));
    assert!(has(
        &text,
        "limit connections: 16 at once, then one every 2 s"
    ));
    assert!(has(&text, "limit new_keys: 8 at once, then one every 1 h"));
    assert_eq!(shown["limits"].as_array().unwrap().len(), 10);
    for absent in ["trouble", "backoff", "breaches"] {
        assert_eq!(shown[absent], Value::Null);
    }

    let why = "no route".to_owned();
    let problem = PeerProblem::Unreachable { why };
    test.site.peer_problem(site, problem, now);
    let backoff = PeerBackoff {
        failures: 3,
        next: now.plus_seconds(4),
    };
    test.site.peer_waits(site, backoff);
    let breach = test.site.peer_fault(site, PeerBreach::Line, now);
    breach.await.unwrap();
    let allows = json!({ "peer": "b.example", "allows": [] });
    test.admin("peer.permit", allows).await;
    let (text, shown) = show(&test).await;
    let next = now.plus_seconds(4);
    assert!(has(
        &text,
        &format!("next attempt {next}, after 3 failures")
    ));
    let nothing = "may ask for nothing; `peer permit b.example messages` lets it deliver messages";
    assert!(has(&text, nothing), "{text:?}");
    let breaches = format!("breaches 10 since {now}; suspended at 300 within an hour");
    assert!(has(&text, &breaches), "{text:?}");
    let problem = text.iter().find(|line| line.starts_with("problem "));
    assert!(
        problem
            .unwrap()
            .contains("unreachable: it could not be reached at")
    );
    assert!(
        text.iter()
            .any(|line| line.starts_with("next step check its address"))
    );
    assert_eq!(shown["trouble"]["state"], "unreachable");
    assert_eq!(shown["backoff"]["failures"], 3);
    assert_eq!(shown["breaches"]["weight"], 10);

    test.site.peer_waits_no_more(site);
    let (text, _) = show(&test).await;
    assert!(!text.iter().any(|line| line.starts_with("next attempt")));
}

/// The text was "Changed what the peer may ask for" for all permissions and for none.
#[tokio::test]
async fn peer_permit_says_what_the_peer_may_ask_for_and_what_was_taken_away() {
    let (test, _) = TestSite::with_peer().await;
    let permit = async |allows: &[&str]| {
        let params = json!({ "peer": "b.example", "allows": allows });
        run(&test, "permit", params).await.0
    };
    let all = ["messages", "audit_heads", "tickets"];
    let audited = test.audited().await.len();
    assert_eq!(
        permit(&all).await,
        "The peer b.example may ask for messages, audit_heads, tickets."
    );
    assert_eq!(test.audited().await.len(), audited, "nothing changed");
    assert_eq!(
        permit(&["messages"]).await,
        "The peer b.example may ask for messages, and no longer for audit_heads, tickets."
    );
    let nothing = "The peer b.example may ask for nothing, and no longer for messages.";
    assert_eq!(permit(&[]).await, nothing);
}

/// A peer in lockdown was `active` in the list and in `peer doctor`, whose next step lacked the peer.
#[tokio::test]
async fn a_peer_that_is_kept_out_has_a_state_and_a_next_step_with_its_name() {
    let (test, _) = TestSite::with_peer().await;
    let named = || json!({ "peer": "b.example" });
    let doctor = async || run(&test, "doctor", json!({})).await;
    let listed = async || run(&test, "list", json!({})).await.0;

    test.admin("peer.suspend", named()).await;
    let (text, _) = doctor().await;
    let suspended = "b.example: suspended: local admin suspended it: no reason given; \
        `peer resume b.example` once the reason is gone";
    assert!(text.contains(suspended), "{text}");
    test.admin("peer.resume", named()).await;

    let on = json!({ "peer": "b.example", "reason": "under investigation" });
    test.admin("lockdown.peer", on).await;
    let (text, checks) = doctor().await;
    let line = "b.example: lockdown: local admin put it in lockdown: under investigation; \
        `lockdown lift peer b.example` once the reason is gone";
    assert!(text.contains(line), "{text}");
    assert_eq!(checks["findings"][1]["state"], "lockdown");
    assert!(listed().await.contains("b.example  lockdown"));
    let (_, shown) = show(&test).await;
    assert_eq!(
        (&shown["state"], &shown["lockdown"]["reason"]),
        (&json!("active"), &json!("under investigation"))
    );
}

/// `peer list` shows the zone of a removed peer, and `peer show` did not know it.
#[tokio::test]
async fn a_removed_peer_is_named_by_its_zone_unless_several_had_it() {
    let (test, peer) = TestSite::with_peer().await;
    let named = || json!({ "peer": "b.example" });
    let (first, second) = (peer.known().id().to_string(), TestPeer::new("b.example"));
    let removed = test.admin("peer.remove", named()).await;
    assert_eq!(removed["site"], first);
    let (_, shown) = show(&test).await;
    assert_eq!(
        (&shown["site"], &shown["state"]),
        (&json!(first), &json!("removed"))
    );

    // Another site gets the zone, and is the one that is named by it.
    test.introduce(&second, "ada").await;
    let second = second.known().id().to_string();
    assert_eq!(test.admin("peer.show", named()).await["site"], second);
    test.admin("peer.remove", named()).await;
    let (code, data) = test.refused("peer.forget", named()).await;
    assert_eq!((code, &data["field"]), (Code::CONFLICT, &json!("peer")));
    test.admin("peer.forget", json!({ "peer": first })).await;
    test.admin("peer.forget", named()).await;
    assert!(run(&test, "list", json!({})).await.0.is_empty());
}

/// The clock was a day ahead when a peer could not be reached. After it was set right, `peer show`
/// showed a next attempt in a day, although the site tries again within minutes.
// PEER-66
#[tokio::test]
async fn a_next_attempt_beyond_the_longest_wait_is_not_shown() {
    let (test, peer) = TestSite::with_peer().await;
    let longest = u32::try_from(LONGEST_PEER_BACKOFF.as_secs()).unwrap();
    for (seconds, is_shown) in [(longest, true), (longest + 1, false), (86_400, false)] {
        let backoff = PeerBackoff {
            failures: 3,
            next: test.now().plus_seconds(seconds),
        };
        test.site.peer_waits(peer.known().id(), backoff);
        let (text, shown) = show(&test).await;
        assert_eq!(shown["backoff"].is_object(), is_shown, "{seconds}");
        let has_line = text.iter().any(|line| line.starts_with("next attempt"));
        assert_eq!(has_line, is_shown, "{seconds}");
    }
}

/// New keys that this site does not follow for now, because of its own limit, showed as key events
/// that do not follow from the known ones: as a fault of the peer.
#[tokio::test]
async fn new_keys_above_the_limit_of_this_site_are_no_fault_of_the_peer() {
    let (test, peer) = TestSite::with_peer().await;
    let (site, now) = (peer.known().id(), test.now());
    let reached = async |peer: &TestPeer, now| {
        let key = peer.key().public().signing;
        let cut = Box::new(|_| {});
        let reached = test.site.peer_reached(site, key, &peer.events, cut, now);
        let reached = reached.await.unwrap();
        reached.is_some_and(|connection| {
            drop(connection);
            true
        })
    };
    let mut newest = (*peer).clone();
    for _ in 0..8 {
        newest = newest.rotated();
        assert!(reached(&newest, now).await);
    }
    let ninth = newest.rotated();
    assert!(!reached(&ninth, now).await);
    let (text, shown) = show(&test).await;
    assert_eq!(shown["state"], "active");
    assert_eq!(shown["trouble"]["state"], "new_keys_wait");
    let limit = "limit new_keys: 8 at once, then one every 1 h; the next one in 1 h";
    assert!(has(&text, limit), "{text:?}");
    assert!(reached(&ninth, now.plus_seconds(3_600)).await);
    assert_eq!(show(&test).await.1["trouble"], Value::Null);
}

/// Only a connection in the other direction ended the problem, so that it lasted at a site which is
/// called and does not call.
#[tokio::test]
async fn new_keys_are_not_waited_for_any_more_once_the_peer_has_connected_with_them() {
    let (test, peer) = TestSite::with_peer().await;
    let now = test.now();
    let mut newest = (*peer).clone();
    for _ in 0..8 {
        newest = newest.rotated();
        let connection = newest.connect(&test.site, now).await.unwrap();
        drop(connection);
    }
    let ninth = newest.rotated();
    assert!(ninth.connect(&test.site, now).await.is_none());
    assert_eq!(show(&test).await.1["trouble"]["state"], "new_keys_wait");
    let later = now.plus_seconds(3_600);
    let connection = ninth.connect(&test.site, later).await.unwrap();
    drop(connection);
    assert_eq!(show(&test).await.1["trouble"], Value::Null);

    // Whether this site can reach the peer is another question.
    let why = "no route".to_owned();
    let problem = PeerProblem::Unreachable { why };
    test.site.peer_problem(peer.known().id(), problem, later);
    assert!(ninth.connect(&test.site, later).await.is_some());
    assert_eq!(show(&test).await.1["trouble"]["state"], "unreachable");
}
