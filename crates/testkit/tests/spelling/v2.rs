//! The dialog of edition v2 in random spellings. The test has the keys of all parties.

use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::consumer::Consumer;
use countersign_proto::broker::v2::provider::Provider;
use countersign_proto::broker::v2::site::{Application, Site, UnverifiedRequest};
use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::speller::Speller;

const NOW: u64 = 1_800_000_000_000;
const SITE: &str = "example.org";
const A: &str = "billing/ä";
const B: &str = "ledger";
const SUITE: SealingSuite = SealingSuite::XWing;

fn party(byte: u8) -> PartyKey {
    let seed = IdentitySeed(Secret::from_bytes([byte; 32]));
    PartyKey::new(Arc::new(Identity::from_seed(seed)))
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

/// The `info` of a sealed message (docs/protocol/broker.md, "The sealed message").
fn info(sealed: &Value, sender: &PartyKey, recipient: &PartyKey) -> Vec<u8> {
    let mut info = b"countersign broker 2\0".to_vec();
    for part in ["type", "from", "to", "suite"] {
        let part = sealed[part].as_str().unwrap();
        info.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        info.extend(part.as_bytes());
    }
    info.extend(sender.public().fingerprint());
    info.extend(recipient.public().fingerprint());
    if let Some(header) = sealed.get("header") {
        info.extend(bytes(&header["id"]));
        info.extend(header["expires"].as_u64().unwrap().to_be_bytes());
    }
    info
}

fn open(sealed: &Value, sender: &PartyKey, recipient: &PartyKey) -> Value {
    let info = info(sealed, sender, recipient);
    let text = recipient
        .open(SUITE, &info, &bytes(&sealed["sealed"]))
        .unwrap();
    serde_json::from_slice(text.expose()).unwrap()
}

/// Seals another text in the same message.
fn seal(sealed: &mut Value, text: &str, sender: &PartyKey, recipient: &PartyKey) {
    let info = info(sealed, sender, recipient);
    let public = recipient.public();
    let resealed = public
        .seal(SUITE, &info, text.as_bytes(), &mut SystemEntropy)
        .unwrap();
    let signed = [b"countersign broker 2 signature\0", &info[..], &resealed].concat();
    sealed["sealed"] = BASE64URL_NOPAD.encode(&resealed).into();
    sealed["signature"] = BASE64URL_NOPAD.encode(&sender.sign(&signed).0).into();
}

fn respell(sealed: &mut Value, sender: &PartyKey, recipient: &PartyKey, by: &mut Speller) {
    let message = open(sealed, sender, recipient);
    seal(sealed, &by.value(&message), sender, recipient);
}

fn dialog(by: &mut Speller) {
    let (site, billing, ledger) = (party(1), party(2), party(3));
    let application = |id: &str, key: &PartyKey| Application {
        id: id.to_owned(),
        keys: vec![key.public().clone()],
        suite: SUITE,
        keys_last: 3_600_000,
        auth_data: serde_json::value::to_raw_value(&json!({ "a/b": "\u{1f40e}" })).ok(),
    };
    let (first, second) = (application(A, &billing), application(B, &ledger));
    let parties = Site {
        id: SITE.to_owned(),
        keys: vec![site.clone()],
    };
    let consumer = Consumer {
        id: A.to_owned(),
        keys: vec![billing.clone()],
        site: SITE.to_owned(),
        site_keys: vec![site.public().clone()],
        suite: SUITE,
    };
    let provider = Provider {
        id: B.to_owned(),
        keys: vec![ledger.clone()],
        site: SITE.to_owned(),
        site_keys: vec![site.public().clone()],
        ticket_keys: Vec::new(),
    };
    let entropy = &mut SystemEntropy;
    let (asked, request) = consumer.ask(B, NOW, entropy).unwrap();
    let mut request = serde_json::to_value(&request).unwrap();
    respell(&mut request, &billing, &site, by);
    let request = UnverifiedRequest::read(by.value(&request).as_bytes()).unwrap();
    let verified = request.verify(&parties, Some(&first), party(9).public(), NOW);
    let answered = verified
        .unwrap()
        .answer(&parties, &first, Some(&second), NOW, entropy);

    let mut answered = serde_json::to_value(answered.unwrap()).unwrap();
    let mut response = open(&answered, &site, &billing);
    respell(&mut response["ticket"], &site, &ledger, by);
    let text = by.value(&response);
    seal(&mut answered, &text, &site, &billing);
    let granted = consumer
        .read_response(asked, by.value(&answered).as_bytes())
        .unwrap();

    // Later messages are bound to the decoded bytes of earlier ones, not to their spelling.
    let (presenting, presentation) = granted.present(NOW, entropy).unwrap();
    let presented = provider
        .accept(by.text(&presentation).as_bytes(), NOW)
        .unwrap();
    let accepted = presented.acknowledge(NOW, entropy).unwrap();
    let here = presenting
        .read_acknowledgement(by.text(&accepted.answer).as_bytes())
        .unwrap();
    assert_eq!(here.secret.expose(), accepted.credentials.secret.expose());
    let auth_data: Value = serde_json::from_str(accepted.auth_data.get()).unwrap();
    assert_eq!(auth_data, json!({ "a/b": "\u{1f40e}" }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    // [BRK-73]
    #[test]
    fn a_dialog_succeeds_in_every_spelling(seed in any::<u64>()) {
        dialog(&mut Speller::new(seed));
    }
}
