//! The consequences of a change take effect with the change or not at all, even if the caller
//! disconnects.
//!
//! Regression tests: handlers used to commit first, and then to end sessions, clear a cached
//! application or replace a setting. A caller that was cancelled in between left a locked account
//! with open sessions.

mod cases;
mod scene;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use countersign_core::access::Role;
use countersign_core::audit::AuditOutcome;
use countersign_core::engine::{Answer, Decision, Entry, NewSession};
use countersign_core::page::Page;
use countersign_core::sessions::{Audience, CloseReason, Proof};
use countersign_core::store::{AuditLog, Notice};
use countersign_core::throttle::{Abuse, Source};
use countersign_proto::operation::{Code, Event};
use countersign_proto::session::EncryptionOption;
use countersign_testkit::harness::{NOW, TestSite, run};
use serde_json::json;

use cases::cases;
pub(super) use scene::Scene;

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

/// A caller may disconnect at any point of any change. Afterwards the change was made whole or not
/// at all, memory equals that of a site opened from the same store, and a session has ended exactly
/// if the change was made.
async fn check(selected: impl Fn(&str) -> bool) {
    for (at, case) in cases(&Scene::new().await).iter().enumerate() {
        if !selected(case.name) {
            continue;
        }
        let mut waits = 0;
        while !is_done_after(waits, at).await {
            waits += 1;
        }
        assert!(waits > 0, "{} cannot be dropped", case.name);
    }
}

fn is_in(groups: &[&str], name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(group, _)| groups.contains(&group))
}

#[tokio::test]
async fn memory_and_store_agree_if_a_caller_disconnects_while_it_changes_a_person() {
    check(|name| is_in(&["person"], name)).await;
}

#[tokio::test]
async fn memory_and_store_agree_if_a_caller_disconnects_while_it_changes_itself_or_a_service() {
    check(|name| is_in(&["self", "service", "key"], name)).await;
}

#[tokio::test]
async fn memory_and_store_agree_if_a_caller_disconnects_while_it_changes_the_site() {
    check(|name| is_in(&["site", "option"], name)).await;
}

#[tokio::test]
async fn memory_and_store_agree_if_a_caller_disconnects_during_any_other_change() {
    let tested = ["person", "self", "service", "key", "site", "option"];
    check(|name| !is_in(&tested, name)).await;
}

/// Drops the caller of a case after that many waits and checks what it left. Returns whether the
/// operation was done before.
async fn is_done_after(waits: usize, at: usize) -> bool {
    let mut scene = Scene::new().await;
    let mut case = cases(&scene).remove(at);
    case.prepare(&mut scene).await;
    let (name, site) = (case.name, &scene.test.site);
    let punished = Source::V4([192, 0, 2, 9].into());
    site.throttle()
        .penalties()
        .record_abuse(punished, Abuse::Malformed, NOW);
    let (before, audited) = (scene.memory().await, times_done(&scene, name).await);
    let caller = case.caller(&scene);
    let done = dropped_after(waits, run(site, &caller, name, case.params)).await;

    let made = times_done(&scene, name).await > audited;
    let what = format!("{name}, dropped after {waits} waits, made: {made}");
    let sealed = match name {
        "site.unseal" => !made,
        "site.seal" => made,
        _ => false,
    };
    assert_eq!(site.is_sealed(), sealed, "{what}");
    if !site.is_sealed() {
        let (memory, stored) = (scene.memory().await, scene.stored().await);
        for (field, value) in stored.as_object().unwrap() {
            assert_eq!(memory[field], *value, "{what}: {field}");
        }
        if !made {
            assert_eq!(memory, before, "{what}");
        } else if let Some((session, reason)) = case.ends {
            assert_eq!(memory[session], json!(reason), "{what}");
        }
        assert!(made || done.is_none(), "{what}");
    }
    if caller.session.is_some() {
        assert_eq!(scene.own.was_cut(), None, "{what}");
    }
    if let Some((shows, params, codes)) = case.shown_by {
        let (code, data) = run(site, &caller, shows, params).await;
        assert_eq!(code, codes[usize::from(!made)], "{what}: {shows}: {data}");
    }
    let remembered = site.throttle().penalties().list(NOW).len();
    let forgotten = name == "penalty.forget" && made;
    assert_eq!(remembered == 0, forgotten, "{what}");
    if let Some((code, data)) = &done {
        assert_eq!(*code, Code::SUCCESS, "{what}: {data}");
    }
    done.is_some()
}

/// Returns how often the audit log says that an operation was done. The store is read directly,
/// because the site may be sealed.
async fn times_done(scene: &Scene, name: &str) -> usize {
    let page = Page {
        after: None,
        limit: 1_000,
    };
    let entries = scene.test.memory().audit(&page).await.unwrap();
    let drafts = entries.iter().map(|entry| &entry.draft);
    drafts
        .filter(|draft| draft.operation == name && draft.outcome == AuditOutcome::Done)
        .count()
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
