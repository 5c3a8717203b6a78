//! Tickets across sites: `billing` of site A calls `ledger` of site B. Both sites decide.

use std::sync::atomic::Ordering;

use countersign_core::access::Caller;
use countersign_core::engine::NewPeerConnection;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::party::PartyKey;
use countersign_proto::broker::v2::foreign::TicketPath;
use countersign_proto::broker::v2::message::AuthResponse;
use countersign_proto::broker::v2::provider::Provider;
use countersign_proto::operation::Code;
use countersign_proto::peer::PeerHello;
use countersign_testkit::harness::{
    LinkedSites, NOW, PEER_SOURCE, TestSession, TestSite, party, run, stays_open,
};
use serde_json::{Value, json};

/// Both sites with both applications and a session of the service of each, and no permissions.
pub(crate) struct World {
    pub(crate) sites: LinkedSites,
    pub(crate) billing: TestSession,
    pub(crate) ledger: TestSession,
    ledger_key: PartyKey,
}

impl World {
    pub(crate) async fn new() -> Self {
        let sites = LinkedSites::new().await;
        let (billing, _) = application(&sites.a, "billing").await;
        let (ledger, ledger_key) = application(&sites.b, "ledger").await;
        // An application of site B with the name of the consumer of site A.
        application(&sites.b, "billing").await;
        Self {
            sites,
            billing,
            ledger,
            ledger_key,
        }
    }

    /// Both sites allow the call.
    pub(crate) async fn allowed() -> Self {
        let world = Self::new().await;
        world.allow(true, true).await;
        world
    }

    async fn allow(&self, at_a: bool, at_b: bool) {
        if at_a {
            let allow = json!({ "id": "billing", "allow": [{ "foreign": "ledger@b.example" }] });
            self.sites.a.admin("app.update", allow).await;
        }
        if at_b {
            let allow = json!({ "id": "ledger", "allow_callers": ["billing@a.example"] });
            self.sites.b.admin("app.update", allow).await;
        }
    }

    /// Asks for a ticket in the session of billing.
    pub(crate) async fn asks(&self) -> Result<Box<AuthResponse>, String> {
        self.asks_for("ledger@b.example").await
    }

    async fn asks_for(&self, provider: &str) -> Result<Box<AuthResponse>, String> {
        let params = json!({ "app": "billing", "providers": [provider] });
        let caller = &self.billing.caller;
        let (code, data) = run(&self.sites.a.site, caller, "broker.ticket", params).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
        let answer = data["tickets"][0].clone();
        match answer.get("granted") {
            Some(granted) => Ok(serde_json::from_value(granted.clone()).unwrap()),
            None => Err(answer["refused"].as_str().unwrap().to_owned()),
        }
    }

    /// Why each of the sites refuses the ticket, as its admin sees it.
    async fn why_not(&self) -> [Value; 2] {
        let pair =
            |consumer: &str, provider: &str| json!({ "consumer": consumer, "provider": provider });
        let at_a = pair("billing", "ledger@b.example");
        let at_b = pair("billing@a.example", "ledger");
        [
            self.sites.a.admin("app.ticket", at_a).await["why_not"].clone(),
            self.sites.b.admin("app.ticket", at_b).await["why_not"].clone(),
        ]
    }
}

async fn application(test: &TestSite, id: &str) -> (TestSession, PartyKey) {
    let service = format!("{id}-robot");
    let (session, _) = test.service(&service).await;
    let key = test
        .create_application(id, json!({ "service": service }))
        .await;
    (session, key)
}

const NOT_ALLOWED: &str = "not-allowed";

// BRK-91, BRK-93
#[tokio::test]
async fn a_ticket_needs_the_permission_of_both_sites() {
    for (at_a, at_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let world = World::new().await;
        world.allow(at_a, at_b).await;
        let asked = world.asks().await;
        assert_eq!(asked.is_ok(), at_a && at_b, "{at_a} {at_b}: {asked:?}");
        if let Err(refused) = asked {
            assert_eq!(refused, NOT_ALLOWED);
        }
        for (allows, why_not) in [at_a, at_b].into_iter().zip(world.why_not().await) {
            let why_not = why_not.as_str().unwrap_or_default();
            assert_eq!(
                why_not.contains("policy does not allow"),
                !allows,
                "{why_not}"
            );
        }
    }
}

/// Each step takes one thing away, and the next one gives it back.
// BRK-91, BRK-93, PEER-40
#[tokio::test]
async fn a_ticket_needs_active_applications_and_peers_without_lockdown_on_both_sides() {
    let world = World::allowed().await;
    let (a, b) = (&world.sites.a, &world.sites.b);
    let (billing, ledger) = (json!({ "id": "billing" }), json!({ "id": "ledger" }));
    let (peer_a, peer_b) = (
        json!({ "peer": "a.example" }),
        json!({ "peer": "b.example" }),
    );
    let nothing = json!({ "peer": "a.example", "allows": ["messages"] });
    let everything = json!({ "peer": "a.example", "allows": ["messages", "tickets"] });
    let unreachable = "peer-unreachable";
    for (site, takes, params, gives, back, refused, why) in [
        (
            a,
            "app.lock",
            &billing,
            "app.unlock",
            &billing,
            NOT_ALLOWED,
            "billing is locked",
        ),
        (
            b,
            "app.lock",
            &ledger,
            "app.unlock",
            &ledger,
            NOT_ALLOWED,
            "ledger is locked",
        ),
        (
            b,
            "lockdown.app",
            &ledger,
            "lockdown.lift",
            &json!({ "app": "ledger" }),
            NOT_ALLOWED,
            "ledger is in lockdown",
        ),
        (
            a,
            "lockdown.app",
            &billing,
            "lockdown.lift",
            &json!({ "app": "billing" }),
            NOT_ALLOWED,
            "billing is in lockdown",
        ),
        (
            a,
            "peer.suspend",
            &peer_b,
            "peer.resume",
            &peer_b,
            NOT_ALLOWED,
            "is suspended",
        ),
        (
            a,
            "lockdown.peer",
            &peer_b,
            "lockdown.lift",
            &peer_b,
            NOT_ALLOWED,
            "in lockdown",
        ),
        // The peer does not say why it refuses a connection.
        (
            b,
            "peer.suspend",
            &peer_a,
            "peer.resume",
            &peer_a,
            unreachable,
            "is suspended",
        ),
        (
            b,
            "lockdown.peer",
            &peer_a,
            "lockdown.lift",
            &peer_a,
            unreachable,
            "in lockdown",
        ),
        (
            b,
            "peer.permit",
            &nothing,
            "peer.permit",
            &everything,
            NOT_ALLOWED,
            "may not ask for tickets",
        ),
    ] {
        assert!(world.asks().await.is_ok(), "before {takes}");
        site.admin(takes, params.clone()).await;
        assert_eq!(
            world.asks().await.err().as_deref(),
            Some(refused),
            "{takes}"
        );
        let [at_a, at_b] = world.why_not().await;
        let said = if std::ptr::eq(site, a) { at_a } else { at_b };
        let said = said.as_str().unwrap_or_default();
        assert!(said.contains(why), "{takes}: {said}");
        site.admin(gives, back.clone()).await;
    }
    assert!(world.asks().await.is_ok());
    world.sites.link.store(false, Ordering::Relaxed);
    assert_eq!(world.asks().await.err().as_deref(), Some(unreachable));
}

/// The provider knows both consumers named billing apart.
// BRK-92
#[tokio::test]
async fn a_provider_sees_the_path_of_the_ticket_and_not_a_consumer_of_its_own_site() {
    let world = World::allowed().await;
    let response = world.asks().await.unwrap();
    assert_eq!(response.requester, "billing@a.example");
    assert_eq!(response.requested, "ledger@b.example");
    let b = &world.sites.b.site;
    let keys = b.unsealed_keys().unwrap();
    let provider = Provider {
        id: "ledger".to_owned(),
        keys: vec![world.ledger_key.clone()],
        site: "b.example".to_owned(),
        site_keys: vec![keys.broker.party().unwrap().public().clone()],
        ticket_keys: Vec::new(),
    };
    let now = u64::try_from(NOW.millis()).unwrap();
    let consumer = countersign_proto::broker::v2::consumer::Consumer {
        id: "billing".to_owned(),
        keys: Vec::new(),
        site: "a.example".to_owned(),
        site_keys: Vec::new(),
        suite: countersign_crypto::party::SealingSuite::XWing,
    };
    let ticket = consumer
        .read_session_response("ledger@b.example", *response)
        .unwrap();
    let (_, presentation) = ticket.present(now, &mut SystemEntropy).unwrap();
    let presented = provider.accept(presentation.as_bytes(), now).unwrap();
    let accepted = presented.acknowledge(now, &mut SystemEntropy).unwrap();
    let name = &accepted.credentials.application;
    let path = TicketPath::of(name, &accepted.auth_data).unwrap();
    assert_eq!(path.via.site, world.sites.a.site.id());
    assert_eq!(path.via.consumer, "billing");
    // The consumer of site B with the same id has no permission.
    let params = json!({ "consumer": "billing", "provider": "ledger" });
    let own = world.sites.b.admin("app.ticket", params).await;
    assert_eq!(own["granted"], false);
}

/// A connection of site A with site B, whose holder sends what it likes.
pub(crate) async fn caller(world: &World) -> Caller {
    let a = &world.sites.a.site;
    let new = NewPeerConnection {
        hello: PeerHello::new(a.id(), "ada@a.example".parse().unwrap(), &a.key_events()),
        key: a.public_key().signing,
        source: PEER_SOURCE,
        cut: Box::new(|_| {}),
    };
    let opened = world.sites.b.site.open_peer(new, NOW).await.unwrap();
    stays_open(opened.unwrap())
}

async fn peer_state(test: &TestSite) -> Value {
    test.admin("peer.list", json!({})).await["entries"][0]["state"].clone()
}

/// There is one hop: a peer asks for its own applications, for providers of the site that it asks.
// BRK-93, PEER-21, PEER-41
#[tokio::test]
async fn a_peer_that_names_an_application_of_a_third_site_is_refused_and_at_last_suspended() {
    let world = World::allowed().await;
    let caller = caller(&world).await;
    let asks = async |consumer: &str, provider: &str| {
        let params = json!({
            "consumer": consumer,
            "provider": provider,
            "nonce": "AAAAAAAAAAAAAAAAAAAAAA",
            "key": null,
            "lasts": 1_000
        });
        run(
            &world.sites.b.site,
            &caller,
            "broker.foreign_ticket",
            params,
        )
        .await
    };
    let (code, data) = asks("billing@a.example", "ledger@b.example").await;
    assert_eq!(code, Code::SUCCESS);
    assert!(data["ticket"].get("granted").is_some(), "{data}");
    // An unknown provider and one that admits another consumer are refused alike.
    for (consumer, provider) in [
        ("billing@a.example", "archive@b.example"),
        ("archive@a.example", "ledger@b.example"),
        ("billing@a.example", "billing@b.example"),
    ] {
        let (code, data) = asks(consumer, provider).await;
        assert_eq!(
            (code, &data["ticket"]["refused"]),
            (Code::SUCCESS, &json!(NOT_ALLOWED))
        );
    }
    assert_eq!(peer_state(&world.sites.b).await, "active");
    for number in 0..30 {
        let (consumer, provider) = match number % 2 {
            0 => ("billing@c.example", "ledger@b.example"),
            _ => ("billing@a.example", "ledger@c.example"),
        };
        let (code, _) = asks(consumer, provider).await;
        assert_eq!(code, Code::NOT_PERMITTED);
    }
    assert_eq!(peer_state(&world.sites.b).await, "suspended");
}

/// The site of the consumer does not ask its peer more often than the peer allows, and a consumer in
/// a loop does not use up what the others may ask for.
// BRK-95
#[tokio::test]
async fn a_consumer_in_a_loop_gets_no_more_tickets_and_the_peer_stays_active() {
    let world = World::allowed().await;
    let mut granted = 0;
    for _ in 0..300 {
        granted += usize::from(world.asks().await.is_ok());
    }
    assert_eq!(granted, 16, "the burst of one consumer");
    assert_eq!(peer_state(&world.sites.b).await, "active");
}

// BRK-91
#[tokio::test]
async fn permissions_across_sites_name_peers_and_are_bound_to_their_site_ids() {
    let world = World::new().await;
    let (a, b) = (&world.sites.a, &world.sites.b);
    let allow = |name: &str| json!({ "id": "billing", "allow": [{ "foreign": name }] });
    for unknown in ["ledger@c.example", "ledger@a.example"] {
        let (code, data) = a.refused("app.update", allow(unknown)).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::INVALID_PARAMS, &json!("allow")),
            "{data}"
        );
    }
    let admit = json!({ "id": "ledger", "allow_callers": ["billing@c.example"] });
    let (code, _) = b.refused("app.update", admit).await;
    assert_eq!(code, Code::INVALID_PARAMS);
    // No application of site B gets the name of one of site A.
    let keys = [party().public().to_pem()];
    let named = json!({ "id": "billing@a.example", "public_keys": keys });
    let (code, data) = b.refused("app.create", named).await;
    assert_eq!((code, &data["field"]), (Code::INVALID_PARAMS, &json!("id")));

    world.allow(true, true).await;
    let shown = a.admin("app.show", json!({ "id": "billing" })).await;
    assert_eq!(
        shown["may_call"],
        json!([{ "foreign": "ledger@b.example" }])
    );
    let shown = b.admin("app.show", json!({ "id": "ledger" })).await;
    assert_eq!(shown["callers"], json!(["billing@a.example"]));
    // A peer that is forgotten and joins again has no permissions. Nothing but the audit log said so, and
    // the removed peer could not be named by its zone.
    b.admin("peer.remove", json!({ "peer": "a.example" })).await;
    assert!(world.asks().await.is_err());
    let forgotten = b.admin("peer.forget", json!({ "peer": "a.example" })).await;
    assert_eq!(forgotten, json!({ "removed_from": ["ledger"] }));
    let shown = b.admin("app.show", json!({ "id": "ledger" })).await;
    assert_eq!(shown.get("callers"), None);
}

/// The audit log of each site has the path.
// BRK-95
#[tokio::test]
async fn both_sites_audit_the_ticket_with_the_other_site() {
    let world = World::allowed().await;
    world.asks().await.unwrap();
    assert_eq!(
        world.asks_for("archive@b.example").await.err().as_deref(),
        Some(NOT_ALLOWED)
    );
    let entry = async |test: &TestSite, operation: &str, outcome: &str| {
        test.site.write_all_counted().await.unwrap();
        let entries = test.audit().await.into_iter();
        let mut entries =
            entries.filter(|entry| entry["operation"] == operation && entry["outcome"] == outcome);
        entries.next().unwrap()
    };
    let at_a = entry(&world.sites.a, "broker.ticket", "done").await;
    assert_eq!(at_a["target"], "ledger@b.example");
    assert_eq!(at_a["details"]["site"], world.sites.b.site.id().to_string());
    let at_b = entry(&world.sites.b, "broker.foreign_ticket", "done").await;
    assert_eq!(at_b["target"], "ledger");
    assert_eq!(at_b["actor"], "application billing@a.example");
    assert_eq!(at_b["details"]["site"], world.sites.a.site.id().to_string());
    let refused = entry(&world.sites.a, "broker.ticket", "not_permitted").await;
    assert_eq!(refused["details"]["provider"], "archive@b.example");
}
