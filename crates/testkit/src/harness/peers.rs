//! Another site, of which a test has the key alone, as a peer of a site without listeners.

use std::future::{Future, ready};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::access::Caller;
use countersign_core::engine::{
    AskError, NewPeerConnection, NotEnrolled, OperationName, OwnSide, PeerConnection,
    PeerServerState, PeerTransport, Site, TransportError,
};
use countersign_core::store::StoreError;
use countersign_core::throttle::Source;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::enrolment::{Exporter, Token};
use countersign_proto::name::AccountName;
use countersign_proto::operation::Outcome;
use countersign_proto::peer::{
    AuditHead, JoinRequest, JoinedSite, Joining, PeerHello, PeerTicket, SignedAuditHead,
};
use countersign_proto::site_identity::{KnownSite, SignedKeyEvent, SiteId};
use serde_json::json;
use serde_json::value::RawValue;

use crate::new_site::NOW;

/// Where the peers of tests connect from.
pub const PEER_SOURCE: Source = Source::V4(Ipv4Addr::new(192, 0, 2, 9));

pub(super) const EXPORTER: Exporter = Exporter([8; 32]);

/// The peer as a caller, on a connection that stays open until the test ends.
#[must_use]
pub fn stays_open(connection: PeerConnection) -> Caller {
    Box::leak(Box::new(connection)).caller.clone()
}

/// Another site. Its person is `bob`.
#[derive(Clone)]
pub struct TestPeer {
    seed: SiteSeed,
    next: SiteSeed,
    /// Its key events.
    pub events: Vec<SignedKeyEvent>,
    /// Its zone.
    pub zone: String,
    /// Where it listens, as it says.
    pub host: String,
}

impl TestPeer {
    /// A site with a new key and this zone.
    #[must_use]
    pub fn new(zone: &str) -> Self {
        Self::generate(zone, &mut SystemEntropy)
    }

    /// A site with a key from this entropy and this zone.
    #[must_use]
    pub fn generate(zone: &str, entropy: &mut dyn Entropy) -> Self {
        Self::of(zone, [(); 2].map(|()| SiteSeed::generate(entropy)))
    }

    /// A site with this zone and always the same keys, for recorded messages.
    #[must_use]
    pub fn fixed(zone: &str) -> Self {
        Self::of(
            zone,
            [1, 2].map(|byte| SiteSeed(Secret::from_bytes([byte; 32]))),
        )
    }

    fn of(zone: &str, [seed, next]: [SiteSeed; 2]) -> Self {
        let next_key = SiteKey::from_seed(next.clone()).public();
        let first = SignedKeyEvent::first(&SiteKey::from_seed(seed.clone()), &next_key, 0);
        Self {
            seed,
            next,
            events: vec![first],
            zone: zone.to_owned(),
            host: "b.example".to_owned(),
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> SiteKey {
        SiteKey::from_seed(self.seed.clone())
    }

    /// The same site after it replaced its key.
    #[must_use]
    pub fn rotated(&self) -> Self {
        self.rotated_at(NOW.millis(), None)
    }

    /// The same site after it replaced its key at this time, in milliseconds. `stolen` is when the
    /// replaced key was stolen, as the site says.
    #[must_use]
    pub fn rotated_at(&self, time: i64, stolen: Option<i64>) -> Self {
        self.replaced_by(self.next.clone(), time, stolen)
    }

    /// The same site after a thief of its key replaced it with the key of another site, which is not
    /// the next one.
    #[must_use]
    pub fn rotated_to(&self, other: &Self) -> Self {
        self.replaced_by(other.seed.clone(), NOW.millis(), None)
    }

    fn replaced_by(&self, seed: SiteSeed, time: i64, stolen: Option<i64>) -> Self {
        let next = SiteSeed::generate(&mut SystemEntropy);
        let next_key = SiteKey::from_seed(next.clone()).public();
        let key = SiteKey::from_seed(seed.clone());
        let last = self.events.last().unwrap();
        let event = last.replaced_by(&self.key(), &key, &next_key, time, stolen);
        Self {
            seed,
            next,
            events: [&self.events[..], &[event]].concat(),
            zone: self.zone.clone(),
            host: self.host.clone(),
        }
    }

    /// What it proves to be, if its events are valid.
    #[must_use]
    pub fn known(&self) -> KnownSite {
        KnownSite::whole(&self.events).unwrap()
    }

    /// Its person.
    #[must_use]
    pub fn bob(&self) -> AccountName {
        format!("bob@{}", self.zone).parse().unwrap()
    }

    /// A ticket of its person.
    #[must_use]
    pub fn ticket(&self) -> PeerTicket {
        let token = Token::generate(&mut SystemEntropy);
        let key = self.key().public();
        PeerTicket::new("b.example", 4750, token, 1_800_000_000, key, self.bob()).unwrap()
    }

    /// The head of its audit log, with this number and a hash of this byte, signed at this time in
    /// milliseconds.
    #[must_use]
    pub fn head(&self, seq: u64, byte: u8, time: i64) -> SignedAuditHead {
        let head = AuditHead {
            site: self.known().id(),
            event: self.events.last().unwrap().event().number,
            seq,
            hash: [byte; 32],
            time,
        };
        SignedAuditHead::new(head, &self.key())
    }

    /// Its request to join the site of a ticket.
    #[must_use]
    pub fn request(&self, ticket: &PeerTicket) -> JoinRequest {
        let id = self.bob();
        let joining = Joining {
            id: &id,
            host: &self.host,
            port: 4750,
            events: &self.events,
        };
        let token = ticket.token().clone();
        JoinRequest::new(token, &joining, &self.key(), ticket.site(), &EXPORTER).unwrap()
    }

    /// Joins the site of a ticket.
    ///
    /// # Errors
    /// As [`Site::accept_peer`].
    pub async fn join(
        &self,
        site: &Site,
        ticket: &PeerTicket,
        now: Timestamp,
    ) -> Result<(), NotEnrolled> {
        let request = self.request(ticket);
        let proof = async { request.verify(&EXPORTER, &site.public_key()).ok() };
        site.accept_peer(&request, proof, PEER_SOURCE, now).await
    }

    /// What a site learns of it by joining it.
    #[must_use]
    pub fn joined(&self) -> JoinedSite {
        JoinedSite {
            known: self.known(),
            events: self.events.clone(),
        }
    }

    /// Connects to a site of which it is a peer.
    pub async fn connect(&self, site: &Site, now: Timestamp) -> Option<PeerConnection> {
        self.connect_or_fail(site, now).await.unwrap()
    }

    /// Connects to a site whose store may fail.
    ///
    /// # Errors
    /// As [`Site::open_peer`].
    pub async fn connect_or_fail(
        &self,
        site: &Site,
        now: Timestamp,
    ) -> Result<Option<PeerConnection>, StoreError> {
        let id = self.events[0].event().site_id().unwrap();
        let hello = PeerHello::new(id, self.bob(), &self.events);
        let new = NewPeerConnection {
            hello,
            key: self.key().public().signing,
            source: PEER_SOURCE,
            cut: Box::new(|_| {}),
        };
        site.open_peer(new, now).await
    }
}

/// Every ticket leads to this site.
#[async_trait]
impl PeerTransport for TestPeer {
    async fn join(&self, _: &PeerTicket, _: &OwnSide) -> Result<JoinedSite, TransportError> {
        Ok(self.joined())
    }

    async fn ask(
        &self,
        _: SiteId,
        _: OperationName,
        _: Box<RawValue>,
    ) -> Result<Outcome, AskError> {
        Err(AskError::Unreachable("it has no listener".to_owned()))
    }

    fn wake(&self) {}

    async fn settle(&self, _: bool) {}

    fn state(&self) -> PeerServerState {
        PeerServerState::Running
    }
}

/// Joins `own` with `other`, which issued the ticket, without a socket between them.
///
/// # Errors
/// [`TransportError::Refused`].
pub async fn joins_directly(
    own: &Site,
    other: &Site,
    ticket: &PeerTicket,
    side: &OwnSide,
    now: Timestamp,
) -> Result<JoinedSite, TransportError> {
    let refused = || TransportError::Refused("it refused the ticket".to_owned());
    let events = own.key_events();
    let joining = Joining {
        id: &side.id,
        host: &side.host,
        port: side.port,
        events: &events,
    };
    let keys = own.unsealed_keys().ok_or_else(refused)?;
    let token = ticket.token().clone();
    let request = JoinRequest::new(token, &joining, &keys.key, ticket.site(), &EXPORTER);
    let request = request.map_err(|_| refused())?;
    let proof = async { request.verify(&EXPORTER, &other.public_key()).ok() };
    let accepted = other.accept_peer(&request, proof, PEER_SOURCE, now);
    accepted.await.map_err(|_| refused())?;
    let events = other.key_events().to_vec();
    let known = KnownSite::whole(&events).map_err(|_| refused())?;
    Ok(JoinedSite { known, events })
}

/// A join of another site.
type Join = Pin<Box<dyn Future<Output = Result<JoinedSite, TransportError>> + Send>>;

/// Other sites of which a test says what they answer.
pub struct StubTransport {
    join: Box<dyn Fn() -> Join + Send + Sync>,
    answer: Result<Outcome, AskError>,
}

impl StubTransport {
    /// Every ticket leads to a site that ends a join like this. It answers no operation.
    pub fn joining<F>(join: impl Fn() -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<JoinedSite, TransportError>> + Send + 'static,
    {
        Arc::new(Self {
            join: Box::new(move || Box::pin(join())),
            answer: Err(AskError::Unreachable("it has no listener".to_owned())),
        })
    }

    /// No ticket leads to a site, and every peer answers every operation with this.
    #[must_use]
    pub fn answering(answer: Outcome) -> Arc<Self> {
        let refused = || Err(TransportError::Refused("it takes no ticket".to_owned()));
        Arc::new(Self {
            join: Box::new(move || Box::pin(ready(refused()))),
            answer: Ok(answer),
        })
    }
}

#[async_trait]
impl PeerTransport for StubTransport {
    async fn join(&self, _: &PeerTicket, _: &OwnSide) -> Result<JoinedSite, TransportError> {
        (self.join)().await
    }

    async fn ask(
        &self,
        _: SiteId,
        _: OperationName,
        _: Box<RawValue>,
    ) -> Result<Outcome, AskError> {
        self.answer.clone()
    }

    fn wake(&self) {}

    async fn settle(&self, _: bool) {}

    fn state(&self) -> PeerServerState {
        PeerServerState::Running
    }
}

impl super::TestSite {
    /// A site with the person ada and a peer server, and its peer with the zone `b.example`.
    pub async fn with_peer() -> (Self, Arc<TestPeer>) {
        let test = Self::new().await;
        test.admin("person.create", json!({ "name": "ada" })).await;
        test.starts_peer_server().await;
        let peer = test.peer("ada").await;
        (test, peer)
    }

    /// Takes enrolments, and starts a peer server. Every ticket leads to the site `any.example`.
    pub async fn starts_peer_server(&self) {
        self.takes_enrolments();
        let any = TestPeer::new("any.example");
        self.site.connect_peers_with(Arc::new(any));
        self.admin("peer.start", json!({})).await;
    }

    /// A peer with the zone `b.example`, introduced by this person.
    pub async fn peer(&self, person: &str) -> Arc<TestPeer> {
        self.joined_by(TestPeer::new("b.example"), person).await
    }

    /// This site as a peer, introduced by this person.
    pub async fn joined_by(&self, peer: TestPeer, person: &str) -> Arc<TestPeer> {
        let peer = Arc::new(peer);
        self.introduce(&peer, person).await;
        peer
    }

    /// Makes a site a peer, introduced by this person.
    pub async fn introduce(&self, peer: &TestPeer, person: &str) {
        let issued = self.admin("peer.ticket", json!({ "person": person })).await;
        let ticket = issued["uri"].as_str().unwrap().parse().unwrap();
        peer.join(&self.site, &ticket, self.now()).await.unwrap();
    }
}
