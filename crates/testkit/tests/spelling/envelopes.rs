//! The envelopes of operations and all messages of the broker, as types.

use std::fmt::Debug;

use countersign_proto::broker::v2::key_statement::KeyStatement;
use countersign_proto::broker::v2::symmetric::SymmetricTicket;
use countersign_proto::broker::{v1, v2};
use countersign_proto::operation::{Code, Event, Operation, Outcome};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::speller::{Speller, values};

/// Reads a random spelling of a value, and compares the result with the value.
fn reads<T: Serialize + DeserializeOwned + Debug>(value: &Value, speller: &mut Speller) {
    let text = speller.value(value);
    let read = serde_json::from_str::<T>(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), *value, "{text}");
    // Also from bytes, as most messages arrive.
    assert!(
        serde_json::from_slice::<T>(text.as_bytes()).is_ok(),
        "{text}"
    );
}

const BYTES: &str = "AAECAwQFBgcICQoLDA0ODw";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8";

fn sealed_v1() -> Value {
    json!({ "message": "pd2OEf+/KPwt8Z1f/HoRY2qA==:wMSRAM+e/sJrA==", "signature": "a/b+c==" })
}

fn sealed_v2(kind: &str) -> Value {
    json!({
        "type": kind, "from": "billing/€", "to": "example.org", "suite": "xwing-aes256gcm", "key": BYTES,
        "sealed": BYTES, "signature": BYTES,
    })
}

/// The members that ticket and response share.
fn granted(nonce: &Value, secret: &str, once: &Value) -> Value {
    json!({
        "requester": "Application A/\u{1f40e}", "requested": "Application \"B\"", "serverNonce": nonce,
        "requesterNonce": nonce, "id": nonce, "secret": secret, "ts": 1_800_000_000_000_u64,
        "expires": 1_800_003_600_000_u64, "hash": once["hash"], "oneTimeCredentials": once,
    })
}

fn with(mut message: Value, name: &str, value: Value) -> Value {
    message[name] = value;
    message
}

fn messages_of_v1(speller: &mut Speller) {
    let once = json!({ "key": "a/b+", "iv": "c/d+", "cipher": "aes-256-cbc", "hash": "sha256" });
    let granted = granted(&json!(7), "a/b+c==", &once);
    let granted = with(granted, "id", json!("d/e+f=="));
    reads::<v1::message::V1AuthRequest>(
        &json!({
            "requester": "Application A/ä", "requested": "B", "nonce": 9_007_199_254_740_991_u64,
            "ts": 1_800_000_000_000_u64, "hash": "sha256", "supportedHashes": ["sha256"],
            "supportedCiphers": ["aes-256-cbc", "aes128"],
        }),
        speller,
    );
    let auth_data = json!({ "a/b": ["\u{1f40e}", 1, null] });
    reads::<v1::message::V1Ticket>(&with(granted.clone(), "authData", auth_data), speller);
    reads::<v1::message::V1AuthResponse>(&with(granted, "ticket", sealed_v1()), speller);
    reads::<v1::message::V1Presentation>(&json!({ "id": "a/b+", "ticket": sealed_v1() }), speller);
    let nonces = json!({ "serverNonce": 1, "requesterNonce": 2, "finalNonce": 3, "ts": 4 });
    reads::<v1::message::V1AcknowledgedNonces>(&nonces, speller);
    let object = with(with(nonces, "id", json!("A/")), "iv", json!("a/b+"));
    reads::<v1::message::V1IdObject>(&object, speller);
    reads::<v1::message::V1Acknowledgement>(&json!({ "message": "a/b+" }), speller);
}

fn messages_of_v2(speller: &mut Speller) {
    let once = json!({ "key": KEY, "iv": BYTES, "cipher": "aes-256-gcm", "hash": "hmac-sha256" });
    let granted = granted(&json!(BYTES), KEY, &once);
    reads::<v2::message::AuthRequest>(
        &json!({
            "requester": "billing/ä", "requested": "ledger", "nonce": BYTES, "ts": 1_800_000_000_000_u64,
            "hash": "hmac-sha256", "supportedHashes": ["hmac-sha256"], "supportedCiphers": ["aes-256-gcm"],
        }),
        speller,
    );
    let auth_data = json!({ "a/b": ["\u{1f40e}", 1, null] });
    reads::<v2::message::Ticket>(&with(granted.clone(), "authData", auth_data), speller);
    let symmetric =
        json!({ "from": "s/", "to": "ledger", "key": BYTES, "salt": BYTES, "sealed": BYTES });
    reads::<SymmetricTicket>(&symmetric, speller);
    for ticket in [symmetric, sealed_v2("auth-ticket")] {
        reads::<v2::message::AuthResponse>(
            &with(granted.clone(), "ticket", ticket.clone()),
            speller,
        );
        reads::<v2::message::Presentation>(&json!({ "id": BYTES, "ticket": ticket }), speller);
    }
    for kind in [
        "auth-request",
        "auth-response",
        "auth-ticket",
        "ticket-keys",
    ] {
        reads::<v2::SealedMessage>(&sealed_v2(kind), speller);
    }
    let nonces =
        json!({ "serverNonce": BYTES, "requesterNonce": BYTES, "finalNonce": BYTES, "ts": 4 });
    let acknowledged = with(nonces.clone(), "encapsulated", json!(BYTES));
    reads::<v2::message::AcknowledgedNonces>(&acknowledged, speller);
    let object = with(with(nonces, "id", json!("A/")), "iv", json!(BYTES));
    reads::<v2::message::IdObject>(&with(object, "ephemeral", json!(BYTES)), speller);
    reads::<v2::message::Acknowledgement>(&json!({ "message": BYTES }), speller);
    let statement =
        json!({ "id": "example.org/", "keys": [BYTES], "events": [], "signature": BYTES });
    reads::<KeyStatement>(&statement, speller);
    reads::<v2::symmetric::TicketResult>(&json!({ "refused": "not-allowed" }), speller);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_are_read_in_every_spelling(seed in any::<u64>()) {
        messages_of_v1(&mut Speller::new(seed));
        messages_of_v2(&mut Speller::new(seed));
    }

    #[test]
    fn envelopes_are_read_in_every_spelling(params in values(), text in any::<String>(), seed in any::<u64>()) {
        let mut speller = Speller::new(seed).on_one_line();
        let operation = json!({ "id": seed, "group": text, "command": "show", "params": params });
        let read: Operation = serde_json::from_str(&speller.value(&operation)).unwrap();
        prop_assert_eq!((read.id, &read.group, read.command.as_str()), (seed, &text, "show"));
        prop_assert_eq!(serde_json::from_str::<Value>(read.params.get()).unwrap(), params.clone());
        let outcome = json!({ "id": seed, "code": 3, "data": params, "output": text });
        let read: Outcome = serde_json::from_str(&speller.value(&outcome)).unwrap();
        prop_assert_eq!((read.id, read.code, &read.output), (seed, Code(3), &text));
        prop_assert_eq!(serde_json::from_str::<Value>(read.data.get()).unwrap(), params.clone());
        let event = json!({ "group": text, "event": "closing", "data": params });
        let read: Event = serde_json::from_str(&speller.value(&event)).unwrap();
        prop_assert_eq!((read.group, serde_json::from_str(read.data.get()).unwrap()), (text, params));
    }
}
