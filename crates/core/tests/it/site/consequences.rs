//! The consequences of a change take effect with the change or not at all, even if the caller
//! disconnects.
//!
//! Regression tests: handlers used to commit first, and then to end sessions, clear a cached
//! application or replace a setting. A caller that was cancelled in between left a locked account
//! with open sessions.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use countersign_core::access::{Caller, Role};
use countersign_core::engine::{Answer, Decision, Entry, NewSession, Site};
use countersign_core::sessions::{Audience, CloseReason, Proof};
use countersign_core::store::{MemoryStore, Notice};
use countersign_core::throttle::{Abuse, Source};
use countersign_crypto::rsa::RsaKey;
use countersign_proto::operation::{Code, Event, Operation};
use countersign_proto::session::EncryptionOption;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, TestSession, TestSite, party, run};
use serde_json::{Value, json};

/// Polls a future until it has been suspended `waits` times, and drops it. Returns its result if it
/// finished before.
pub(super) async fn dropped_after<T>(waits: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = waits;
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// A site with the objects that the operations under test need.
pub(super) struct Scene {
    pub(super) test: TestSite,
    maria: TestSession,
    robot: TestSession,
    pub(super) thumbprint: String,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::of(TestSite::new().await).await
    }

    /// Makes a scene on a store whose commits fail once the test says so.
    pub(super) async fn faulty(fault: Fault) -> (Self, Arc<FaultyStore>) {
        let store = MemoryStore::new();
        let faulty = Arc::new(FaultyStore::new(Arc::new(store.reopened()), fault));
        let test = TestSite::builder()
            .memory(store, faulty.clone())
            .build()
            .await;
        (Self::of(test).await, faulty)
    }

    async fn of(test: TestSite) -> Self {
        let maria = test.person("maria", "member").await;
        let (robot, identity) = test.service("robot").await;
        // Fills the cache with an existing application and with an unknown id.
        let key = party().public().to_pem();
        let app = json!({ "id": "ledger", "public_keys": [key] });
        test.admin("app.create", app).await;
        for id in ["ledger", "billing"] {
            test.site.registered(id, NOW).await.unwrap();
        }
        Self {
            test,
            maria,
            robot,
            thumbprint: identity.certificate().thumbprint().to_string(),
        }
    }

    /// Returns all sessions and settings according to memory.
    pub(super) async fn memory(&self) -> Value {
        let site = &self.test.site;
        let ledger = site.registered("ledger", NOW).await.unwrap();
        let billing = site.registered("billing", NOW).await.unwrap();
        json!({
            "maria": self.maria.was_cut(),
            "robot": self.robot.was_cut(),
            "ledger": ledger.map(|ledger| ledger.application.state.as_str()),
            "keys": ledger_keys(site).await,
            "billing": billing.is_some(),
            "options": names(site),
            "lifetime": site.config().session_lifetime,
            "slots": slots(site).await,
            "v1": v1_keys(site).await,
            "accounts": accounts(site).await,
        })
    }

    /// Returns whether memory agrees with the store.
    pub(super) async fn agrees(&self, memory: &Value) -> bool {
        let stored = self.stored().await;
        let fields = stored.as_object().unwrap();
        fields.iter().all(|(field, value)| memory[field] == *value)
    }

    /// Returns what memory should contain: the memory of a site that is opened from the same store.
    async fn stored(&self) -> Value {
        let site = self.test.unsealed().await;
        let ledger = site.registered("ledger", NOW).await.unwrap();
        let billing = site.registered("billing", NOW).await.unwrap();
        json!({
            "ledger": ledger.map(|ledger| ledger.application.state.as_str()),
            "keys": ledger_keys(&site).await,
            "billing": billing.is_some(),
            "options": names(&site),
            "lifetime": site.config().session_lifetime,
            "slots": slots(&site).await,
            "v1": v1_keys(&site).await,
            "accounts": accounts(&site).await,
        })
    }
}

async fn ledger_keys(site: &Site) -> usize {
    let ledger = site.registered("ledger", NOW).await.unwrap();
    ledger.map_or(0, |ledger| ledger.application.keys.len())
}

fn names(site: &Site) -> Vec<&'static str> {
    let options = site.options();
    let ranked = options.ranked().iter();
    ranked.map(|option| option.name()).collect()
}

async fn slots(site: &Site) -> usize {
    let (_, slots) = run(site, &Caller::admin_socket(), "site.key_slots", json!({})).await;
    slots["slots"].as_array().unwrap().len()
}

/// Returns the names, roles and states of all accounts, and the number of keys of the services.
async fn accounts(site: &Site) -> Vec<String> {
    let mut accounts = Vec::new();
    for list in ["person.list", "service.list"] {
        let (_, listed) = run(site, &Caller::admin_socket(), list, json!({})).await;
        for entry in listed["entries"].as_array().unwrap() {
            let [name, role, state] = ["name", "role", "state"].map(|field| &entry[field]);
            accounts.push(format!("{name} {role} {state}"));
        }
    }
    let robot = json!({ "name": "robot" });
    let (_, keys) = run(site, &Caller::admin_socket(), "key.list", robot).await;
    let keys = keys["entries"].as_array().map_or(0, Vec::len);
    accounts.push(format!("{keys} keys"));
    accounts
}

async fn v1_keys(site: &Site) -> usize {
    let (_, shown) = run(site, &Caller::admin_socket(), "broker.show", json!({})).await;
    shown["v1_public_keys"].as_array().unwrap().len()
}

/// A change, and the session that it ends.
struct Case {
    name: &'static str,
    params: Value,
    ends: Option<(&'static str, CloseReason)>,
}

fn cases(scene: &Scene) -> Vec<Case> {
    let case = |name, params, ends| Case { name, params, ends };
    let maria = |reason| Some(("maria", reason));
    let robot = |reason| Some(("robot", reason));
    let of_maria = json!({ "name": "maria" });
    let option = EncryptionOption::HybridAes256Gcm.name();
    let other = EncryptionOption::HybridChaCha20Poly1305.name();
    vec![
        case(
            "person.lock",
            of_maria.clone(),
            maria(CloseReason::AccountLocked),
        ),
        case(
            "person.update",
            json!({ "name": "maria", "new_name": "mary" }),
            maria(CloseReason::AccountChanged),
        ),
        case(
            "person.update",
            json!({ "name": "maria", "role": "admin" }),
            maria(CloseReason::AccountChanged),
        ),
        case(
            "person.delete",
            of_maria,
            maria(CloseReason::AccountDeleted),
        ),
        case(
            "session.cut",
            json!({ "id": scene.maria.info.id }),
            maria(CloseReason::Cut),
        ),
        case(
            "key.revoke",
            json!({ "name": "robot", "thumbprint": scene.thumbprint }),
            robot(CloseReason::KeyRevoked),
        ),
        case(
            "service.delete",
            json!({ "name": "robot" }),
            robot(CloseReason::AccountDeleted),
        ),
        case(
            "option.disable",
            json!({ "name": option, "cut": true }),
            maria(CloseReason::OptionDisabled),
        ),
        case(
            "service.lock",
            json!({ "name": "robot" }),
            robot(CloseReason::AccountLocked),
        ),
        case("option.order", json!({ "names": [other] }), None),
        case("option.floor", json!({ "floor": "hybrid" }), None),
        case("penalty.forget", json!({}), None),
        case("app.lock", json!({ "id": "ledger" }), None),
        case(
            "app.rotate_key",
            json!({ "id": "ledger", "public_key": party().public().to_pem(), "overlap": 86_400_000 }),
            None,
        ),
        case("app.delete", json!({ "id": "ledger" }), None),
        case(
            "app.create",
            json!({ "id": "billing", "public_keys": [party().public().to_pem()] }),
            None,
        ),
        case("site.config", json!({ "session_lifetime": 60 }), None),
        case("site.key_recovery", json!({}), None),
    ]
}

/// A caller may disconnect at any point of any change. Afterwards memory equals that of a site
/// opened from the same store, and a session has ended exactly if the change was made.
#[tokio::test]
async fn memory_and_store_agree_if_a_caller_disconnects_at_any_point() {
    let count = cases(&Scene::new().await).len();
    for at in 0..count {
        for waits in 0.. {
            let scene = Scene::new().await;
            let Case { name, params, ends } = cases(&scene).remove(at);
            let site = &scene.test.site;
            let local = Caller::admin_socket();
            let punished = Source::V4([192, 0, 2, 9].into());
            site.throttle()
                .penalties()
                .record_abuse(punished, Abuse::Malformed, NOW);
            let done = dropped_after(waits, run(site, &local, name, params)).await;
            // A further change follows, so that the first one is complete.
            scene
                .test
                .admin("person.create", json!({ "name": "behind" }))
                .await;
            let entries = scene.test.audited().await;
            let made = entries
                .iter()
                .any(|entry| entry.starts_with(name) && entry.ends_with("done"));
            let what = format!("{name}, dropped after {waits} waits, made: {made}");
            let (memory, stored) = (scene.memory().await, scene.stored().await);
            for (field, value) in stored.as_object().unwrap() {
                assert_eq!(memory[field], *value, "{what}: {field}");
            }
            if let Some((session, reason)) = ends {
                let expected = made.then_some(json!(reason)).unwrap_or(Value::Null);
                assert_eq!(memory[session], expected, "{what}");
            }
            let remembered = site.throttle().penalties().list(NOW).len();
            let forgotten = name == "penalty.forget" && made;
            assert_eq!(remembered == 0, forgotten, "{what}");
            if let Some((code, data)) = done {
                assert_eq!(code, Code::SUCCESS, "{what}: {data}");
                break;
            }
        }
    }
}

/// Generating a v1 key takes long, so the test gives one.
#[tokio::test]
async fn a_new_broker_key_is_used_even_if_its_caller_disconnected() {
    let key = RsaKey::generate().unwrap();
    let pem = key.expose().to_owned();
    for waits in 0.. {
        let scene = Scene::new().await;
        let params = json!({ "private_key": pem });
        let local = Caller::admin_socket();
        let added = run(&scene.test.site, &local, "broker.new_v1_key", params);
        let done = dropped_after(waits, added).await;
        scene
            .test
            .admin("person.create", json!({ "name": "behind" }))
            .await;
        let (memory, stored) = (scene.memory().await, scene.stored().await);
        assert_eq!(memory["v1"], stored["v1"], "dropped after {waits} waits");
        if let Some((code, data)) = done {
            assert_eq!(code, Code::SUCCESS, "{data}");
            assert_eq!(memory["v1"], 1);
            break;
        }
    }
}

/// A panic in a hook that ends a session must neither stop the store nor leave a session open.
#[tokio::test]
async fn a_panic_in_the_projection_ends_every_session_and_the_site_continues() {
    let test = TestSite::new().await;
    let bob = test.person("bob", "member").await;
    let params = json!({ "name": "maria", "role": "member" });
    let maria = test.admin("person.create", params).await;
    let opening = NewSession {
        account: maria["id"].as_str().unwrap().parse().unwrap(),
        proof: Proof::Passphrase,
        credential: None,
        option: EncryptionOption::HybridAes256Gcm,
        peer: "192.0.2.7:1234".to_owned(),
        cut: Box::new(|_| panic!("a fault in the hook of a connection")),
        max_sessions: 1_000,
    };
    let opened = test.site.open_session(opening, NOW).await.unwrap();
    assert!(matches!(opened, Decision::Opened(_)));
    let second = test.session(&maria, Proof::Passphrase).await.unwrap();
    test.admin("person.lock", json!({ "name": "maria" })).await;
    assert_eq!(second.was_cut(), Some(CloseReason::AccountLocked));
    assert_eq!(bob.was_cut(), Some(CloseReason::Cut));
    test.admin("person.unlock", json!({ "name": "maria" }))
        .await;
    assert!(test.session(&maria, Proof::Passphrase).await.is_some());
}

fn reserve() -> Entry {
    Entry::new("seats", "reserve")
        .summary("Reserves a seat.")
        .allow(&[Role::Admin])
        .changes()
        .handler(|context, _: Seat| async move {
            let event = Notice::event(Audience::Role(Role::Member), "seats", "reserved", &1)?;
            context.commit(event, None, json!({})).await?;
            Ok(Answer::new(()))
        })
}

/// An event is published after its change, in commit order, and not if the change is refused.
#[tokio::test]
async fn an_event_is_published_with_its_change() {
    let test = TestSite::builder().operations(|| vec![reserve()]);
    let test = test.build().await;
    let maria = test.person("maria", "member").await;
    let received = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let received = received.clone();
        move |event: &Arc<Event>| {
            received.lock().unwrap().push(event.event.clone());
            true
        }
    };
    test.site.events().subscribe(&maria.info, Box::new(sink));
    test.admin("seats.reserve", json!({})).await;
    assert_eq!(*received.lock().unwrap(), ["reserved"]);
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Seat {}

/// No operation is available over HTTP yet, whatever the caller's role.
#[tokio::test]
async fn a_channel_without_operations_is_refused_everything() {
    let test = TestSite::new().await;
    let caller = Caller {
        channel: countersign_core::access::Channel::Http,
        ..Caller::admin_socket()
    };
    for entry in test.site.table().entries() {
        let params = serde_json::value::to_raw_value(entry.example()).unwrap();
        let operation = Operation::new(1, entry.group(), entry.command(), params);
        let outcome = test.site.run(&caller, &operation, NOW).await;
        assert_eq!(outcome.code, Code::NOT_PERMITTED, "{}", entry.name());
        assert!(!entry.access().channels().contains(&caller.channel));
    }
}
