//! A dialog of the broker, edition v1: records it, opens its messages from
//! `docs/protocol/broker.md` (Edition v1), and replays each party alone. The keys are those of
//! `vectors/serveros/keys`.

use std::fs;

use countersign_crypto::legacy::Cipher;
use countersign_crypto::mac::{MacHash, MacKey};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_proto::broker::v1::consumer::{
    ResponseAction, V1Consumer, V1IssuedTicket, V1PendingRequest,
};
use countersign_proto::broker::v1::hawk::{self, Header};
use countersign_proto::broker::v1::provider::V1Provider;
use countersign_proto::broker::v1::site::{V1Application, V1Credentials, V1Site};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::form::{Named, named};
use super::tape::Tape;
use super::tickets::{Sent, TicketEntropy};
use crate::entropy::SeededEntropy;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/keys");

const LOCKED: &str = "key and iv of the sealed message";
const REQUEST: &[&str] = &["nonce", LOCKED];
const RESPONSE: &[&str] = &[
    "serverNonce",
    "id",
    "secret",
    "one-time key",
    "iv",
    "key and iv of the sealed ticket",
    LOCKED,
];
const SECRET: &str = "shared secret (its text)";
/// The nonce of the signed request.
const NONCE: &str = "j4h3g2";
const PRESENTATION: &[&str] = &["finalNonce", "iv"];

/// A file with a recorded dialog of edition v1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V1File {
    /// What the file shows.
    pub purpose: String,
    /// The section of the protocol pages that it follows.
    pub page: String,
    /// The values that cannot be fixed, and the consequences.
    pub not_fixed: String,
    /// The fixed inputs.
    pub inputs: V1Inputs,
    /// The random values that each party drew, in order.
    pub entropy: TicketEntropy,
    /// The messages in order.
    pub messages: Vec<Sent>,
    /// The opened messages.
    pub derived: Vec<Named>,
}

/// The fixed inputs, except for the entropy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V1Inputs {
    /// The time of all parties, in milliseconds since 1970 UTC.
    pub now: u64,
    /// The cipher that all parties use.
    pub cipher: String,
    /// The hash that all parties use.
    pub hash: String,
    /// The id of the consumer. Its key is `consumer.key.pem`.
    pub consumer: String,
    /// The id of the provider. Its key is `provider.key.pem`.
    pub provider: String,
    /// The lifetime of a ticket for the provider, in milliseconds.
    pub ticket_lifetime: u64,
    /// The `authData` of the ticket, as JSON.
    pub auth_data: String,
}

fn key(party: &str) -> RsaKey {
    let pem = fs::read_to_string(format!("{KEYS}/{party}.key.pem")).unwrap();
    RsaKey::from_pem(&pem.into()).unwrap()
}

fn public(party: &str) -> RsaPublicKey {
    key(party).public().clone()
}

impl V1Inputs {
    fn ciphers(&self) -> Vec<Cipher> {
        vec![self.cipher.parse().unwrap()]
    }

    fn hashes(&self) -> Vec<RsaHash> {
        vec![self.hash.parse().unwrap()]
    }

    fn application(&self, id: &str, party: &str) -> V1Application {
        V1Application {
            id: id.to_owned(),
            keys: vec![public(party)],
            hashes: self.hashes(),
            ciphers: self.ciphers(),
            keys_last: self.ticket_lifetime,
            auth_data: Some(RawValue::from_string(self.auth_data.clone()).unwrap()),
        }
    }

    fn consumer(&self) -> V1Consumer {
        V1Consumer {
            id: self.consumer.clone(),
            keys: vec![key("consumer")],
            site_keys: vec![public("master")],
            ciphers: self.ciphers(),
            hashes: self.hashes(),
        }
    }

    fn provider(&self) -> V1Provider {
        V1Provider {
            id: self.provider.clone(),
            keys: vec![key("provider")],
            site_keys: vec![public("master")],
            ciphers: self.ciphers(),
            hashes: self.hashes(),
        }
    }

    /// The site's reply.
    fn answer(&self, request: &str, tape: &mut Tape) -> String {
        tape.purpose("auth response", RESPONSE);
        let site = V1Site {
            keys: vec![key("master")],
            ciphers: self.ciphers(),
            hashes: self.hashes(),
        };
        let consumer = self.application(&self.consumer, "consumer");
        let provider = self.application(&self.provider, "provider");
        let opened = site.open(request).unwrap();
        let verified = opened.verify(&site, Some(&consumer), &public("provider"), self.now);
        let verified = verified.unwrap();
        assert_eq!(verified.requested(), self.provider);
        let answer = verified.answer(&site, &consumer, Some(&provider), self.now, tape);
        serde_json::to_string(&answer.unwrap()).unwrap()
    }

    /// The consumer's request.
    fn ask(&self, tape: &mut Tape) -> (V1PendingRequest, String) {
        tape.purpose("auth request", REQUEST);
        let (asked, request) = self.consumer().ask(&self.provider, self.now, tape).unwrap();
        (asked, serde_json::to_string(&request).unwrap())
    }

    /// The consumer reads the site's response.
    fn take(&self, asked: V1PendingRequest, response: &str, tape: &mut Tape) -> V1IssuedTicket {
        let answered =
            self.consumer()
                .read_response(asked, 200, response.as_bytes(), self.now, tape);
        match answered.unwrap() {
            ResponseAction::Granted(granted) => *granted,
            ResponseAction::Again(..) => panic!("there is one cipher and one hash"),
        }
    }
}

/// The dialog, with the name of its file.
#[must_use]
pub fn record() -> (String, V1File) {
    let inputs = V1Inputs {
        now: 1_798_761_600_000,
        cipher: "aes-256-ctr".to_owned(),
        hash: "sha256".to_owned(),
        consumer: "Application A".to_owned(),
        provider: "Application B".to_owned(),
        ticket_lifetime: 3_600_000,
        auth_data: r#"{"may":["read"]}"#.to_owned(),
    };
    let seed = SeededEntropy::new(0).fork("ticket v1");
    let (mut consumer, mut site) = (
        Tape::record(seed.fork("consumer")),
        Tape::record(seed.fork("site")),
    );
    let (asked, request) = inputs.ask(&mut consumer);
    let response = inputs.answer(&request, &mut site);
    let granted = inputs.take(asked, &response, &mut consumer);
    consumer.purpose("ticket presentation", PRESENTATION);
    let (presenting, presentation) = granted.present(inputs.now, &mut consumer).unwrap();
    let presented = inputs
        .provider()
        .accept(presentation.as_bytes(), inputs.now);
    let answer = presented.unwrap().acknowledge().answer;
    let credentials = presenting
        .read_acknowledgement(200, answer.as_bytes())
        .unwrap();
    let signed = sign(&inputs, &credentials);
    let sent = |name: &str, from: &str, to: &str, text: String| Sent {
        name: name.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        text,
    };
    let mut file = V1File {
        purpose: "A ticket of edition v1, which is that of Serveros 0.3.".to_owned(),
        page: "docs/protocol/broker.md#edition-v1".to_owned(),
        not_fixed: "RSA-OAEP uses a random generator of its own, so no implementation can reproduce the locks and the \
                    signatures over them. The recipient of a message opens its lock with the keys. The ID object and the \
                    acknowledgement are reproducible."
            .to_owned(),
        inputs,
        entropy: TicketEntropy {
            consumer: consumer.drawn().to_vec(),
            site: site.drawn().to_vec(),
            provider: Vec::new(),
        },
        messages: vec![
            sent("auth request", "consumer", "site", request),
            sent("auth response", "site", "consumer", response),
            sent("ticket presentation", "consumer", "provider", presentation),
            sent("acknowledgement", "provider", "consumer", answer),
            sent("signed request", "consumer", "provider", signed),
        ],
        derived: Vec::new(),
    };
    file.derived = explained(&file);
    ("ticket-v1".to_owned(), file)
}

impl V1File {
    fn text(&self, name: &str) -> &str {
        let found = self.messages.iter().find(|sent| sent.name == name);
        &found.unwrap().text
    }
}

/// The opened messages of a recorded dialog, and last the text that Hawk signs.
#[must_use]
pub fn explained(file: &V1File) -> Vec<Named> {
    let mut derived = Vec::new();
    let mut open = |name: &str, message: &Value, from: &str, to: &str| -> Value {
        let text = message["message"].as_str().unwrap();
        let signature = bytes(&message["signature"]);
        let verified = public(from).verify(RsaHash::Sha256, text.as_bytes(), &signature);
        assert!(verified.is_ok());
        let (enciphered, lock) = text.split_once(':').unwrap();
        let lock = key(to)
            .open(&BASE64.decode(lock.as_bytes()).unwrap())
            .unwrap();
        derived.push(Named::new(
            &format!("lock of the {name}, opened"),
            lock.expose(),
        ));
        let lock: Value = serde_json::from_slice(lock.expose()).unwrap();
        let cipher: Cipher = lock["algorithm"].as_str().unwrap().parse().unwrap();
        let enciphered = BASE64.decode(enciphered.as_bytes()).unwrap();
        let opened = cipher.decrypt(&bytes(&lock["key"]), &bytes(&lock["iv"]), &enciphered);
        let opened = opened.unwrap();
        derived.push(Named::new(&format!("{name}, opened"), opened.expose()));
        serde_json::from_slice(opened.expose()).unwrap()
    };
    let json = |name: &str| -> Value { serde_json::from_str(file.text(name)).unwrap() };
    open("auth request", &json("auth request"), "consumer", "master");
    let response = open(
        "auth response",
        &json("auth response"),
        "master",
        "consumer",
    );
    let presentation = json("ticket presentation");
    assert_eq!(presentation["ticket"], response["ticket"]);
    let ticket = open("auth ticket", &presentation["ticket"], "master", "provider");
    assert_eq!(ticket["secret"], response["secret"]);
    let once = &ticket["oneTimeCredentials"];
    let cipher: Cipher = once["cipher"].as_str().unwrap().parse().unwrap();
    let mut decipher = |name: &str, iv: &Value, sealed: &Value| -> Value {
        let opened = cipher.decrypt(&bytes(&once["key"]), &bytes(iv), &bytes(sealed));
        let opened = opened.unwrap();
        derived.push(Named::new(&format!("{name}, opened"), opened.expose()));
        serde_json::from_slice(opened.expose()).unwrap()
    };
    let object = decipher("ID object", &once["iv"], &presentation["id"]);
    let answer = &json("acknowledgement")["message"];
    let acknowledged = decipher("acknowledgement", &object["iv"], answer);
    assert_eq!(acknowledged["finalNonce"], object["finalNonce"]);
    let secret = ticket["secret"].as_str().unwrap();
    derived.push(Named::new(SECRET, secret));
    let request: HawkRequest = serde_json::from_str(file.text("signed request")).unwrap();
    derived.push(Named::new("text that Hawk signs", request.text(secret)));
    derived
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// A request between the applications, with its Authorization field.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HawkRequest {
    method: String,
    host: String,
    port: u16,
    target: String,
    authorization: String,
}

impl HawkRequest {
    fn signed(&self) -> hawk::HawkRequest<'_> {
        hawk::HawkRequest {
            method: &self.method,
            target: &self.target,
            host: &self.host,
            port: self.port,
        }
    }

    /// The text that Hawk signs. Verifies the request's MAC.
    fn text(&self, secret: &str) -> String {
        let header = Header::parse(&self.authorization).unwrap();
        let text = format!(
            "hawk.1.header\n{}\n{}\n{}\n{}\n{}\n{}\n\n\n",
            header.ts, header.nonce, self.method, self.target, self.host, self.port
        );
        let code = MacKey::new(MacHash::Sha256, secret.as_bytes()).authenticate(text.as_bytes());
        let code = format!("mac=\"{}\"", BASE64.encode(&code));
        assert!(self.authorization.ends_with(&code));
        text
    }
}

/// Makes a request that the consumer signs.
fn sign(inputs: &V1Inputs, credentials: &V1Credentials) -> String {
    let mut request = HawkRequest {
        method: "GET".to_owned(),
        host: "ledger.example.org".to_owned(),
        port: 443,
        target: "/entries?year=2027".to_owned(),
        authorization: String::new(),
    };
    let once = (inputs.now / 1_000, NONCE);
    let (key, hash) = (&credentials.key, credentials.hash);
    let authorization = hawk::sign(&credentials.id, key, hash, &request.signed(), once);
    request.authorization = authorization.unwrap();
    serde_json::to_string(&request).unwrap()
}

/// Replays each party against the recorded messages of the others.
pub fn replay(file: &V1File) {
    let inputs = &file.inputs;
    let secret = named(&file.derived, SECRET);

    let mut site = Tape::replay(&file.entropy.site);
    inputs.answer(file.text("auth request"), &mut site);
    assert!(site.is_used_up());

    let mut consumer = Tape::replay(&file.entropy.consumer);
    let (asked, _) = inputs.ask(&mut consumer);
    let granted = inputs.take(asked, file.text("auth response"), &mut consumer);
    consumer.purpose("ticket presentation", PRESENTATION);
    let (presenting, presentation) = granted.present(inputs.now, &mut consumer).unwrap();
    assert_eq!(presentation, file.text("ticket presentation"));
    assert!(consumer.is_used_up());
    let answer = file.text("acknowledgement").as_bytes();
    let credentials = presenting.read_acknowledgement(200, answer).unwrap();
    assert_eq!(credentials.key.expose().as_bytes(), secret);
    assert_eq!(sign(inputs, &credentials), file.text("signed request"));

    let presented = inputs
        .provider()
        .accept(presentation.as_bytes(), inputs.now);
    let accepted = presented.unwrap().acknowledge();
    assert_eq!(accepted.answer, file.text("acknowledgement"));
    assert_eq!(accepted.credentials.key.expose().as_bytes(), secret);
    assert_eq!(accepted.auth_data.unwrap().get(), inputs.auth_data);
    let request: HawkRequest = serde_json::from_str(file.text("signed request")).unwrap();
    let header = Header::parse(&request.authorization).unwrap();
    let credentials = accepted.credentials;
    assert_eq!(header.id, credentials.id);
    let now = inputs.now / 1_000;
    let verified = header.verify(&credentials.key, credentials.hash, &request.signed(), now);
    assert_eq!(verified, Ok(()));
}
