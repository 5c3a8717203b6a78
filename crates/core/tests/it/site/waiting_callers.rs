//! Callers who lose the right to an operation while it waits.

use std::sync::Arc;

use countersign_core::access::{Caller, Channel, Role};
use countersign_core::access_tokens::AccessTokenSecret;
use countersign_core::content::Content;
use countersign_core::engine::{Answer, Carried, Entry};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{
    NOW, StubTransport, TestPeer, TestSession, TestSite, operation, run,
};
use futures_util::lock::Mutex;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};

use crate::site::accounts::proof::{PHRASE, make_proof, person};

/// The time 12 s after the operations begin.
fn later() -> Timestamp {
    NOW.plus_seconds(12)
}

/// A site with the admins `mal` and `operator` and the person `ada`, and another site that holds its
/// answers to joins back.
struct World {
    test: TestSite,
    mal: TestSession,
    held: Arc<Mutex<()>>,
    ticket: String,
}

impl World {
    async fn new(own: fn() -> Vec<Entry>) -> Self {
        let test = TestSite::builder().operations(own).build().await;
        let mal = person(&test, "mal", "admin").await;
        let operator = json!({ "name": "operator", "role": "admin" });
        test.admin("person.create", operator).await;
        test.admin("person.create", json!({ "name": "ada" })).await;
        test.starts_peer_server().await;
        let peer = TestPeer::new("b.example");
        let ticket = peer.ticket().to_uri().expose().to_owned();
        let held = Arc::new(Mutex::new(()));
        let holds = Arc::clone(&held);
        let joined = move || {
            let (holds, joined) = (Arc::clone(&holds), peer.joined());
            async move {
                drop(holds.lock().await);
                Ok(joined)
            }
        };
        test.site.connect_peers_with(StubTransport::joining(joined));
        Self {
            test,
            mal,
            held,
            ticket,
        }
    }

    /// A token of mal for these operations.
    async fn token(&self, operations: &[&str]) -> Value {
        make_proof(&self.test.site, &self.mal, PHRASE, NOW).await;
        let params = json!({ "operations": operations });
        let created = run(&self.test.site, &self.mal.caller, "token.create", params);
        let (code, created) = created.await;
        assert_eq!(code, Code::SUCCESS, "{created}");
        created
    }

    async fn over_http(&self, token: &Value) -> Caller {
        let secret = AccessTokenSecret::parse(token["token"].as_str().unwrap()).unwrap();
        let caller = self.test.site.token_caller(&secret, NOW).await.unwrap();
        caller.unwrap()
    }

    /// Joins the other site as this caller. The other site answers after the change, and 12 s late.
    /// Returns the code, and the audit entry if there is one.
    async fn joins(
        &self,
        caller: &Caller,
        (change, params): (&str, Value),
    ) -> (Code, Option<Value>) {
        let holding = self.held.lock().await;
        let join = operation(
            "peer.join",
            &json!({ "ticket": self.ticket, "person": "ada" }),
        );
        let entry = self.test.site.table().find("peer", "join");
        let carried = Carried::default().with_clock(later);
        let site = &self.test.site;
        let mut joining = Box::pin(site.run_carried(entry, caller, &join, carried, NOW));
        for _ in 0..1_000 {
            assert!(joining.as_mut().now_or_never().is_none(), "{change}");
        }
        self.test.admin(change, params).await;
        drop(holding);
        let (outcome, _) = joining.await;
        let mut entries = self.test.audit().await.into_iter();
        let is_join =
            |entry: &Value| entry["operation"] == "peer.join" && entry["outcome"] == "done";
        (outcome.code, entries.find(is_join))
    }
}

/// What takes the right away from mal, who calls with this token or in this session.
fn withdrawals(token: &Value, session: &Value) -> Vec<(&'static str, Value)> {
    let name = || json!({ "name": "mal" });
    vec![
        ("person.delete", name()),
        ("person.lock", name()),
        ("person.update", json!({ "name": "mal", "role": "member" })),
        ("lockdown.person", name()),
        ("lockdown.site", json!({})),
        match token {
            Value::Null => ("session.cut", json!({ "id": session })),
            token => ("token.revoke", json!({ "id": token["id"] })),
        },
    ]
}

/// The thief of an admin's token joined a hostile site, which held its answer back. The account was deleted
/// meanwhile. The hostile site answered, and was a peer from then on; the audit entry had the time of
/// the request, so that it came before the deletion.
// PEER-83
#[tokio::test]
async fn a_join_changes_nothing_once_its_caller_lost_the_right_to_it() {
    for over_http in [true, false] {
        for number in 0..withdrawals(&Value::Null, &Value::Null).len() {
            let world = World::new(Vec::new).await;
            let token = match over_http {
                true => world.token(&["peer.join"]).await,
                false => Value::Null,
            };
            let caller = match over_http {
                true => world.over_http(&token).await,
                false => world.mal.caller.clone(),
            };
            let change = withdrawals(&token, &json!(world.mal.info.id)).remove(number);
            let name = change.0;
            let (code, audited) = world.joins(&caller, change).await;
            let refused = [Code::NOT_PERMITTED, Code::LOCKDOWN];
            assert!(refused.contains(&code), "{name}: {code:?}");
            assert_eq!(audited, None, "{name}");
            let peers = world.test.admin("peer.list", json!({})).await;
            assert_eq!(peers["entries"], json!([]), "{name}");
        }
    }
}

/// Every change of an account, and the end of any of its tokens, makes all grants of the account void: a
/// request that waited would be refused although its caller lost nothing.
// PEER-83, OPS-16
#[tokio::test]
async fn a_join_is_carried_out_if_its_caller_was_changed_otherwise_with_the_time_of_the_commit() {
    for number in 0..3 {
        let world = World::new(Vec::new).await;
        let token = world.token(&["peer.join"]).await;
        let other = world.token(&["self.show"]).await;
        let caller = world.over_http(&token).await;
        let rename = json!({ "name": "mal", "new_name": "mallory" });
        let change = [
            (
                "person.update",
                json!({ "name": "mal", "full_name": "Mal" }),
            ),
            ("person.update", rename),
            ("token.revoke", json!({ "id": other["id"] })),
        ][number]
            .clone();
        let (code, audited) = world.joins(&caller, change).await;
        assert_eq!(code, Code::SUCCESS, "{number}");
        let audited = audited.unwrap();
        assert_eq!(audited["time"], json!(later()), "{audited}");
        let actor = ["mal@example.org", "mallory@example.org", "mal@example.org"][number];
        assert_eq!(audited["actor"], actor);
        assert_eq!(audited["details"]["access_token"], token["id"]);
        let peer = world
            .test
            .admin("peer.show", json!({ "peer": "b.example" }));
        assert_eq!(peer.await["introductions"][0]["at"], json!(later()));
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Operations with content, which a client sends and takes as slowly as it likes.
fn with_content() -> Vec<Entry> {
    let upload = Entry::new("test", "upload")
        .summary("Takes content.")
        .allow(&[Role::Admin])
        .also_on(Channel::Http)
        .changes()
        .takes_content()
        .handler(|context, _: Nothing| async move {
            let mut content = context.content()?;
            let mut taken = 0;
            while let Some(piece) = content.next().await {
                taken += piece?.len();
            }
            context
                .commit(Vec::new(), None, json!({ "bytes": taken }))
                .await?;
            Ok(Answer::new(()))
        });
    let download = Entry::new("test", "download")
        .summary("Gives content.")
        .allow(&[Role::Admin])
        .also_on(Channel::Http)
        .gives_content()
        .handler(|_, _: Nothing| async move {
            let pieces = stream::iter((0..3).map(|_| Ok(vec![7; 10])));
            Ok(Answer::new(()).with(Content::new(pieces)))
        });
    vec![upload, download]
}

/// Content over HTTP was taken and given to its end, also for an account that was deleted.
// OPS-17
#[tokio::test]
async fn content_breaks_once_its_caller_lost_the_right_to_the_operation() {
    for number in 0..withdrawals(&Value::Null, &Value::Null).len() {
        let world = World::new(with_content).await;
        let token = world.token(&["test.download", "test.upload"]).await;
        let caller = world.over_http(&token).await;
        let (name, params) = withdrawals(&token, &Value::Null).remove(number);
        let site = world.test.site.clone();
        let download = operation("test.download", &json!({}));
        let (outcome, content) = site.run_with_content(&caller, &download, None, NOW).await;
        assert_eq!(outcome.code, Code::SUCCESS);
        let mut content = content.unwrap();
        assert_eq!(content.next().await, Some(Ok(vec![7; 10])));
        let test = Arc::new(world.test);
        let changing = Arc::clone(&test);
        // The client sends the rest when its right is gone.
        let rest = stream::once(async move {
            changing.admin(name, params).await;
            Ok(vec![8; 10])
        });
        let sent = Content::new(stream::iter([Ok(vec![8; 10])]).chain(rest));
        let upload = operation("test.upload", &json!({}));
        let (outcome, _) = site
            .run_with_content(&caller, &upload, Some(sent), NOW)
            .await;
        assert_eq!(outcome.code, Code::MALFORMED, "{name}");
        assert!(content.next().await.unwrap().is_err(), "{name}");
        let audited = test.audited().await;
        assert!(
            !audited.iter().any(|line| line.starts_with("test.upload")),
            "{audited:?}"
        );
    }
}
