//! Simulates two sites that are peers: their people send messages while lines are lost, sent twice and
//! overtaken, sites restart and replace their keys, clocks are an hour apart and set, and commits fail.
//! Whatever happens, each message arrives once, in its order, and no honest connection is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_core::access::Caller;
use countersign_core::engine::{DeliveryReport, NewPeerConnection, PeerConnection, Site};
use countersign_core::sessions::CutHook;
use countersign_core::store::MemoryStore;
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_proto::site_identity::SiteId;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, PEER_SOURCE, TestSite, run_at};
use countersign_testkit::simulator::Choices;
use serde_json::{Value, json};

use crate::direct::Direct;
use crate::seeds::seeds;

const ZONES: [&str; 2] = ["a.example", "b.example"];
/// The persons of each site.
const PERSONS: [&str; 2] = ["ada", "bob"];
const STEPS: usize = 150;

/// How often each kind of event occurred.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    sent: usize,
    connections: usize,
    lost: usize,
    twice: usize,
    restarts: usize,
    rotations: usize,
    faults: usize,
}

/// One of the two sites, as a process: a restart makes another one over the same store.
struct Side {
    test: TestSite,
    site: Site,
    store: Arc<FaultyStore>,
    now: Timestamp,
    /// The open connection with the other site, whose caller is that site.
    connection: Option<PeerConnection>,
}

impl Side {
    async fn new(zone: &str, fault: Fault, now: Timestamp) -> Self {
        let memory = MemoryStore::default();
        let store = Arc::new(FaultyStore::new(Arc::new(memory.reopened()), fault));
        let builder = TestSite::builder().memory(memory, store.clone());
        let test = builder.zone(zone).build().await;
        test.takes_enrolments();
        for person in PERSONS {
            test.admin("person.create", json!({ "name": person })).await;
        }
        let site = test.site.clone();
        Self {
            test,
            site,
            store,
            now,
            connection: None,
        }
    }

    fn id(&self) -> SiteId {
        self.site.id()
    }

    async fn admin(&self, name: &str, params: Value) -> Value {
        let caller = Caller::admin_socket();
        let (code, data) = run_at(&self.site, &caller, name, params, self.now).await;
        assert_eq!(code, Code::SUCCESS, "{name}: {data}");
        data
    }

    /// The texts from one person of the other site in the inbox of a person.
    async fn received(&self, to: &str, from: &str) -> Vec<String> {
        let params = json!({ "person": to, "limit": 1_000 });
        let inbox = self.admin("peer.inbox", params).await;
        let entries = inbox["entries"].as_array().unwrap().iter();
        let text = |entry: &Value| entry["text"].as_str().unwrap().to_owned();
        entries
            .filter(|entry| entry["from"] == from)
            .map(text)
            .collect()
    }

    /// When nothing that a peer asked to wait is held any more.
    fn later(&self) -> Timestamp {
        self.now.plus_seconds(3_600)
    }

    async fn is_done(&self, other: SiteId) -> bool {
        let waiting = self.site.messages_for(other, self.later()).await.unwrap();
        waiting.messages.is_empty()
    }
}

/// A line on its way.
#[derive(Clone)]
enum Line {
    /// `peer deliver` with these parameters.
    Batch(Value),
    Reports(Vec<DeliveryReport>),
}

struct Peers {
    sides: [Side; 2],
    choices: Choices,
    /// Lines on their way, with the site to which they go.
    wire: Vec<(usize, Line)>,
    /// The texts that were sent, by site, sender and recipient.
    sent: BTreeMap<(usize, usize, usize), Vec<String>>,
    /// Whether the connection is open at both ends.
    is_live: Arc<AtomicBool>,
    counts: Counts,
}

impl Peers {
    async fn new(seed: u64) -> Self {
        let mut choices = Choices::seeded(seed);
        let fault = Fault::REPORTED[choices.below(2)];
        // The clocks are an hour apart.
        let ahead = NOW.plus_seconds(3_600);
        let sides = [
            Side::new(ZONES[0], fault, NOW).await,
            Side::new(ZONES[1], fault, ahead).await,
        ];
        let peers = Self {
            sides,
            choices,
            wire: Vec::new(),
            sent: BTreeMap::new(),
            is_live: Arc::default(),
            counts: Counts::default(),
        };
        for (side, other) in [(0, 1), (1, 0)] {
            peers.sides[side].site.connect_peers_with(Arc::new(Direct {
                own: peers.sides[side].site.clone(),
                other: peers.sides[other].site.clone(),
            }));
            peers.sides[side].test.admin("peer.start", json!({})).await;
        }
        // Each person introduced the sites, so that either may be presented.
        let [a, b] = &peers.sides;
        let issued = a
            .test
            .admin("peer.ticket", json!({ "person": "ada" }))
            .await;
        let join = json!({ "ticket": issued["uri"], "person": "bob" });
        b.test.admin("peer.join", join).await;
        peers
    }

    async fn step(&mut self) {
        match self.choices.below(20) {
            0..5 => self.send().await,
            5..8 => self.batch().await,
            8..14 => self.arrive().await,
            14 => self.lose(),
            15 => self.connect().await,
            16 => self.pass_time(),
            17 => self.is_live.store(false, Ordering::SeqCst),
            18 => self.restart().await,
            _ => self.rotate().await,
        }
        if !self.is_live.load(Ordering::SeqCst) {
            self.close();
        }
    }

    async fn send(&mut self) {
        let [side, from, to] = [(); 3].map(|()| self.choices.below(2));
        let texts = self.sent.entry((side, from, to)).or_default();
        let text = format!("{} of {} to {}", texts.len(), PERSONS[from], PERSONS[to]);
        texts.push(text.clone());
        let to = format!("{}@{}", PERSONS[to], ZONES[1 - side]);
        let params = json!({ "from": PERSONS[from], "to": to, "text": text });
        self.sides[side].admin("peer.send", params).await;
        self.counts.sent += 1;
    }

    /// A site sends what waits, whether or not it sent that before.
    async fn batch(&mut self) {
        let from = self.choices.below(2);
        let other = self.sides[1 - from].id();
        let side = &self.sides[from];
        let batch = side.site.messages_for(other, side.now).await.unwrap();
        if !batch.messages.is_empty() {
            let params = serde_json::to_value(&batch).unwrap();
            self.wire.push((1 - from, Line::Batch(params)));
        }
    }

    /// Any of the lines arrives, perhaps again.
    async fn arrive(&mut self) {
        if self.wire.is_empty() {
            return;
        }
        let at = self.choices.below(self.wire.len());
        let (to, line) = match self.choices.one_in(4) {
            true => {
                self.counts.twice += 1;
                self.wire[at].clone()
            }
            false => self.wire.swap_remove(at),
        };
        let is_faulty = self.choices.one_in(8);
        if is_faulty {
            self.counts.faults += 1;
            let before = self.choices.below(3);
            self.sides[to].store.break_after(before, 1);
        }
        match line {
            Line::Batch(params) => self.deliver(to, params).await,
            Line::Reports(reports) => {
                let side = &self.sides[to];
                let other = self.sides[1 - to].id();
                let stored = side.site.messages_reported(other, &reports, side.now).await;
                assert!(is_faulty || stored.is_ok(), "{stored:?}");
            }
        }
        self.sides[to].store.break_after(usize::MAX, 0);
    }

    /// A site takes a batch, sometimes over two connections at once, and reports.
    async fn deliver(&mut self, to: usize, params: Value) {
        let side = &self.sides[to];
        let Some(connection) = &side.connection else {
            self.counts.lost += 1;
            return;
        };
        let deliver = || {
            let params = params.clone();
            run_at(
                &side.site,
                &connection.caller,
                "peer.deliver",
                params,
                side.now,
            )
        };
        let outcomes = match self.choices.one_in(4) {
            true => <[_; 2]>::from(tokio::join!(deliver(), deliver())).to_vec(),
            false => vec![deliver().await],
        };
        for (code, data) in outcomes {
            // Otherwise the store failed, and the sender knows nothing.
            if code == Code::SUCCESS {
                let reports = serde_json::from_value(data["reports"].clone()).unwrap();
                self.wire.push((1 - to, Line::Reports(reports)));
            } else {
                assert!(
                    matches!(code, Code::INTERNAL | Code::BUSY),
                    "{code:?}: {data}"
                );
            }
        }
    }

    fn lose(&mut self) {
        if !self.wire.is_empty() {
            let at = self.choices.below(self.wire.len());
            self.wire.swap_remove(at);
            self.counts.lost += 1;
        }
    }

    fn pass_time(&mut self) {
        for side in &mut self.sides {
            let seconds = u32::try_from(self.choices.below(60)).unwrap();
            side.now = side.now.plus_seconds(seconds);
        }
        // An operator sets a clock back.
        if self.choices.one_in(8) {
            let side = &mut self.sides[self.choices.below(2)];
            side.now = Timestamp::from_millis(side.now.millis() - 600_000);
        }
    }

    async fn restart(&mut self) {
        let at = self.choices.below(2);
        self.is_live.store(false, Ordering::SeqCst);
        self.close();
        let side = &mut self.sides[at];
        side.site = side.test.unsealed().await;
        self.counts.restarts += 1;
    }

    async fn rotate(&mut self) {
        if !self.choices.one_in(3) {
            return;
        }
        let side = &self.sides[self.choices.below(2)];
        let file = json!({ "slot_file": side.test.slot.to_text().expose() });
        let params = json!({ "secrets": [file], "slots": [file] });
        side.admin("site.key_new", params).await;
        self.counts.rotations += 1;
    }

    fn close(&mut self) {
        for side in &mut self.sides {
            if let Some(connection) = side.connection.take() {
                drop(connection);
            }
        }
    }

    /// One of the sites connects to the other, which has its newest key.
    async fn connect(&mut self) {
        self.is_live.store(false, Ordering::SeqCst);
        self.close();
        let from = self.choices.below(2);
        self.is_live = Arc::new(AtomicBool::new(true));
        let cut = || -> CutHook {
            let is_live = self.is_live.clone();
            Box::new(move |_| is_live.store(false, Ordering::SeqCst))
        };
        let (dials, accepts) = (&self.sides[from], &self.sides[1 - from]);
        let plan = dials.site.peer_plan(accepts.id(), dials.now).await.unwrap();
        let plan = plan.unwrap();
        let events = accepts.site.key_events();
        let key = accepts.site.public_key().signing;
        if plan.known.keys().signing != key {
            // The handshake failed: it asks for the key events.
            let followed = dials
                .site
                .follow_key_events(accepts.id(), &events, dials.now);
            let known = followed.await.unwrap().known().unwrap();
            assert_eq!(known.keys().signing, key);
        }
        let new = NewPeerConnection {
            hello: plan.hello,
            key: dials.site.public_key().signing,
            source: PEER_SOURCE,
            cut: cut(),
        };
        let opened = accepts.site.open_peer(new, accepts.now).await.unwrap();
        let opened = opened.unwrap();
        let reached = dials
            .site
            .peer_reached(accepts.id(), key, &events, cut(), dials.now)
            .await
            .unwrap();
        self.sides[from].connection = Some(reached.unwrap());
        self.sides[1 - from].connection = Some(opened);
        self.counts.connections += 1;
    }

    /// What arrived is the beginning of what was sent.
    async fn check(&self, seed: u64, is_complete: bool) {
        for ((side, from, to), sent) in &self.sent {
            let sender = format!("{}@{}", PERSONS[*from], ZONES[*side]);
            let received = self.sides[1 - side].received(PERSONS[*to], &sender).await;
            let expected = match is_complete {
                true => &sent[..],
                false => &sent[..received.len().min(sent.len())],
            };
            assert_eq!(received, expected, "seed {seed}");
        }
    }

    /// Everything arrives once nothing is lost any more.
    async fn settle(&mut self, seed: u64) {
        self.wire.clear();
        let ids = [self.sides[0].id(), self.sides[1].id()];
        for _ in 0..1_000 {
            if self.sides[0].is_done(ids[1]).await && self.sides[1].is_done(ids[0]).await {
                return;
            }
            if !self.is_live.load(Ordering::SeqCst) || self.sides[0].connection.is_none() {
                self.connect().await;
            }
            for from in [0, 1] {
                let side = &self.sides[from];
                let batch = side.site.messages_for(ids[1 - from], side.later()).await;
                let params = serde_json::to_value(batch.unwrap()).unwrap();
                self.deliver(1 - from, params).await;
            }
            for (to, line) in std::mem::take(&mut self.wire) {
                if let Line::Reports(reports) = line {
                    let side = &self.sides[to];
                    let stored = side.site.messages_reported(ids[1 - to], &reports, side.now);
                    stored.await.unwrap();
                }
            }
            for side in &mut self.sides {
                side.now = side.now.plus_seconds(10);
            }
        }
        panic!("seed {seed}: messages wait for ever");
    }
}

// PEER-15, PEER-20, PEER-22
#[tokio::test]
async fn peers_get_each_message_once_and_in_order_under_loss_duplication_restarts_and_rotations() {
    let seeds = seeds(8);
    let mut total = Counts::default();
    for seed in 0..seeds {
        let mut peers = Peers::new(seed).await;
        for step in 0..STEPS {
            peers.step().await;
            if step % 25 == 0 {
                peers.check(seed, false).await;
            }
        }
        peers.settle(seed).await;
        peers.check(seed, true).await;
        for side in &peers.sides {
            let listed = side.admin("peer.list", json!({})).await;
            assert_eq!(listed["entries"][0]["state"], "active", "seed {seed}");
            let outbox = side.admin("peer.outbox", json!({ "person": "ada" })).await;
            assert_eq!(outbox["entries"], json!([]), "seed {seed}");
        }
        total.add(peers.counts);
    }
    let least = usize::try_from(seeds).unwrap();
    let Counts {
        sent,
        connections,
        lost,
        twice,
        restarts,
        rotations,
        faults,
    } = total;
    // The seeds have to cause enough of each event.
    for count in [sent, connections, lost, twice, restarts, rotations, faults] {
        assert!(count >= least, "{total:?}");
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.connections += other.connections;
        self.lost += other.lost;
        self.twice += other.twice;
        self.restarts += other.restarts;
        self.rotations += other.rotations;
        self.faults += other.faults;
    }
}
