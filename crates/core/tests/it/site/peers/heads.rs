//! Heads of audit logs between peers, at a site without listeners.

use std::sync::Arc;

use countersign_core::engine::{HeadReply, HeadState, OfferedHead, PeerConnection, PeerProblem};
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_proto::peer::{AuditHead, AuditReceipt, SignedAuditHead, WitnessedHead};
use countersign_proto::site_identity::SiteId;
use countersign_testkit::harness::{TestPeer, TestSite, run_at};
use serde_json::{Value, json};

/// The time between two heads, in milliseconds: four minutes.
const HEAD_EVERY: u64 = 240_000;

/// A site with the person ada and a peer server, its peer, and a connection of the peer.
pub(crate) struct Scene {
    pub(crate) test: TestSite,
    pub(crate) peer: Arc<TestPeer>,
    connection: PeerConnection,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let (test, peer) = TestSite::with_peer().await;
        test.person("root", "admin").await;
        let connection = peer.connect(&test.site, test.now()).await.unwrap();
        Self {
            test,
            peer,
            connection,
        }
    }

    pub(crate) fn id(&self) -> SiteId {
        self.peer.known().id()
    }

    /// The peer sends a head.
    async fn sends(&self, head: SignedAuditHead) -> (Code, Value) {
        let (site, caller) = (&self.test.site, &self.connection.caller);
        let params = json!({ "head": head });
        run_at(site, caller, "peer.audit_head", params, self.test.now()).await
    }

    /// What the site does with a head of the peer.
    pub(crate) async fn state(&self, head: SignedAuditHead) -> String {
        let (code, data) = self.sends(head).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
        data["state"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn alarms(&self) -> Vec<String> {
        self.test
            .site
            .raise_reported(self.test.now())
            .await
            .unwrap();
        let listed = self.test.admin("alarm.list", json!({})).await;
        let alarms = listed["entries"].as_array().unwrap().iter();
        alarms
            .map(|alarm| alarm["key"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The head that the site offers to the peer after a verification asked for it.
    async fn offered(&self) -> OfferedHead {
        self.verify().await;
        let offered = self.test.site.head_for(self.id(), self.test.now()).await;
        offered.unwrap().unwrap()
    }

    /// A head of the site's log that the site signed, with the peer's receipt.
    fn witnessed(&self, seq: u64, hash: [u8; 32], time: i64) -> WitnessedHead {
        let keys = self.test.site.unsealed_keys().unwrap();
        let head = AuditHead {
            site: self.test.site.id(),
            event: keys.events.last().unwrap().event().number,
            seq,
            hash,
            time,
        };
        let head = SignedAuditHead::new(head, &keys.key);
        WitnessedHead {
            head,
            receipt: self.receipt(&head),
        }
    }

    fn receipt(&self, head: &SignedAuditHead) -> AuditReceipt {
        let event = self.peer.events.last().unwrap().event().number;
        let time = self.test.now().millis();
        AuditReceipt::new(head, (self.id(), event), &self.peer.key(), time)
    }

    async fn answered(&self, offered: &OfferedHead, reply: HeadReply) {
        let now = self.test.now();
        let stored = self
            .test
            .site
            .head_answered(self.id(), offered, reply, now)
            .await;
        stored.unwrap();
    }

    async fn verify(&self) -> Value {
        self.test
            .admin("audit.verify", json!({ "peers": true }))
            .await
    }
}

fn countersigned(receipt: AuditReceipt) -> HeadReply {
    HeadReply {
        state: HeadState::Countersigned,
        receipt: Some(receipt),
        held: Vec::new(),
    }
}

fn contradicted(held: Vec<WitnessedHead>) -> HeadReply {
    HeadReply {
        state: HeadState::Contradicted,
        receipt: None,
        held,
    }
}

// PEER-26, PEER-28
#[tokio::test]
async fn a_head_that_goes_back_or_forks_is_not_countersigned_and_raises_an_alarm() {
    let scene = Scene::new().await;
    // The newest head that is held is returned as evidence.
    for (seq, hash, state, held) in [
        (5, 1, "countersigned", 0),
        (5, 1, "countersigned", 1),
        (5, 2, "contradicted", 1),
        (4, 1, "contradicted", 1),
        (6, 3, "countersigned", 1),
    ] {
        let (code, data) = scene.sends(scene.peer.head(seq, hash, 10)).await;
        assert_eq!((code, &data["state"]), (Code::SUCCESS, &json!(state)));
        assert_eq!(data["held"].as_array().unwrap().len(), held, "{data}");
    }
    let log = format!("peer audit log {}", scene.id());
    assert_eq!(scene.alarms().await, [log]);
    // The audit log has both signed heads.
    let entries = scene.test.audit().await;
    let mut failed = entries.iter().filter(|entry| entry["outcome"] == "failed");
    let entry = failed.next().unwrap();
    assert_eq!(entry["operation"], "peer.audit_head");
    let [head, other] = ["head", "contradicted"].map(|name| {
        let text = entry["details"][name].as_str().unwrap().to_owned();
        let signed = SignedAuditHead::try_from(text).unwrap();
        signed.verify(&scene.peer.key().public().signing).unwrap();
        (signed.head().seq, signed.head().hash[0])
    });
    assert_eq!((head, other), ((5, 2), (5, 1)));
}

// PEER-28
#[tokio::test]
async fn a_delayed_head_is_not_countersigned_and_raises_no_alarm() {
    let scene = Scene::new().await;
    assert_eq!(
        scene.state(scene.peer.head(9, 9, 20)).await,
        "countersigned"
    );
    assert_eq!(scene.state(scene.peer.head(8, 8, 10)).await, "older");
    assert_eq!(scene.alarms().await, Vec::<String>::new());
    // A head with the number of a stored one shows a fork, whenever it was signed.
    assert_eq!(scene.state(scene.peer.head(9, 8, 10)).await, "contradicted");
}

// PEER-26
#[tokio::test]
async fn a_head_of_another_site_or_an_older_key_is_refused() {
    let scene = Scene::new().await;
    let other = TestPeer::new("c.example");
    let of_other = other.head(9, 1, 0);
    // It names the peer, and is signed by another site.
    let forged = AuditHead {
        site: scene.id(),
        ..*of_other.head()
    };
    let forged = SignedAuditHead::new(forged, &other.key());
    for head in [of_other, forged] {
        assert_eq!(scene.sends(head).await.0, Code::NOT_PERMITTED);
    }
    let newer = scene.peer.rotated();
    let connection = newer.connect(&scene.test.site, scene.test.now()).await;
    let scene = Scene {
        connection: connection.unwrap(),
        ..scene
    };
    let older = scene.peer.head(9, 1, 0);
    assert_eq!(scene.sends(older).await.0, Code::NOT_PERMITTED);
    let newest = newer.head(9, 1, 0);
    assert_eq!(scene.sends(newest).await.0, Code::SUCCESS);
}

// PEER-19
#[tokio::test]
async fn a_peer_without_the_permission_in_lockdown_or_suspended_has_no_head_countersigned() {
    let peer = || json!({ "peer": "b.example" });
    for (operation, params) in [
        (
            "peer.permit",
            json!({ "peer": "b.example", "allows": ["messages"] }),
        ),
        (
            "lockdown.peer",
            json!({ "peer": "b.example", "reason": "test" }),
        ),
        ("lockdown.site", json!({ "level": "all" })),
        ("peer.suspend", peer()),
        ("peer.remove", peer()),
        ("site.seal", json!({})),
    ] {
        let scene = Scene::new().await;
        scene.test.admin(operation, params).await;
        let (code, data) = scene.sends(scene.peer.head(5, 1, 0)).await;
        assert_ne!(code, Code::SUCCESS, "{operation}: {data}");
    }
}

// PEER-31
#[tokio::test]
async fn a_peer_that_floods_a_site_with_heads_is_refused_and_costs_few_entries() {
    let scene = Scene::new().await;
    let mut done = 0;
    for seq in 1..=100 {
        let (code, _) = scene.sends(scene.peer.head(seq, 1, 0)).await;
        done += u32::from(code == Code::SUCCESS);
    }
    assert_eq!(done, 16);
}

// PEER-28
#[tokio::test]
async fn of_two_forks_that_come_at_once_one_is_countersigned() {
    let scene = Scene::new().await;
    let [one, other] = [1, 2].map(|hash| scene.state(scene.peer.head(5, hash, 0)));
    let (one, other) = tokio::join!(one, other);
    let mut states = [one, other];
    states.sort_unstable();
    assert_eq!(states, ["contradicted", "countersigned"]);
}

// PEER-27
#[tokio::test]
async fn a_head_is_due_after_some_minutes_and_at_once_after_a_lockdown_or_a_new_key() {
    let scene = Scene::new().await;
    let site = &scene.test.site;
    let due = async |now: Timestamp| site.peers_awaited(now).await.unwrap() == [scene.id()];
    let start = scene.test.now();
    assert!(!due(start).await);
    assert!(!due(start.plus_millis(HEAD_EVERY - 1)).await);
    assert!(due(start.plus_millis(HEAD_EVERY)).await);
    let later = start.plus_millis(HEAD_EVERY);
    let send = async |now: Timestamp| {
        let offered = site.head_for(scene.id(), now).await.unwrap().unwrap();
        let receipt = scene.receipt(&offered.offer.head);
        let reply = countersigned(receipt);
        let stored = site.head_answered(scene.id(), &offered, reply, now).await;
        stored.unwrap();
        offered.offer
    };
    // After a start, the peer returns all that it holds.
    assert!(send(later).await.all);
    assert!(!due(later).await);
    assert_eq!(site.head_for(scene.id(), later).await, Ok(None));
    let file = json!({ "slot_file": scene.test.slot.to_text().expose() });
    for (operation, params) in [
        ("lockdown.site", json!({ "level": "enrolment" })),
        ("lockdown.lift", json!({ "site": true })),
        (
            "site.key_new",
            json!({ "secrets": [file], "slots": [file] }),
        ),
    ] {
        scene.test.admin(operation, params).await;
        assert!(due(later).await, "{operation}");
        send(later).await;
        assert!(!due(later).await, "{operation}");
    }
    let entry = scene.test.audit().await.pop().unwrap();
    assert_eq!(entry["operation"], "peer.countersigned");
}

// PEER-30
#[tokio::test]
async fn a_log_that_is_as_the_peer_saw_it_is_confirmed_up_to_the_last_receipt() {
    let scene = Scene::new().await;
    let verified = scene.verify().await;
    assert_eq!(verified["peers"][0]["answered"], false);
    assert_eq!(verified["peers"][0]["heads"], 0);
    let offered = scene.offered().await;
    let head = offered.offer.head;
    let receipt = scene.receipt(&head);
    scene.answered(&offered, countersigned(receipt)).await;
    let verified = scene.verify().await;
    assert_eq!(verified["intact"], true);
    assert_eq!(verified["peers"][0]["confirmed"], head.head().seq);
    assert_eq!(verified["peers"][0]["zone"], "b.example");
    assert_eq!(scene.alarms().await, Vec::<String>::new());
}

// PEER-30
#[tokio::test]
async fn a_head_that_the_log_lacks_is_named_with_the_peer_that_saw_it() {
    for (seq, problem) in [(2, "altered"), (1_000, "missing")] {
        let scene = Scene::new().await;
        let offered = scene.offered().await;
        let held = scene.witnessed(seq, [9; 32], 0);
        scene.answered(&offered, contradicted(vec![held])).await;
        let verified = scene.verify().await;
        assert_eq!(verified["intact"], false);
        let witness = &verified["peers"][0];
        assert_eq!(witness["peer"], scene.id().to_string());
        assert_eq!(witness["differs"]["problem"], problem);
        assert_eq!(witness["differs"]["head"], seq);
        assert_eq!(witness["confirmed"], 0);
        let log = format!("peer own audit log {}", scene.id());
        assert_eq!(scene.alarms().await, [log]);
        // A peer that was removed is a witness still.
        scene
            .test
            .admin("peer.remove", json!({ "peer": "b.example" }))
            .await;
        let verified = scene.verify().await;
        assert_eq!(verified["intact"], false);
        assert_eq!(verified["peers"][0]["problem"], "it is removed");
    }
}

// PEER-29
#[tokio::test]
async fn a_head_that_the_site_did_not_sign_or_the_peer_did_not_see_proves_nothing() {
    let scene = Scene::new().await;
    let offered = scene.offered().await;
    let right = scene.witnessed(2, [9; 32], 0);
    let other = TestPeer::new("c.example");
    let forged = SignedAuditHead::new(*right.head.head(), &other.key());
    let held = vec![
        WitnessedHead {
            head: forged,
            receipt: scene.receipt(&forged),
        },
        WitnessedHead {
            receipt: scene.receipt(&forged),
            ..right
        },
        WitnessedHead {
            receipt: AuditReceipt::new(&right.head, (scene.id(), 0), &other.key(), 0),
            ..right
        },
        WitnessedHead {
            receipt: AuditReceipt::new(&right.head, (scene.id(), 1), &scene.peer.key(), 0),
            ..right
        },
    ];
    scene.answered(&offered, contradicted(held)).await;
    let verified = scene.verify().await;
    assert_eq!(verified["intact"], true);
    assert_eq!(verified["peers"][0]["heads"], 0);
    assert_eq!(scene.alarms().await, Vec::<String>::new());
}

// PEER-29
#[tokio::test]
async fn a_head_that_a_thief_of_the_own_key_signed_proves_nothing_after_the_recovery() {
    let scene = Scene::new().await;
    let stolen = scene.test.now();
    let offered = scene.offered().await;
    // It was signed before the theft, as the thief says; the peer saw it afterwards.
    let mut forged = scene.witnessed(1_000, [9; 32], 0);
    let seen = stolen.plus_seconds(2).millis();
    forged.receipt = AuditReceipt::new(&forged.head, (scene.id(), 0), &scene.peer.key(), seen);
    scene.answered(&offered, contradicted(vec![forged])).await;
    assert_eq!(scene.verify().await["intact"], false);
    let file = json!({ "slot_file": scene.test.slot.to_text().expose() });
    let since = stolen.to_string();
    let rotate = json!({ "secrets": [file], "slots": [file], "compromised_since": since });
    scene.test.admin("site.key_new", rotate).await;
    assert_eq!(scene.verify().await["intact"], true);
}

// PEER-27
#[tokio::test]
async fn a_verification_says_why_a_peer_did_not_reply() {
    let scene = Scene::new().await;
    let offered = scene.offered().await;
    let (site, now) = (&scene.test.site, scene.test.now());
    site.head_refused(scene.id(), &offered, (Code::NOT_PERMITTED, None), now);
    let problem = scene.verify().await["peers"][0]["problem"].clone();
    assert!(
        problem
            .as_str()
            .unwrap()
            .contains("`countersign peer permit`")
    );
    let why = "no route".to_owned();
    site.peer_problem(scene.id(), PeerProblem::Unreachable { why }, now);
    let problem = scene.verify().await["peers"][0]["problem"].clone();
    assert!(problem.as_str().unwrap().contains("no route"));
    scene
        .test
        .admin("peer.suspend", json!({ "peer": "b.example" }))
        .await;
    // A suspended peer that countersigned nothing has nothing to say.
    assert_eq!(scene.verify().await["peers"], json!([]));
}
