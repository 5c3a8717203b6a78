//! A site whose clock is in 1969, 2038 or 2106, or jumps.

use countersign_core::access::Caller;
use countersign_core::sessions::CloseReason;
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_testkit::harness::TestSite;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

/// 1969; the last second that fits into 31 bits; the first that does not fit into 32 bits; the last
/// year of RFC 3339.
const CLOCKS: [(i64, &str); 4] = [
    (-1, "1969-12-31T23:59:59.999Z"),
    (2_147_483_648_000, "2038-01-19T03:14:08.000Z"),
    (4_294_967_296_000, "2106-02-07T06:28:16.000Z"),
    (253_402_207_200_000, "9999-12-30T22:00:00.000Z"),
];
const HOUR: u32 = 60 * 60;

async fn at(test: &TestSite, now: Timestamp, name: &str, params: Value) -> Value {
    let (group, command) = name.split_once('.').unwrap();
    let operation = Operation::new(1, group, command, to_raw_value(&params).unwrap());
    let outcome: Outcome = test
        .site
        .run(&Caller::admin_socket(), &operation, now)
        .await;
    assert_eq!(outcome.code, Code::SUCCESS, "{name}: {}", outcome.data);
    serde_json::from_str(outcome.data.get()).unwrap()
}

/// Stored times are read back unchanged, and sessions end when they should.
#[tokio::test]
async fn a_site_works_at_the_limits_of_the_clock() {
    for (millis, written) in CLOCKS {
        let test = TestSite::new().await;
        let now = Timestamp::from_millis(millis);
        let maria = json!({ "name": "maria" });
        let created = at(&test, now, "person.create", maria.clone()).await;
        assert_eq!(created["created"], written);
        let session = test.session_at(&created, now).await;
        let shown = at(&test, now, "session.show", json!({ "id": session.info.id })).await;
        assert_eq!(shown["opened"], written);
        let lifetime = session.info.expires.millis() - millis;
        assert!(lifetime > 0, "{written}");

        let sessions = test.site.sessions();
        let last = Timestamp::from_millis(session.info.expires.millis() - 1);
        assert!(sessions.role(session.info.id, last).is_some());
        assert!(
            sessions
                .role(session.info.id, session.info.expires)
                .is_none()
        );

        at(&test, now, "person.lock", maria).await;
        assert_eq!(session.was_cut(), Some(CloseReason::AccountLocked));
        let verified = at(&test, now, "audit.verify", json!({})).await;
        assert_eq!(verified["intact"], true);
        let since = json!({ "since": written, "operation": "person" });
        let found = at(&test, now, "audit.list", since).await;
        let times = found["entries"].as_array().unwrap().iter();
        let times: Vec<&str> = times.map(|entry| entry["time"].as_str().unwrap()).collect();
        assert!(times.contains(&written), "{times:?}");
    }
}

/// Sessions use the time of day: a jump forward ends those that have expired, a jump back ends
/// none. The audit log keeps the order of events, whatever their times.
#[tokio::test]
async fn a_jump_in_either_direction_breaks_nothing() {
    let test = TestSite::new().await;
    let years = |count: i64| Timestamp::from_millis(count * 365 * 24 * 3_600_000);
    let created = at(
        &test,
        years(56),
        "person.create",
        json!({ "name": "maria" }),
    )
    .await;
    let before = test.session_at(&created, years(56)).await;
    let sessions = test.site.sessions();
    assert!(sessions.role(before.info.id, years(136)).is_none());
    assert!(sessions.role(before.info.id, years(-1)).is_some());
    for (year, name) in [(136, "ada"), (-1, "bob"), (56, "eve")] {
        at(&test, years(year), "person.create", json!({ "name": name })).await;
    }
    let listed = at(
        &test,
        years(56),
        "audit.list",
        json!({ "operation": "person" }),
    )
    .await;
    let targets = listed["entries"].as_array().unwrap().iter();
    let targets: Vec<&Value> = targets.map(|entry| &entry["target"]).collect();
    let expected = ["maria", "ada", "bob", "eve"].map(|name| format!("{name}@example.org"));
    assert_eq!(targets, expected.iter().collect::<Vec<_>>());
    assert_eq!(
        at(&test, years(0), "audit.verify", json!({})).await["intact"],
        true
    );
    // The site can be opened again with all of its data.
    let restarted = test.unsealed().await;
    assert!(restarted.unsealed_keys().is_some());
    assert_eq!(years(0).plus_seconds(HOUR).millis(), 3_600_000);
    assert_eq!(
        Timestamp::from_millis(i64::MAX).plus_seconds(HOUR).millis(),
        i64::MAX
    );
}
