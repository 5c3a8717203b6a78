//! Devices: who gets a session with one, what it may call, and what ends it.

mod limits;
mod rates;

use countersign_core::access::{Caller, Channel, Role};
use countersign_core::engine::Entry;
use countersign_core::sessions::{CloseReason, Proof};
use countersign_core::store::Devices;
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{
    DEVICE_SOURCE, NOW, TestDevice, TestSession, TestSite, run, run_at,
};
use serde_json::{Value, json};

use super::consequences::dropped_after;

const ADA: &str = "ada@example.org";

/// A site with a person of that role who has a device.
pub(crate) struct Scene {
    pub(crate) test: TestSite,
    pub(crate) phone: TestDevice,
    /// The device's id.
    id: Value,
}

impl Scene {
    pub(crate) async fn new(role: &str) -> Self {
        let test = TestSite::new().await;
        test.takes_enrolments();
        let params = json!({ "name": "ada", "role": role });
        test.admin("person.create", params).await;
        let phone = TestDevice::new();
        let id = enrol(&test, &phone, "ada").await;
        Self { test, phone, id }
    }

    async fn connect(&self, now: Timestamp) -> Option<TestSession> {
        let site = &self.test.site;
        self.test.device_session(site, &self.phone, ADA, now).await
    }

    pub(crate) async fn connected(&self) -> TestSession {
        self.connect(NOW).await.unwrap()
    }
}

/// Enrols a device; its id.
async fn enrol(test: &TestSite, device: &TestDevice, person: &str) -> Value {
    let ticket = test.ticket(person).await;
    let enrolled = device.enrol(&test.site, &ticket.token, person, NOW).await;
    json!(enrolled.unwrap().device)
}

async fn call(test: &TestSite, session: &TestSession, name: &str, params: Value) -> (Code, Value) {
    run(&test.site, &session.caller, name, params).await
}

#[tokio::test]
async fn a_device_has_a_session_that_is_listed_shown_and_closed() {
    let scene = Scene::new("member").await;
    let open = scene.connected().await;
    assert_eq!(open.caller.channel, Channel::Device);
    assert_eq!(open.info.option, None);
    let id = json!({ "id": open.info.id });
    let shown = scene.test.admin("session.show", id).await;
    for (field, value) in [
        ("proof", json!("device")),
        ("option", json!("tls")),
        ("device", scene.id.clone()),
        ("name", json!(ADA)),
    ] {
        assert_eq!(shown[field], value, "{shown}");
    }
    assert!(shown["strength"].is_null() && shown["key"].is_null());
    let site = &scene.test.site;
    let listed = scene.test.admin("device.list", json!({})).await;
    assert_eq!(listed["entries"][0]["connected"], true);
    let closed = site.close_session(&open.info, CloseReason::ConnectionLost, NOW);
    closed.await.unwrap();
    let listed = scene.test.admin("device.list", json!({})).await;
    assert_eq!(listed["entries"][0]["connected"], false);
    let audited = scene.test.audited().await;
    let id = open.info.id;
    assert_eq!(
        audited[audited.len() - 2..],
        [
            format!("session.opened {id} done"),
            format!("session.closed {id} done")
        ]
    );
    let entries = scene.test.audit().await;
    let opened = &entries[entries.len() - 2];
    assert_eq!(opened["channel"], "device");
    let proof = format!("device {}", scene.id.as_str().unwrap());
    assert_eq!(opened["details"]["proof"], proof);
}

/// A client without an enrolled key cannot learn which keys and ids exist, nor which are locked.
// DEV-18
#[tokio::test]
async fn unknown_keys_wrong_ids_and_locked_or_disabled_persons_are_refused_alike() {
    let scene = Scene::new("member").await;
    let (test, site) = (&scene.test, &scene.test.site);
    test.admin("person.create", json!({ "name": "bob" })).await;
    let before = test.audited().await.len();
    let mut refusals = 0;
    let mut refused = async |device: &TestDevice, name: &str| {
        refusals += 1;
        let session = test.device_session(site, device, name, NOW).await;
        assert!(session.is_none(), "{name}");
    };
    refused(&TestDevice::new(), ADA).await;
    for name in ["bob", "unknown", "ada@example.com"] {
        refused(&scene.phone, name).await;
    }
    test.admin("person.lock", json!({ "name": "ada" })).await;
    refused(&scene.phone, ADA).await;
    test.admin("person.unlock", json!({ "name": "ada" })).await;
    test.admin("person.disable", json!({ "name": "ada" })).await;
    refused(&scene.phone, ADA).await;
    let sealed = test.restarted().await;
    assert!(
        test.device_session(&sealed, &scene.phone, ADA, NOW)
            .await
            .is_none()
    );

    site.write_all_counted().await.unwrap();
    let audited = test.audited().await.split_off(before);
    let failed = |entry: &&String| entry.starts_with("session.login");
    let failed: Vec<_> = audited.iter().filter(failed).collect();
    assert_eq!(
        failed, ["session.login - failed"; 2],
        "the first, and the others"
    );
    let listed = site.throttle().penalties().list(NOW);
    assert_eq!(listed[0].0, DEVICE_SOURCE);
    assert_eq!(listed[0].1.points, 4 * refusals);
    test.admin("person.enable", json!({ "name": "ada" })).await;
    assert!(scene.connect(NOW).await.is_some());
}

/// A device that connects in a loop wrote each time.
#[tokio::test]
async fn last_seen_is_written_once_a_minute_with_the_audit_entry() {
    let scene = Scene::new("member").await;
    let id = scene.id.as_str().unwrap().parse().unwrap();
    let seen = async || {
        let device = scene.test.memory().device(id).await.unwrap();
        let seen = device.unwrap().last_seen;
        seen.map(|seen| seen.millis() - NOW.millis())
    };
    assert_eq!(seen().await, None);
    for (after, wanted) in [(0, 0), (59_999, 0), (60_000, 60_000), (60_001, 60_000)] {
        let before = scene.test.audited().await.len();
        let now = NOW.plus_millis(after);
        assert!(scene.connect(now).await.is_some());
        assert_eq!(seen().await, Some(wanted), "after {after} ms");
        assert_eq!(scene.test.audited().await.len(), before + 1);
    }
    let open = scene.connect(NOW.plus_millis(60_002)).await.unwrap();
    let later = NOW.plus_millis(600_000);
    let site = &scene.test.site;
    let closed = site.close_session(&open.info, CloseReason::Goodbye, later);
    closed.await.unwrap();
    assert_eq!(seen().await, Some(600_000), "it was there until then");
}

// DEV-19
#[tokio::test]
async fn revoking_cutting_locking_renaming_and_deleting_end_a_devices_session() {
    let of_ada = json!({ "name": "ada" });
    for (name, params, reason) in [
        ("device.revoke", None, CloseReason::KeyRevoked),
        ("session.cut", None, CloseReason::Cut),
        (
            "person.lock",
            Some(of_ada.clone()),
            CloseReason::AccountLocked,
        ),
        (
            "person.update",
            Some(json!({ "name": "ada", "role": "admin" })),
            CloseReason::AccountChanged,
        ),
        ("person.delete", Some(of_ada), CloseReason::AccountDeleted),
    ] {
        let scene = Scene::new("member").await;
        let laptop = TestDevice::new();
        enrol(&scene.test, &laptop, "ada").await;
        let open = scene.connected().await;
        let site = &scene.test.site;
        let other = scene
            .test
            .device_session(site, &laptop, ADA, NOW)
            .await
            .unwrap();
        let params = params.unwrap_or_else(|| match name {
            "session.cut" => json!({ "id": open.info.id }),
            _ => json!({ "id": scene.id }),
        });
        scene.test.admin(name, params).await;
        assert_eq!(open.was_cut(), Some(reason), "{name}");
        let (code, _) = call(&scene.test, &open, "self.show", json!({})).await;
        assert_eq!(code, Code::NOT_PERMITTED);
        let one_alone = ["device.revoke", "session.cut"].contains(&name);
        assert_eq!(other.was_cut().is_none(), one_alone, "{name}");
        // The end of a device that is gone is audited all the same.
        let closed = site.close_session(&open.info, CloseReason::Goodbye, NOW.plus_seconds(600));
        closed.await.unwrap();
        let connects = scene.connect(NOW).await.is_some();
        assert_eq!(connects, ["session.cut", "person.update"].contains(&name));
    }
}

/// The caller who revokes a device may go away at any point: the device is there with its session,
/// or neither is.
#[tokio::test]
async fn a_revocation_that_breaks_off_at_any_point_ends_the_session_or_changes_nothing() {
    for waits in 0.. {
        let scene = Scene::new("member").await;
        let open = scene.connected().await;
        let (site, local) = (&scene.test.site, Caller::admin_socket());
        let revoke = run(site, &local, "device.revoke", json!({ "id": scene.id }));
        let done = dropped_after(waits, revoke).await;
        let behind = json!({ "name": "behind" });
        scene.test.admin("person.create", behind).await;
        let listed = scene.test.admin("device.list", json!({})).await;
        let there = listed["entries"].as_array().unwrap().len() == 1;
        assert_eq!(
            open.was_cut().is_none(),
            there,
            "dropped after {waits} waits"
        );
        if let Some((code, data)) = done {
            assert_eq!((code, data), (Code::SUCCESS, json!({ "sessions": 1 })));
            assert!(!there);
            break;
        }
    }
}

/// A device connects while it is revoked, or its person locked: whichever comes first, no session
/// is left.
#[tokio::test]
async fn connecting_and_revoking_at_once_leaves_no_session() {
    for name in ["device.revoke", "person.lock"] {
        for waits in 0..12 {
            let scene = Scene::new("member").await;
            let mut connecting = Box::pin(scene.connect(NOW));
            let early = dropped_after(waits, connecting.as_mut()).await;
            let params = match name {
                "device.revoke" => json!({ "id": scene.id }),
                _ => json!({ "name": "ada" }),
            };
            scene.test.admin(name, params).await;
            let session = match early {
                Some(session) => session,
                None => connecting.await,
            };
            let lasts = session.is_some_and(|session| session.was_cut().is_none());
            assert!(!lasts, "{name} after {waits} waits");
        }
    }
}

/// The same operations for every role: an admin's phone is no admin's session.
#[tokio::test]
async fn a_device_sees_the_status_its_person_and_what_is_theirs_and_nothing_else() {
    for role in ["member", "admin"] {
        let scene = Scene::new(role).await;
        let bob = scene.test.person("bob", "member").await;
        let others = TestDevice::new();
        let others_id = enrol(&scene.test, &others, "bob").await;
        let open = scene.connected().await;
        let ask = async |name: &str, params| call(&scene.test, &open, name, params).await;

        let granted: Vec<_> = scene
            .test
            .site
            .table()
            .entries()
            .filter(|entry| entry.access().channels().contains(&Channel::Device))
            .map(Entry::name)
            .collect();
        assert_eq!(
            granted,
            [
                "alarm.acknowledge",
                "alarm.list",
                "alarm.show",
                "alarm.test",
                "device.list",
                "device.rename",
                "device.revoke",
                "event.list",
                "operation.list",
                "peer.discard",
                "peer.discard_waiting",
                "peer.inbox",
                "peer.outbox",
                "peer.send",
                "self.show",
                "session.cut",
                "session.list",
                "session.show",
                "site.key_events",
                "site.status"
            ]
        );
        let entries = scene.test.site.table().entries();
        for entry in entries.filter(|entry| !granted.contains(&entry.name())) {
            let (code, _) = ask(entry.name(), entry.example().clone()).await;
            assert_eq!(code, Code::NOT_PERMITTED, "{}", entry.name());
        }

        let (code, own) = ask("self.show", json!({})).await;
        assert_eq!((code, &own["name"]), (Code::SUCCESS, &json!(ADA)));
        let (code, status) = ask("site.status", json!({})).await;
        assert_eq!(code, Code::SUCCESS);
        assert!(status["sessions"].is_null() && status["listen"]["admin_socket"].is_null());
        for (list, id) in [
            ("device.list", &scene.id),
            ("session.list", &json!(open.info.id)),
        ] {
            let (_, listed) = ask(list, json!({})).await;
            let entries = listed["entries"].as_array().unwrap();
            assert_eq!(entries.len(), 1, "{list} as {role}");
            assert_eq!(&entries[0]["id"], id);
        }
        for (name, params) in [
            ("device.list", json!({ "person": "bob" })),
            ("device.rename", json!({ "id": others_id, "name": "mine" })),
            ("device.revoke", json!({ "id": others_id })),
            ("session.show", json!({ "id": bob.info.id })),
            ("session.cut", json!({ "id": bob.info.id })),
        ] {
            assert_eq!(
                ask(name, params).await.0,
                Code::NOT_FOUND,
                "{name} as {role}"
            );
        }
        let (code, _) = ask("device.revoke", json!({ "id": scene.id })).await;
        assert_eq!(code, Code::SUCCESS, "a device may take itself away");
        assert_eq!(open.was_cut(), Some(CloseReason::KeyRevoked));
    }
}

#[tokio::test]
async fn devices_are_listed_renamed_and_revoked_by_an_admin_and_by_their_person() {
    let scene = Scene::new("member").await;
    let test = &scene.test;
    let shown = test.admin("person.show", json!({ "name": "ada" })).await;
    let ada = test.session(&shown, Proof::Passphrase).await.unwrap();
    let bob = test.person("bob", "member").await;
    let rename = |name: &str| json!({ "id": scene.id, "name": name });
    let revoke = json!({ "id": scene.id });
    // To others it does not seem to exist.
    for (name, params) in [
        ("device.rename", rename("x")),
        ("device.revoke", revoke.clone()),
    ] {
        assert_eq!(call(test, &bob, name, params).await.0, Code::NOT_FOUND);
    }
    let (_, listed) = call(test, &bob, "device.list", json!({})).await;
    assert_eq!(listed["entries"], json!([]));
    let of_ada = json!({ "person": "ada" });
    let (code, _) = call(test, &bob, "device.list", of_ada.clone()).await;
    assert_eq!(code, Code::NOT_FOUND);

    let (code, renamed) = call(test, &ada, "device.rename", rename("Ada's phone")).await;
    assert_eq!(
        (code, &renamed["name"]),
        (Code::SUCCESS, &json!("Ada's phone"))
    );
    test.admin("device.rename", rename("the phone of Ada"))
        .await;
    let listed = test.admin("device.list", of_ada).await;
    assert_eq!(listed["entries"][0]["name"], "the phone of Ada");
    for wrong in ["", " phone", "a\u{1b}[2J", &"x".repeat(65)] {
        let (code, data) = test.refused("device.rename", rename(wrong)).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::INVALID_PARAMS, &json!("name"))
        );
    }
    let (code, _) = call(test, &ada, "device.revoke", revoke.clone()).await;
    assert_eq!(code, Code::SUCCESS);
    let (code, _) = test.refused("device.revoke", revoke).await;
    assert_eq!(code, Code::NOT_FOUND);
    let id = scene.id.as_str().unwrap();
    let audited = test.audited().await;
    assert_eq!(
        audited[audited.len() - 3..],
        [
            format!("device.rename {id} done"),
            format!("device.rename {id} done"),
            format!("device.revoke {id} done")
        ]
    );
}

/// An admin listed all devices of all persons, in stretches.
#[tokio::test]
async fn an_admin_lists_the_devices_of_all_persons_in_stretches() {
    let scene = Scene::new("member").await;
    scene
        .test
        .admin("person.create", json!({ "name": "bob" }))
        .await;
    for _ in 0..3 {
        enrol(&scene.test, &TestDevice::new(), "bob").await;
    }
    let (mut after, mut found) = (Value::Null, Vec::new());
    loop {
        let params = match &after {
            Value::Null => json!({ "limit": 2 }),
            after => json!({ "limit": 2, "after": after }),
        };
        let listed = scene.test.admin("device.list", params).await;
        found.extend(listed["entries"].as_array().unwrap().clone());
        after = listed["next"].clone();
        if after.is_null() {
            break;
        }
    }
    let mut ids: Vec<_> = found.iter().map(|entry| entry["id"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

/// A session of a device lasts as long as one of a person, and is over then, whatever its
/// connection notices.
#[tokio::test]
async fn a_session_of_a_device_is_over_in_time() {
    let scene = Scene::new("member").await;
    scene
        .test
        .admin("site.config", json!({ "session_lifetime": 60 }))
        .await;
    let open = scene.connected().await;
    let site = &scene.test.site;
    let ask = async |now| {
        run_at(site, &open.caller, "self.show", json!({}), now)
            .await
            .0
    };
    assert_eq!(ask(NOW.plus_millis(59_999)).await, Code::SUCCESS);
    assert_eq!(ask(NOW.plus_millis(60_000)).await, Code::NOT_PERMITTED);
    assert_eq!(open.info.expires, open.info.ends);
}

/// A session that says of itself that it is a device's gets no more by that than a device.
#[tokio::test]
async fn a_caller_without_a_session_is_no_device() {
    let scene = Scene::new("admin").await;
    let open = scene.connected().await;
    let forged = Caller {
        session: None,
        role: Role::Admin,
        ..open.caller.clone()
    };
    let (code, _) = run(&scene.test.site, &forged, "device.list", json!({})).await;
    assert_eq!(code, Code::NOT_PERMITTED);
}
