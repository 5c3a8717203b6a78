//! Dialogs of the broker, edition v2 and symmetric path: records them, computes their derived
//! values from `docs/protocol/broker.md`, and replays each party alone.

use std::sync::Arc;

use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::consumer::{Consumer, IssuedTicket};
use countersign_proto::broker::v2::provider::Provider;
use countersign_proto::broker::v2::signature::UnverifiedSignature;
use countersign_proto::broker::v2::site::{Application, Site, UnverifiedRequest};
use countersign_proto::broker::v2::symmetric::grant;
use countersign_proto::broker::v2::{SealedMessage, TicketKey};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::form::{Hex, Named, named};
use super::tape::Tape;
use crate::entropy::SeededEntropy;
use request::{SignedRequest, sign};

mod explained;
mod request;

/// 1 January 2027, in milliseconds since 1970 UTC.
const NOW: u64 = 1_798_761_600_000;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// The label of the entropy of `ticket-v2-symmetric`. It never changes, because the recorded bytes
/// depend on it.
const SYMMETRIC_ENTROPY: &str =
    "A ticket of the fast (symmetric) path of edition v2, as `broker ticket` answers in a session.";
/// The draw for a sealed message. X25519: the input of DeriveKeyPair (RFC 9180) for the ephemeral
/// key. X-Wing: the private X25519 key itself.
const SEALING: &str = "ephemeral key of the sealed message";
const REQUEST: &[&str] = &["nonce", SEALING];
const RESPONSE: &[&str] = &[
    "serverNonce",
    "id",
    "secret",
    "one-time key",
    "iv",
    "ephemeral key of the sealed ticket",
    SEALING,
];
const IN_SESSION: &[&str] = &[
    "requesterNonce",
    "serverNonce",
    "id",
    "secret",
    "one-time key",
    "iv",
    "salt",
];
const PRESENTATION: &[&str] = &["seed of the ephemeral X-Wing key", "finalNonce", "iv"];
const SECRET: &str = "shared secret";
const ACKNOWLEDGEMENT: &[&str] = &["private X25519 key of the encapsulation"];

/// A file with one recorded dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketFile {
    /// What the file shows.
    pub purpose: String,
    /// The section of the protocol pages that it follows.
    pub page: String,
    /// The values that cannot be fixed, and the consequences.
    pub not_fixed: String,
    /// The fixed inputs.
    pub inputs: TicketInputs,
    /// The random values that each party drew, in order.
    pub entropy: TicketEntropy,
    /// The messages in order.
    pub messages: Vec<Sent>,
    /// The derived values, in the order of their computation.
    pub derived: Vec<Named>,
}

/// The fixed inputs, except for the entropy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketInputs {
    /// The time of all parties, in milliseconds since 1970 UTC.
    pub now: u64,
    /// The suite that seals messages.
    pub suite: String,
    /// The site.
    pub site: Member,
    /// The application that asks for the ticket.
    pub consumer: Member,
    /// The application that the ticket is for.
    pub provider: Member,
    /// The lifetime of a ticket for the provider, in milliseconds.
    pub ticket_lifetime: u64,
    /// The `authData` of the ticket, as JSON.
    pub auth_data: String,
    /// The ticket key that site and provider share on the symmetric path, for the day of `now`.
    pub ticket_key: Option<Hex>,
}

/// A party with its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The seed of its keys.
    pub seed: Hex,
    /// Its public keys.
    pub public_keys: Hex,
}

/// The random values that each party drew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketEntropy {
    /// The random values of the consumer.
    pub consumer: Vec<Named>,
    /// The random values of the site.
    pub site: Vec<Named>,
    /// The random values of the provider.
    pub provider: Vec<Named>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Its name.
    pub name: String,
    /// The sender.
    pub from: String,
    /// The recipient.
    pub to: String,
    /// Its text.
    pub text: String,
}

impl TicketFile {
    /// The text of a message.
    ///
    /// # Panics
    /// If there is no message with this name.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        let found = self.messages.iter().find(|sent| sent.name == name);
        &found.unwrap_or_else(|| panic!("no {name}")).text
    }

    fn is_symmetric(&self) -> bool {
        self.inputs.ticket_key.is_some()
    }

    /// Whether every message is reproducible.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.not_fixed.is_empty()
    }
}

impl Member {
    fn new(id: &str, seed: u8) -> Self {
        let seed = Hex(vec![seed; 32]);
        let key = party(&seed);
        Self {
            id: id.to_owned(),
            seed,
            public_keys: key.public().to_bytes().into(),
        }
    }

    fn key(&self) -> PartyKey {
        let key = party(&self.seed);
        assert_eq!(key.public().to_bytes(), self.public_keys.0);
        key
    }
}

fn party(seed: &Hex) -> PartyKey {
    let seed = IdentitySeed(Secret::from_bytes(seed.array()));
    PartyKey::new(Arc::new(Identity::from_seed(seed)))
}

impl TicketInputs {
    fn suite(&self) -> SealingSuite {
        self.suite.parse().unwrap()
    }

    fn application(&self, member: &Member) -> Application {
        Application {
            id: member.id.clone(),
            keys: vec![member.key().public().clone()],
            suite: self.suite(),
            keys_last: self.ticket_lifetime,
            auth_data: Some(RawValue::from_string(self.auth_data.clone()).unwrap()),
        }
    }

    fn ticket_key(&self) -> Option<TicketKey> {
        let key = self.ticket_key.as_ref()?;
        let day = self.now / DAY * DAY;
        let key = TicketKey::new(Secret::from_bytes(key.array()), day, day + DAY);
        Some(key)
    }

    fn site(&self) -> Site {
        Site {
            id: self.site.id.clone(),
            keys: vec![self.site.key()],
        }
    }

    fn consumer(&self) -> Consumer {
        Consumer {
            id: self.consumer.id.clone(),
            keys: vec![self.consumer.key()],
            site: self.site.id.clone(),
            site_keys: vec![self.site.key().public().clone()],
            suite: self.suite(),
        }
    }

    fn provider(&self) -> Provider {
        Provider {
            id: self.provider.id.clone(),
            keys: vec![self.provider.key()],
            site: self.site.id.clone(),
            site_keys: vec![self.site.key().public().clone()],
            ticket_keys: self.ticket_key().into_iter().collect(),
        }
    }
}

/// All dialogs, with the names of their files.
#[must_use]
pub fn all() -> Vec<(String, TicketFile)> {
    let plan = [
        (
            "v2-x25519",
            SealingSuite::X25519,
            false,
            "A ticket of edition v2, sealed with X25519.",
            "",
        ),
        (
            "v2-xwing",
            SealingSuite::XWing,
            false,
            "A ticket of edition v2, sealed with X-Wing.",
            "ML-KEM uses a random generator of its own when a message is sealed with X-Wing, so no implementation \
             can reproduce the auth request, the auth response and the ticket. The recipient of each opens it with \
             the keys in this file. All values that follow from the ticket are reproducible.",
        ),
        (
            "v2-symmetric",
            SealingSuite::X25519,
            true,
            "A ticket of the symmetric path of edition v2, as `broker ticket` returns it in a session.",
            "",
        ),
    ];
    let files = plan.map(|(name, suite, symmetric, purpose, not_fixed)| {
        let inputs = TicketInputs {
            now: NOW,
            suite: suite.name().to_owned(),
            site: Member::new("example.org", 21),
            consumer: Member::new("billing", 22),
            provider: Member::new("ledger", 23),
            ticket_lifetime: HOUR,
            auth_data: r#"{"may":["read"]}"#.to_owned(),
            ticket_key: symmetric.then(|| Hex(vec![24; 32])),
        };
        (format!("ticket-{name}"), record(purpose, not_fixed, inputs))
    });
    files.to_vec()
}

fn record(purpose: &str, not_fixed: &str, inputs: TicketInputs) -> TicketFile {
    let label = match inputs.ticket_key {
        Some(_) => SYMMETRIC_ENTROPY,
        None => purpose,
    };
    let seed = SeededEntropy::new(0).fork(label);
    let mut consumer = Tape::record(seed.fork("consumer"));
    let mut site = Tape::record(seed.fork("site"));
    let mut provider = Tape::record(seed.fork("provider"));
    let mut messages = Vec::new();
    let mut send = |name: &str, from: &str, to: &str, text: &str| {
        messages.push(Sent {
            name: name.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            text: text.to_owned(),
        });
    };
    let ours = inputs.consumer();
    let granted = if inputs.ticket_key.is_some() {
        let response = answer_in_session(&inputs, &mut site);
        send("auth response", "site", "consumer", &response);
        take_in_session(&inputs, &response)
    } else {
        consumer.purpose("auth request", REQUEST);
        let asked = ours.ask(&inputs.provider.id, inputs.now, &mut consumer);
        let (asked, request) = asked.unwrap();
        let request = serde_json::to_string(&request).unwrap();
        send("auth request", "consumer", "site", &request);
        let response = answer(&inputs, &request, &mut site);
        send("auth response", "site", "consumer", &response);
        ours.read_response(asked, response.as_bytes()).unwrap()
    };
    consumer.purpose("ticket presentation", PRESENTATION);
    let (presenting, presentation) = granted.present(inputs.now, &mut consumer).unwrap();
    send("ticket presentation", "consumer", "provider", &presentation);
    let presented = inputs
        .provider()
        .accept(presentation.as_bytes(), inputs.now);
    provider.purpose("acknowledgement", ACKNOWLEDGEMENT);
    let accepted = presented
        .unwrap()
        .acknowledge(inputs.now, &mut provider)
        .unwrap();
    send("acknowledgement", "provider", "consumer", &accepted.answer);
    let credentials = presenting
        .read_acknowledgement(accepted.answer.as_bytes())
        .unwrap();
    assert_eq!(credentials.secret, accepted.credentials.secret);
    let request = sign(&inputs, &credentials, &mut consumer);
    send("signed request", "consumer", "provider", &request);
    let mut file = TicketFile {
        purpose: purpose.to_owned(),
        page: "docs/protocol/broker.md#edition-v2".to_owned(),
        not_fixed: not_fixed.to_owned(),
        inputs,
        entropy: TicketEntropy {
            consumer: consumer.drawn().to_vec(),
            site: site.drawn().to_vec(),
            provider: provider.drawn().to_vec(),
        },
        messages,
        derived: Vec::new(),
    };
    file.derived = explained::explain(&file);
    assert_eq!(named(&file.derived, SECRET), credentials.secret.expose());
    file
}

/// Computes the derived values of a recorded dialog.
#[must_use]
pub fn explained(file: &TicketFile) -> Vec<Named> {
    explained::explain(file)
}

/// The site's reply on the symmetric path.
fn answer_in_session(inputs: &TicketInputs, tape: &mut Tape) -> String {
    tape.purpose("auth response", IN_SESSION);
    let parties = (
        &inputs.application(&inputs.consumer),
        &inputs.application(&inputs.provider),
    );
    let key = inputs.ticket_key().unwrap();
    let response = grant(&inputs.site.id, &key, parties, inputs.now, tape).unwrap();
    serde_json::to_string(&response).unwrap()
}

fn take_in_session(inputs: &TicketInputs, response: &str) -> IssuedTicket {
    let response = serde_json::from_str(response).unwrap();
    let granted = inputs
        .consumer()
        .read_session_response(&inputs.provider.id, response);
    granted.unwrap()
}

/// The site's reply.
fn answer(inputs: &TicketInputs, request: &str, tape: &mut Tape) -> String {
    tape.purpose("auth response", RESPONSE);
    let site = inputs.site();
    let consumer = inputs.application(&inputs.consumer);
    let provider = inputs.application(&inputs.provider);
    let request = UnverifiedRequest::read(request.as_bytes()).unwrap();
    let other = inputs.provider.key();
    let verified = request.verify(&site, Some(&consumer), other.public(), inputs.now);
    let verified = verified.unwrap();
    assert_eq!(verified.requested(), inputs.provider.id);
    let answer = verified.answer(&site, &consumer, Some(&provider), inputs.now, tape);
    serde_json::to_string::<SealedMessage>(&answer.unwrap()).unwrap()
}

/// Replays the site against the recorded messages of the consumer.
pub fn replay_site(file: &TicketFile) {
    let mut tape = Tape::replay(&file.entropy.site);
    let response = match file.is_symmetric() {
        true => answer_in_session(&file.inputs, &mut tape),
        false => answer(&file.inputs, file.text("auth request"), &mut tape),
    };
    assert!(tape.is_used_up());
    if file.is_fixed() {
        assert_eq!(response, file.text("auth response"));
    }
}

/// Replays the consumer against the recorded messages of the site and the provider.
pub fn replay_consumer(file: &TicketFile) {
    let inputs = &file.inputs;
    let mut tape = Tape::replay(&file.entropy.consumer);
    let response = file.text("auth response");
    let granted = if file.is_symmetric() {
        take_in_session(inputs, response)
    } else {
        tape.purpose("auth request", REQUEST);
        let asked = inputs
            .consumer()
            .ask(&inputs.provider.id, inputs.now, &mut tape);
        let (asked, request) = asked.unwrap();
        if file.is_fixed() {
            let request = serde_json::to_string(&request).unwrap();
            assert_eq!(request, file.text("auth request"));
        }
        inputs
            .consumer()
            .read_response(asked, response.as_bytes())
            .unwrap()
    };
    tape.purpose("ticket presentation", PRESENTATION);
    let (presenting, presentation) = granted.present(inputs.now, &mut tape).unwrap();
    assert_eq!(presentation, file.text("ticket presentation"));
    let acknowledgement = file.text("acknowledgement").as_bytes();
    let credentials = presenting.read_acknowledgement(acknowledgement).unwrap();
    assert_eq!(credentials.application, inputs.provider.id);
    assert_eq!(credentials.expires, inputs.now + inputs.ticket_lifetime);
    assert_eq!(credentials.secret.expose(), named(&file.derived, SECRET));
    let request = sign(inputs, &credentials, &mut tape);
    assert_eq!(request, file.text("signed request"));
    assert!(tape.is_used_up());
}

/// Replays the provider against the recorded messages of the consumer.
pub fn replay_provider(file: &TicketFile) {
    let inputs = &file.inputs;
    let presentation = file.text("ticket presentation").as_bytes();
    let presented = inputs.provider().accept(presentation, inputs.now).unwrap();
    assert_eq!(presented.requester(), inputs.consumer.id);
    let mut tape = Tape::replay(&file.entropy.provider);
    tape.purpose("acknowledgement", ACKNOWLEDGEMENT);
    let accepted = presented.acknowledge(inputs.now, &mut tape).unwrap();
    assert_eq!(accepted.answer, file.text("acknowledgement"));
    assert_eq!(accepted.auth_data.get(), inputs.auth_data);
    assert!(tape.is_used_up());
    let credentials = accepted.credentials;
    assert_eq!(credentials.secret.expose(), named(&file.derived, SECRET));
    let request: SignedRequest = serde_json::from_str(file.text("signed request")).unwrap();
    let signed = UnverifiedSignature::read(&request.fields()).unwrap();
    let verified = signed.verify(&credentials, &request.request(), inputs.now / 1_000);
    assert_eq!(verified.unwrap().id, credentials.id);
}
