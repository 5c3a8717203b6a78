//! One case for each operation that changes something or is audited, and the scenes that they need.

use std::sync::{LazyLock, OnceLock};

use countersign_core::access::Caller;
use countersign_core::engine::{DeliveryResult, Entry};
use countersign_core::operations;
use countersign_core::sessions::CloseReason;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::passphrase::ClientRegistration;
use countersign_crypto::rsa::RsaKey;
use countersign_crypto::secret::Passphrase;
use countersign_proto::operation::Code;
use countersign_proto::session::{EncryptionOption, SessionId, fresh};
use countersign_testkit::harness::{NOW, certificate, finish_registration, party, run, stays_open};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::scene::Scene;

/// The audited operations without a case, each with the reason.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "site.backup",
    "a store in memory cannot be copied, and the operation only reads after its audit entry",
)];

/// A private key of edition v1. Made once, because generating it takes long.
static V1_KEY: LazyLock<String> = LazyLock::new(|| RsaKey::generate().unwrap().expose().to_owned());

/// An operation that changes something.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) params: Value,
    /// What happens before.
    steps: Vec<Step>,
    /// The session that the change ends.
    pub(super) ends: Option<(&'static str, CloseReason)>,
    /// An operation that shows the change, and its codes with and without the change.
    pub(super) shown_by: Option<(&'static str, Value, [Code; 2])>,
}

/// A step that prepares a scene.
enum Step {
    /// The admin runs an operation.
    Run(&'static str, Value),
    /// Maria makes a fresh proof.
    Proof,
    /// Maria starts a fresh proof; the case finishes it.
    Challenge,
    /// A registration of a pass phrase starts; the case finishes it.
    Registration,
    /// The person bob is exported and deleted; the case imports him.
    Dump,
    /// The site restarts and is sealed.
    Restart,
    /// The admin runs an operation; the case names the object that it made, as `id`.
    Made(&'static str, Value),
    /// The case names the oldest key of the broker.
    OldestBrokerKey,
    /// The peer connects.
    PeerConnects,
    /// The mail server rejects a message to maria for good.
    DeadDelivery,
}

impl Case {
    fn new(name: &'static str, params: Value) -> Self {
        Self {
            name,
            params,
            steps: Vec::new(),
            ends: None,
            shown_by: None,
        }
    }

    fn after(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps.extend(steps);
        self
    }

    fn ends(mut self, session: &'static str, reason: CloseReason) -> Self {
        self.ends = Some((session, reason));
        self
    }

    fn shown_by(mut self, name: &'static str, params: Value, made: Code, other: Code) -> Self {
        self.shown_by = Some((name, params, [made, other]));
        self
    }

    /// Returns the caller: maria for the operations of an account on itself, else the admin.
    pub(super) fn caller(&self, scene: &Scene) -> Caller {
        if [
            "peer.deliver",
            "peer.audit_head",
            "peer.address",
            "broker.foreign_void",
        ]
        .contains(&self.name)
        {
            return scene.peer_caller.clone().unwrap();
        }
        match self.name.starts_with("self.") || self.name == "alarm.test" {
            true => scene.own.caller.clone(),
            false => Caller::admin_socket(),
        }
    }

    /// Prepares the scene and completes the parameters.
    pub(super) async fn prepare(&mut self, scene: &mut Scene) {
        for step in std::mem::take(&mut self.steps) {
            match step {
                Step::Run(name, params) => {
                    scene.test.admin(name, params).await;
                }
                Step::Proof => {
                    let signature = challenge(scene).await;
                    run_own(scene, "self.proof_finish", signature).await;
                }
                Step::Challenge => self.params = challenge(scene).await,
                Step::Registration => {
                    let finish = self.registration(scene).await;
                    let params = self.params.as_object_mut().unwrap();
                    params.extend(finish.as_object().unwrap().clone());
                }
                Step::Dump => {
                    let bob = json!({ "name": "bob" });
                    let dump = scene.test.admin("person.dump", bob.clone()).await;
                    scene.test.admin("person.delete", bob).await;
                    self.params = json!({ "dump": dump.to_string() });
                }
                Step::Restart => scene.test.site = scene.test.restarted().await,
                Step::Made(name, params) => {
                    let made = scene.test.admin(name, params).await;
                    self.params["id"] = made["id"].clone();
                }
                Step::OldestBrokerKey => {
                    let listed = scene.test.admin("broker.key_list", json!({})).await;
                    let oldest = listed["keys"].as_array().unwrap().last().unwrap();
                    self.params = json!({ "fingerprint": oldest["fingerprint"] });
                }
                Step::PeerConnects => {
                    let connected = scene.peer.connect(&scene.test.site, NOW).await;
                    scene.peer_caller = Some(stays_open(connected.unwrap()));
                }
                Step::DeadDelivery => reject_message(scene).await,
            }
        }
    }

    /// Starts a registration and returns the parameters that finish it.
    async fn registration(&self, scene: &Scene) -> Value {
        static RECORD: OnceLock<Value> = OnceLock::new();
        let phrase = Passphrase::from("a fine pass phrase".to_owned());
        let (registration, request) = request(&phrase);
        let mut params = self.params.clone();
        params["request"] = request;
        let start = self.name.replace("finish", "start");
        let (code, started) = run(&scene.test.site, &self.caller(scene), &start, params).await;
        assert_eq!(code, Code::SUCCESS, "{started}");
        // The site cannot tell that the record belongs to another registration. Computing one takes
        // long.
        let record = RECORD.get_or_init(|| finish_registration(registration, &phrase, &started));
        let mut finish = record.clone();
        finish["setup"] = started["setup"].clone();
        finish["binding"] = started["binding"].clone();
        finish
    }
}

fn request(phrase: &Passphrase) -> (ClientRegistration, Value) {
    let (registration, request) = ClientRegistration::start(phrase, &mut SystemEntropy).unwrap();
    (registration, BASE64URL_NOPAD.encode(&request).into())
}

/// Starts a fresh proof of maria's delivered key and returns the parameters that finish it.
async fn challenge(scene: &Scene) -> Value {
    let started = run_own(scene, "self.proof_start", json!({})).await;
    let challenge = started["challenge"].as_str().unwrap().as_bytes();
    let challenge = BASE64URL_NOPAD.decode(challenge).unwrap();
    let session = SessionId(*scene.own.info.id.as_bytes());
    let site = scene.test.site.id();
    let message = fresh::key_message(&site, &session, &challenge.try_into().unwrap());
    let signature = Scene::identity().sign(&message).0;
    json!({ "signature": BASE64URL_NOPAD.encode(&signature) })
}

async fn run_own(scene: &Scene, name: &str, params: Value) -> Value {
    let (code, data) = run(&scene.test.site, &scene.own.caller, name, params).await;
    assert_eq!(code, Code::SUCCESS, "{name}: {data}");
    data
}

/// Raises an alarm for maria and rejects its message.
async fn reject_message(scene: &Scene) {
    scene.test.admin("alarm.raise", alarm()).await;
    let due = scene.test.site.due_deliveries(NOW, 100).await.unwrap();
    let rejected = DeliveryResult::Rejected {
        error: "550 no such mailbox".to_owned(),
    };
    for message in due {
        let site = &scene.test.site;
        assert!(
            site.delivered(message.message_id, &rejected, NOW)
                .await
                .unwrap()
        );
    }
}

/// Returns the parameters that raise an alarm for maria.
fn alarm() -> Value {
    json!({ "to": "maria", "severity": "warning", "text": "The disk is nearly full.", "key": "disk" })
}

/// Returns the cases. Their parameters refer to this scene.
pub(super) fn cases(scene: &Scene) -> Vec<Case> {
    let case = Case::new;
    let named = |name: &str| json!({ "name": name });
    let ledger = || json!({ "id": "ledger" });
    let key = || party().public().to_pem();
    let option = EncryptionOption::HybridAes256Gcm.name();
    let other = EncryptionOption::HybridChaCha20Poly1305.name();
    let mailer = json!({ "name": "mailer", "certificate": certificate().0 });
    let service = || Step::Run("service.create", json!({ "name": "queue" }));
    let token = || json!({ "service": "queue", "operations": ["alarm.raise"] });
    let request = || request(&Passphrase::from("a fine pass phrase".to_owned())).1;
    let peer = || json!({ "peer": "b.example" });
    let site_id = scene.peer.known().id();
    let audit_head = json!({ "head": scene.peer.head(7, 7, 0) });
    let ticket = scene.other_site.ticket();
    let ticket = ticket.to_uri().expose().to_owned();
    let message = || json!({ "from": "maria", "to": "bob@b.example", "text": "Hello." });
    let delivered = json!({
        "id": "019523d0-5c00-7000-8000-000000000000",
        "number": 1,
        "from": "bob@b.example",
        "to": "maria@example.org",
        "text": "Hello.",
        "sent": NOW,
    });
    let unseal = json!({ "slot_file": scene.test.slot.to_text().expose() });
    vec![
        case("person.create", named("bob")),
        case("person.lock", named("maria")).ends("maria", CloseReason::AccountLocked),
        case("person.unlock", named("bob")).after([
            Step::Run("person.create", named("bob")),
            Step::Run("person.lock", named("bob")),
        ]),
        case("person.disable", named("maria")).ends("maria", CloseReason::AccountLocked),
        case("person.enable", named("bob")).after([
            Step::Run("person.create", named("bob")),
            Step::Run("person.disable", named("bob")),
        ]),
        case(
            "person.update",
            json!({ "name": "maria", "new_name": "mary" }),
        )
        .ends("maria", CloseReason::AccountChanged),
        case("person.update", json!({ "name": "maria", "role": "admin" }))
            .ends("maria", CloseReason::AccountChanged),
        case(
            "person.set_data",
            json!({ "name": "maria", "emails": ["maria@mail.example", "m@mail.example"], "attributes": { "room": "12" } }),
        ),
        case("person.delete", named("maria")).ends("maria", CloseReason::AccountDeleted),
        case(
            "person.passphrase_start",
            json!({ "name": "maria", "request": request() }),
        ),
        case("person.passphrase_finish", named("maria"))
            .after([Step::Registration])
            .ends("maria", CloseReason::PassphraseChanged),
        case("person.deliver_key", Scene::delivered(Some("maria")))
            .ends("other", CloseReason::KeyRevoked),
        case("person.withdraw_key", named("maria")).ends("other", CloseReason::KeyRevoked),
        case("person.dump", named("maria")),
        case("person.load", json!({}))
            .after([Step::Run("person.create", named("bob")), Step::Dump]),
        case("self.passphrase_start", json!({ "request": request() })).after([Step::Proof]),
        case("self.passphrase_finish", json!({}))
            .after([Step::Proof, Step::Registration])
            .ends("maria", CloseReason::PassphraseChanged),
        case("self.deliver_key", Scene::delivered(None))
            .after([Step::Proof])
            .ends("other", CloseReason::KeyRevoked),
        case("self.withdraw_key", json!({}))
            .after([Step::Proof])
            .ends("other", CloseReason::KeyRevoked),
        case(
            "self.set_data",
            json!({ "telephones": [{ "label": "work", "number": "112" }] }),
        ),
        // A wrong signature is refused as wrong if a proof was started.
        case("self.proof_start", json!({})).shown_by(
            "self.proof_finish",
            json!({ "signature": BASE64URL_NOPAD.encode(&[0; 64]) }),
            Code::NOT_PERMITTED,
            Code::CONFLICT,
        ),
        case("self.proof_finish", json!({}))
            .after([Step::Challenge])
            .shown_by(
                "self.deliver_key",
                Scene::delivered(None),
                Code::SUCCESS,
                Code::NOT_PERMITTED,
            ),
        case("service.create", mailer.clone()),
        case("service.lock", named("robot")).ends("robot", CloseReason::AccountLocked),
        case("service.unlock", named("mailer")).after([
            Step::Run("service.create", mailer.clone()),
            Step::Run("service.lock", named("mailer")),
        ]),
        case("service.disable", named("robot")).ends("robot", CloseReason::AccountLocked),
        case("service.enable", named("mailer")).after([
            Step::Run("service.create", mailer.clone()),
            Step::Run("service.disable", named("mailer")),
        ]),
        case("service.delete", named("robot")).ends("robot", CloseReason::AccountDeleted),
        case(
            "key.add",
            json!({ "name": "robot", "certificate": certificate().0 }),
        ),
        case(
            "key.revoke",
            json!({ "name": "robot", "thumbprint": scene.thumbprint }),
        )
        .ends("robot", CloseReason::KeyRevoked),
        case(
            "app.create",
            json!({ "id": "billing", "public_keys": [key()] }),
        ),
        case(
            "app.update",
            json!({ "id": "ledger", "settings": { "keys_last": 600_000 } }),
        ),
        case(
            "app.rotate_key",
            json!({ "id": "ledger", "public_key": key(), "overlap": 86_400_000 }),
        ),
        case("app.lock", ledger()),
        case("app.unlock", ledger()).after([Step::Run("app.lock", ledger())]),
        case("app.delete", ledger()),
        case("broker.new_v1_key", json!({ "private_key": *V1_KEY })),
        case("session.cut", json!({ "id": scene.maria.info.id })).ends("maria", CloseReason::Cut),
        case("lockdown.person", named("maria")).ends("maria", CloseReason::Lockdown),
        case("lockdown.service", named("robot")).ends("robot", CloseReason::Lockdown),
        case("lockdown.app", ledger()),
        case("lockdown.peer", peer()),
        case("lockdown.site", json!({ "level": "all" })).ends("maria", CloseReason::Lockdown),
        case("lockdown.lift", json!({ "site": true }))
            .after([Step::Run("lockdown.site", json!({ "level": "enrolment" }))]),
        case("penalty.forget", json!({})),
        case("option.enable", json!({ "name": "x25519-aes256gcm" })),
        case("option.disable", json!({ "name": option, "cut": true }))
            .ends("maria", CloseReason::OptionDisabled),
        case("option.order", json!({ "names": [other] })),
        case("option.floor", json!({ "floor": "hybrid" })),
        case("site.config", json!({ "session_lifetime": 60 })),
        case("config.set", json!({ "key": "colour", "value": "red" })),
        case("config.unset", json!({ "key": "colour" })).after([Step::Run(
            "config.set",
            json!({ "key": "colour", "value": "red" }),
        )]),
        case("site.unseal", unseal.clone()).after([Step::Restart]),
        case(
            "site.key_passphrase",
            json!({ "passphrase": "the site's pass phrase" }),
        ),
        case("site.key_recovery", json!({})),
        case(
            "site.key_slot_add",
            json!({ "slot": { "passphrase": "the site's pass phrase" } }),
        ),
        case("site.key_slot_remove", json!({ "slot": 2 }))
            .after([Step::Run("site.key_recovery", json!({}))]),
        case("site.key_slot_test", json!({ "secret": unseal })),
        case(
            "site.key_new",
            json!({ "secrets": [unseal], "slots": [unseal] }),
        ),
        case("site.seal", json!({})),
        case("site.setup_new", json!({})),
        case("site.setup_retire", json!({ "with_pass_phrases": true }))
            .after([Step::Run("site.setup_new", json!({}))]),
        case("broker.key_new", json!({})),
        case("broker.key_retire", json!({})).after([
            Step::Run("broker.key_new", json!({})),
            Step::OldestBrokerKey,
        ]),
        case("site.backup_done", json!({ "sealed": true })),
        case("ticket.issue", json!({ "person": "maria" })),
        case("ticket.revoke", json!({}))
            .after([Step::Made("ticket.issue", json!({ "person": "maria" }))]),
        case("token.create", token()).after([service()]),
        case("token.revoke", json!({})).after([service(), Step::Made("token.create", token())]),
        case(
            "device.rename",
            json!({ "id": scene.phone, "name": "tablet" }),
        ),
        case("device.revoke", json!({ "id": scene.phone })).ends("phone", CloseReason::KeyRevoked),
        case("peer.ticket", json!({ "person": "maria" })),
        case("peer.join", json!({ "ticket": ticket, "person": "maria" })),
        case("peer.permit", json!({ "peer": "b.example", "allows": [] })),
        case("peer.suspend", peer()),
        case("peer.resume", peer()).after([Step::Run("peer.suspend", peer())]),
        case("peer.remove", peer()),
        case("peer.forget", json!({ "peer": site_id })).after([Step::Run("peer.remove", peer())]),
        case("peer.start", json!({})),
        case("peer.stop", json!({})).after([Step::Run("peer.start", json!({}))]),
        case("peer.send", message()),
        case("peer.discard", json!({ "person": "maria" }))
            .after([Step::Made("peer.send", message())]),
        case("peer.discard_waiting", json!({ "person": "maria" }))
            .after([Step::Run("peer.send", message())]),
        case("peer.deliver", json!({ "messages": [delivered] }))
            .after([Step::Run("peer.start", json!({})), Step::PeerConnects]),
        case(
            "peer.address",
            json!({ "host": "new.example", "port": 4760 }),
        )
        .after([Step::Run("peer.start", json!({})), Step::PeerConnects]),
        case("peer.audit_head", audit_head)
            .after([Step::Run("peer.start", json!({})), Step::PeerConnects]),
        case(
            "broker.foreign_void",
            json!({ "consumers": ["billing@b.example"] }),
        )
        .after([
            Step::Run("service.create", mailer.clone()),
            Step::Run(
                "app.update",
                json!({
                    "id": "ledger",
                    "settings": { "service": "mailer" },
                    "allow_callers": ["billing@b.example"],
                }),
            ),
            Step::Run("peer.start", json!({})),
            Step::PeerConnects,
        ]),
        case("alarm.raise", alarm()),
        case("alarm.acknowledge", json!({})).after([Step::Made("alarm.raise", alarm())]),
        case("alarm.over", json!({ "key": "disk" })).after([Step::Run("alarm.raise", alarm())]),
        case("alarm.test", json!({})),
        case(
            "alarm.preferences",
            json!({ "person": "maria", "time_zone": "Europe/Berlin" }),
        ),
        case("alarm.retry", json!({})).after([Step::DeadDelivery]),
    ]
}

/// A new operation of the table needs a case here, or an exception with its reason.
#[tokio::test]
async fn every_audited_operation_has_a_case_or_an_exception_with_a_reason() {
    let cases = cases(&Scene::new().await);
    let excepted = EXCEPTIONS.map(|(name, _)| name);
    let table = operations::table().unwrap();
    let audited = table.entries().filter(|entry| entry.is_audited());
    let audited: Vec<&str> = audited.map(Entry::name).collect();
    for name in &audited {
        let has_case = cases.iter().any(|case| case.name == *name);
        assert_ne!(has_case, excepted.contains(name), "{name}");
    }
    for name in cases.iter().map(|case| case.name).chain(excepted) {
        assert!(audited.contains(&name), "{name} is not audited");
    }
}
