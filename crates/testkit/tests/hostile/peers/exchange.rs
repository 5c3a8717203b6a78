//! What peers ask and tell each other after the first lines, and the stage at which a site refuses it.

use countersign_core::access::Caller;
use countersign_core::engine::{HeadReply, PeerStatus};
use countersign_proto::json as strict;
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::peer::{BadPeerLine, PeerLine};
use countersign_proto::site_identity::SiteId;
use countersign_testkit::harness::{TestPeer, TestSite, stays_open};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::corpus::Refused;

/// When the peer signed the head that the site has countersigned, in milliseconds since 1970 UTC.
const HEAD_TIME: i64 = 1_772_366_400_000;

/// A site with the person ada and the applications `ledger` and `archive`, of which the first one admits
/// `billing@b.example`; and its peer.
struct World {
    test: TestSite,
    peer: SiteId,
    caller: Caller,
}

impl World {
    /// The keys of the peer are the same in every world: some messages are signed with them.
    async fn new() -> Self {
        let test = TestSite::new().await;
        test.takes_enrolments();
        test.admin("person.create", json!({ "name": "ada" })).await;
        let peer = test.joined_by(TestPeer::fixed("b.example"), "ada").await;
        test.site.connect_peers_with(peer.clone());
        test.admin("peer.start", json!({})).await;
        for id in ["ledger", "archive"] {
            test.create_application(id, json!({})).await;
        }
        let allow = json!({ "id": "ledger", "allow_callers": ["billing@b.example"] });
        test.admin("app.update", allow).await;
        let connection = peer.connect(&test.site, test.now()).await.unwrap();
        Self {
            peer: peer.known().id(),
            caller: stays_open(connection),
            test,
        }
    }

    /// Calls an operation as the peer.
    async fn call(&self, group: &str, command: &str, params: Box<RawValue>) -> (Code, Value) {
        let operation = Operation::new(1, group, command, params);
        let ran = self
            .test
            .site
            .run(&self.caller, &operation, self.test.now());
        let outcome = ran.await;
        let data = serde_json::from_str(outcome.data.get()).unwrap();
        (outcome.code, data)
    }
}

pub(super) fn runtime() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap()
}

thread_local! {
    /// One site for all files that leave nothing behind on which others depend.
    static WORLD: (Runtime, World) = {
        let runtime = runtime();
        let world = runtime.block_on(World::new());
        (runtime, world)
    };
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Calls an operation with these parameters.
pub(super) fn operation(group: &str, command: &str, bytes: &[u8]) -> Result<(), Refused> {
    let params = String::from_utf8(bytes.to_vec()).unwrap();
    let Ok(params) = RawValue::from_string(params) else {
        return Err(("line", "the line cannot be read".to_owned()));
    };
    let (code, data) =
        WORLD.with(|(runtime, world)| runtime.block_on(world.call(group, command, params)));
    let stage = match code {
        Code::SUCCESS => {
            let refused = &data["ticket"]["refused"];
            return match refused.is_string() {
                true => Err(("refused", text(refused))),
                false => Ok(()),
            };
        }
        Code::INVALID_PARAMS => "params",
        Code::NOT_PERMITTED => "not_permitted",
        code => panic!("{code:?}: {data}"),
    };
    Err((stage, text(&data["message"])))
}

/// The parameters of `peer audit_head`, at a site that has countersigned the head of entry 5 of its peer.
pub(super) fn audit_head(bytes: &[u8]) -> Result<(), Refused> {
    let params = String::from_utf8(bytes.to_vec()).unwrap();
    let Ok(params) = RawValue::from_string(params) else {
        return Err(("line", "the line cannot be read".to_owned()));
    };
    let (code, data) = runtime().block_on(async {
        let world = World::new().await;
        let head = TestPeer::fixed("b.example").head(5, 5, HEAD_TIME);
        let first = to_raw_value(&json!({ "head": head })).unwrap();
        let (code, data) = world.call("peer", "audit_head", first).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
        world.call("peer", "audit_head", params).await
    });
    match (code, data["state"].as_str()) {
        (Code::SUCCESS, Some("countersigned")) => Ok(()),
        (Code::SUCCESS, Some("older")) => Err(("older", String::new())),
        (Code::SUCCESS, Some("contradicted")) => Err(("contradicted", String::new())),
        (Code::INVALID_PARAMS, _) => Err(("params", text(&data["message"]))),
        (Code::NOT_PERMITTED, _) => Err(("not_permitted", text(&data["message"]))),
        (code, _) => panic!("{code:?}: {data}"),
    }
}

/// A successful result of an operation that the site called.
pub(super) fn result(bytes: &[u8]) -> Result<Outcome, Refused> {
    match PeerLine::read(bytes.trim_ascii_end()) {
        Ok(PeerLine::Outcome(outcome)) if outcome.code == Code::SUCCESS => Ok(outcome),
        Ok(PeerLine::Outcome(outcome)) => Err(("code", outcome.code.0.to_string())),
        Ok(PeerLine::Operation(_)) => Err(("operation", String::new())),
        Ok(PeerLine::End(_)) => Err(("end", String::new())),
        Err(error) => Err(("line", error.to_string())),
    }
}

/// The result of `peer ping`: what the site shows of it.
pub(super) fn status(bytes: &[u8]) -> Result<(), Refused> {
    let read = result(bytes)?;
    let status: PeerStatus =
        strict::read(read.data.get().as_bytes()).map_err(|error| ("json", error.to_string()))?;
    let has_version = status.version.is_some();
    let shown = WORLD.with(|(runtime, world)| {
        let (test, peer) = (&world.test, world.peer);
        test.site.peer_told_status(peer, Some(status), test.now());
        runtime.block_on(test.admin("peer.show", json!({ "peer": peer })))
    });
    match has_version && shown["told"]["version"].is_null() {
        true => Err(("version", "the version is not shown".to_owned())),
        false => Ok(()),
    }
}

/// The result of `peer audit_head`: what the site stores of it.
pub(super) fn head_reply(bytes: &[u8]) -> Result<(), Refused> {
    let read = result(bytes)?;
    let reply: HeadReply =
        strict::read(read.data.get().as_bytes()).map_err(|error| ("json", error.to_string()))?;
    let has_heads = reply.receipt.is_some() || !reply.held.is_empty();
    let stored = runtime().block_on(async {
        let World { test, peer, .. } = World::new().await;
        // A head is due at once after it.
        test.admin("lockdown.site", json!({ "level": "enrolment" }))
            .await;
        let (site, now) = (&test.site, test.now());
        let offered = site.head_for(peer, now).await.unwrap().unwrap();
        site.head_answered(peer, &offered, reply, now)
            .await
            .unwrap();
        let audited = test.audited().await;
        audited
            .iter()
            .any(|line| line.starts_with("peer.countersigned"))
    });
    match has_heads && !stored {
        true => Err(("ignored", "nothing in it is stored".to_owned())),
        false => Ok(()),
    }
}

/// The last line of a connection.
pub(super) fn end(bytes: &[u8]) -> Result<(), Refused> {
    match PeerLine::read(bytes.trim_ascii_end()) {
        Ok(PeerLine::End(_)) => Ok(()),
        Ok(PeerLine::Operation(_)) => Err(("operation", String::new())),
        Ok(PeerLine::Outcome(_)) => Err(("result", String::new())),
        Err(error @ BadPeerLine::Neither) => Err(("neither", error.to_string())),
        Err(error) => Err(("json", error.to_string())),
    }
}
