//! Two sites without listeners that are peers. An operation that one asks the other for runs there at
//! once, over a connection that is open as long as the operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use countersign_core::engine::{
    AskError, NewPeerConnection, OperationName, OwnSide, PeerServerState, PeerTransport, Site,
    TransportError,
};
use countersign_core::timestamp::Timestamp;
use countersign_proto::name::AccountName;
use countersign_proto::operation::{Operation, Outcome};
use countersign_proto::peer::{JoinedSite, PeerHello, PeerTicket};
use countersign_proto::site_identity::SiteId;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::TestSite;
use super::peers::{PEER_SOURCE, joins_directly};

/// Site A with the zone `a.example` and the person ada, and site B with the zone `b.example` and the
/// person bob. They are peers.
pub struct LinkedSites {
    /// Site A.
    pub a: TestSite,
    /// Site B.
    pub b: TestSite,
    /// Whether the sites reach each other.
    pub link: Arc<AtomicBool>,
    /// While a test holds it, the sites answer and their answers do not arrive.
    pub answers: Arc<Mutex<()>>,
}

impl LinkedSites {
    /// Creates both sites and lets B join A.
    pub async fn new() -> Self {
        let (a, b) = (
            site("a.example", "ada").await,
            site("b.example", "bob").await,
        );
        let link = Arc::new(AtomicBool::new(true));
        let answers = Arc::new(Mutex::new(()));
        for (own, person, other) in [(&a, "ada@a.example", &b), (&b, "bob@b.example", &a)] {
            own.site.connect_peers_with(Arc::new(Transport {
                own: own.site.clone(),
                person: person.parse().unwrap(),
                other: other.site.clone(),
                now: own.now,
                link: link.clone(),
                answers: answers.clone(),
            }));
            own.admin("peer.start", json!({})).await;
        }
        let issued = a.admin("peer.ticket", json!({ "person": "ada" })).await;
        let join = json!({ "ticket": issued["uri"], "person": "bob" });
        b.admin("peer.join", join).await;
        Self {
            a,
            b,
            link,
            answers,
        }
    }
}

async fn site(zone: &str, person: &str) -> TestSite {
    let test = TestSite::builder().zone(zone).build().await;
    test.takes_enrolments();
    test.admin("person.create", json!({ "name": person })).await;
    test
}

/// Connects `own` to `other`.
struct Transport {
    own: Site,
    /// The person of `own` who introduced the sites.
    person: AccountName,
    other: Site,
    now: fn() -> Timestamp,
    link: Arc<AtomicBool>,
    answers: Arc<Mutex<()>>,
}

#[async_trait]
impl PeerTransport for Transport {
    async fn join(&self, ticket: &PeerTicket, own: &OwnSide) -> Result<JoinedSite, TransportError> {
        let now = (self.now)();
        joins_directly(&self.own, &self.other, ticket, own, now).await
    }

    async fn ask(
        &self,
        peer: SiteId,
        OperationName { group, command }: OperationName,
        params: Box<RawValue>,
    ) -> Result<Outcome, AskError> {
        let unreachable = |problem: &str| AskError::Unreachable(problem.to_owned());
        if !self.link.load(Ordering::Relaxed) {
            return Err(unreachable("the link is cut"));
        }
        let plan = self.own.peer_plan(peer, (self.now)()).await;
        if !matches!(plan, Ok(Some(_))) {
            return Err(unreachable("it is no active peer here"));
        }
        let keys = self.own.unsealed_keys();
        let keys = keys.ok_or_else(|| unreachable("this site is sealed"))?;
        let new = NewPeerConnection {
            hello: PeerHello::new(self.own.id(), self.person.clone(), &self.own.key_events()),
            key: keys.key.public().signing,
            source: PEER_SOURCE,
            cut: Box::new(|_| {}),
        };
        let opened = self.other.open_peer(new, (self.now)()).await;
        let Ok(Some(connection)) = opened else {
            return Err(unreachable("it refused the connection"));
        };
        let operation = Operation::new(1, group, command, params);
        let outcome = self
            .other
            .run(&connection.caller, &operation, (self.now)())
            .await;
        drop(connection);
        drop(self.answers.lock().await);
        Ok(outcome)
    }

    fn wake(&self) {}

    async fn settle(&self, _: bool) {}

    fn state(&self) -> PeerServerState {
        PeerServerState::Running
    }
}
