//! A tour of a site: each operation with a route once, in an order in which each of them succeeds.
//!
//! ```text
//! prepare ─▶ the parameters of a step ─▶ the test calls the operation ─▶ keep ─▶ next step
//! ```
//!
//! Keys and ids that the tour makes come from a seed. Two sites that were created alike and take the
//! tour are equal after each step, except for times and what the sites draw themselves.

mod program;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_core::access::{Caller, Channel, HttpCredential, HttpGrant, Role};
use countersign_core::engine::{DeliveryResult, DeliverySettings};
use countersign_core::id::AccessTokenId;
use countersign_core::sessions::Proof;
use countersign_core::throttle::{Abuse, Source};
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::party::PartyKey;
use countersign_crypto::passphrase::ClientRegistration;
use countersign_crypto::secret::Passphrase;
use countersign_proto::enrolment::Token;
use countersign_proto::operation::Code;
use countersign_proto::peer::PeerTicket;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::accounts::finish_registration_with;
use super::{PASSPHRASE, TestDevice, TestPeer, TestSession, TestSite, run_at};
use crate::entropy::SeededEntropy;

pub use steps::{OF_SERVICES, Step, steps};

/// A tour that has begun.
pub struct Tour {
    entropy: SeededEntropy,
    /// What parameters name as `$name`.
    known: BTreeMap<String, Value>,
    peer: TestPeer,
    /// A registration of a pass phrase that was started.
    registration: Option<ClientRegistration>,
    /// Keeps the sessions of the tour open.
    sessions: Vec<TestSession>,
}

impl Tour {
    /// Prepares a site with the admin `operator`, who takes the steps: addresses of listeners for devices and
    /// peers, delivery by e-mail, a setting, and another site to join.
    pub async fn begin(test: &TestSite) -> Self {
        let mut entropy = SeededEntropy::new(7);
        let peer = TestPeer::generate("b.example", &mut entropy);
        let other = TestPeer::generate("c.example", &mut entropy);
        test.takes_enrolments();
        test.site.deliver_with(DeliverySettings {
            email: true,
            ..DeliverySettings::default()
        });
        program::configure(test);
        let known = [
            ("mailer_certificate", certificate(&mut entropy)),
            ("second_certificate", certificate(&mut entropy)),
            ("ledger_key", party_key(&mut entropy)),
            ("billing_key", party_key(&mut entropy)),
            ("next_key", party_key(&mut entropy)),
            ("peer_ticket", peer_ticket(&other, &mut entropy)),
            ("peer_id", peer.known().id().to_string().into()),
        ];
        test.site.connect_peers_with(Arc::new(other));
        Self {
            known: known
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect(),
            entropy,
            peer,
            registration: None,
            sessions: Vec::new(),
        }
    }

    /// Returns `operator` as the caller of the steps over HTTP, without limits beyond the role.
    pub async fn caller(test: &TestSite) -> Caller {
        let operator = json!({ "name": "operator" });
        let shown = test.admin("person.show", operator).await;
        let account = shown["id"].as_str().unwrap().parse().unwrap();
        let name = shown["name"].as_str().unwrap().to_owned();
        let token = HttpCredential::Token(AccessTokenId::from_bytes([7; 16]));
        let owner = (account, name.clone(), Role::Admin);
        Caller {
            account: Some(account),
            name,
            role: Role::Admin,
            channel: Channel::Http,
            session: None,
            peer: None,
            grant: Some(Arc::new(HttpGrant::new(token, owner, None, None))),
        }
    }

    /// Does what comes before a step, and returns its parameters.
    pub async fn prepare(&mut self, test: &TestSite, step: &Step) -> Value {
        for (name, params, kept) in &step.before {
            let result = test.admin(name, self.known_in(params)).await;
            if let Some((kept, field)) = kept {
                self.known
                    .insert((*kept).to_owned(), result[*field].clone());
            }
        }
        match step.operation {
            "person.passphrase_start" => self.start_registration(),
            "person.deliver_key" => self.make_delivered_key(),
            "person.load" => self.dump(test).await,
            "device.list" => self.enrol(test).await,
            "session.list" => self.open_session(test).await,
            "peer.ticket" => test.introduce(&self.peer, "maria").await,
            "peer.inbox" => self.receive_message(test).await,
            "alarm.retry" => reject_messages(test).await,
            "penalty.list" => record_abuse(test),
            _ => {}
        }
        self.known_in(&step.params)
    }

    /// Keeps what later steps need of the result of a step, and does what comes after it.
    pub async fn keep(&mut self, test: &TestSite, step: &Step, result: &Value) {
        if let Some((kept, pointer)) = step.kept {
            let value = result.pointer(pointer).unwrap().clone();
            self.known.insert(kept.to_owned(), value);
        }
        if step.operation == "person.passphrase_start" {
            self.finish_registration(result);
        }
        for (name, params) in &step.after {
            test.admin(name, self.known_in(params)).await;
        }
    }

    /// The parameters with what the tour knows.
    fn known_in(&self, params: &Value) -> Value {
        match params {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) => self.known[name].clone(),
                None => params.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.known_in(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter();
                let known = fields.map(|(name, value)| (name.clone(), self.known_in(value)));
                Value::Object(known.collect())
            }
            other => other.clone(),
        }
    }

    fn knows(&mut self, name: &str, value: impl Into<Value>) {
        self.known.insert(name.to_owned(), value.into());
    }

    fn start_registration(&mut self) {
        let phrase = Passphrase::from(PASSPHRASE.to_owned());
        let started = ClientRegistration::start(&phrase, &mut self.entropy).unwrap();
        self.registration = Some(started.0);
        self.knows("request", BASE64URL_NOPAD.encode(&started.1));
    }

    fn finish_registration(&mut self, started: &Value) {
        let phrase = Passphrase::from(PASSPHRASE.to_owned());
        let registration = self.registration.take().unwrap();
        let finish = finish_registration_with(registration, &phrase, started, &mut self.entropy);
        for (name, value) in finish.as_object().unwrap() {
            self.knows(name, value.clone());
        }
    }

    fn make_delivered_key(&mut self) {
        let identity = Identity::generate(&mut self.entropy);
        let phrase = PASSPHRASE.to_owned().into();
        let key = DeliveredKey::new(&identity, &phrase, &mut self.entropy);
        self.knows("delivered_certificate", key.certificate().to_pem());
        self.knows("delivered_key", key.encrypted_key_pem());
    }

    /// Exports the person bob, who is deleted then.
    async fn dump(&mut self, test: &TestSite) {
        let bob = json!({ "name": "bob" });
        let dump = test.admin("person.dump", bob.clone()).await;
        test.admin("person.delete", bob).await;
        self.knows("dump", dump.to_string());
    }

    /// Enrols a device of maria.
    async fn enrol(&mut self, test: &TestSite) {
        let device = TestDevice::generate(&mut self.entropy);
        let ticket = test.ticket("maria").await;
        let enrolled = device.enrol(&test.site, &ticket.token, "maria", test.now());
        let enrolled = enrolled.await.unwrap().device;
        self.knows("device", enrolled.to_string());
    }

    async fn open_session(&mut self, test: &TestSite) {
        let maria = test.admin("person.show", json!({ "name": "maria" })).await;
        let session = test.session(&maria, Proof::Passphrase).await.unwrap();
        self.knows("session", session.info.id.to_string());
        self.sessions.push(session);
    }

    /// The peer delivers a message for maria.
    async fn receive_message(&mut self, test: &TestSite) {
        let connection = self.peer.connect(&test.site, test.now()).await.unwrap();
        let message = json!({
            "id": "019523d0-5c00-7000-8000-000000000000",
            "number": 1,
            "from": "bob@b.example",
            "to": "maria@example.org",
            "text": "Hello, Maria.",
            "sent": test.now(),
        });
        let params = json!({ "messages": [message] });
        let caller = &connection.caller;
        let delivered = run_at(&test.site, caller, "peer.deliver", params, test.now()).await;
        assert_eq!(delivered.0, Code::SUCCESS, "{}", delivered.1);
        drop(connection);
    }
}

fn certificate(entropy: &mut SeededEntropy) -> Value {
    Identity::generate(entropy).certificate().to_pem().into()
}

fn party_key(entropy: &mut SeededEntropy) -> Value {
    let key = PartyKey::new(Arc::new(Identity::generate(entropy)));
    key.public().to_pem().into()
}

fn peer_ticket(site: &TestPeer, entropy: &mut SeededEntropy) -> Value {
    let (token, key) = (Token::generate(entropy), site.key().public());
    let ticket = PeerTicket::new("c.example", 4750, token, 1_800_000_000, key, site.bob());
    ticket.unwrap().to_uri().expose().into()
}

/// The mail server rejects all messages that are due for good.
async fn reject_messages(test: &TestSite) {
    let rejected = DeliveryResult::Rejected {
        error: "550 no such mailbox".to_owned(),
    };
    let due = test.site.due_deliveries(test.now(), 100).await.unwrap();
    for message in due {
        let delivered = test
            .site
            .delivered(message.message_id, &rejected, test.now());
        assert!(delivered.await.unwrap());
    }
}

fn record_abuse(test: &TestSite) {
    let source = Source::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    let throttle = test.site.throttle();
    throttle
        .penalties()
        .record_abuse(source, Abuse::Malformed, test.now());
}
