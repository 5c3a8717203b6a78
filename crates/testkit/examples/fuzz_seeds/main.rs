//! Writes the seeds of the fuzz targets, one valid input of each kind, to `fuzz/seeds`:
//! `cargo run -p countersign-testkit --example fuzz_seeds`. Run it after a change of a format.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the program stops at an error"
)]

mod requests;
mod sites;
mod stored;
mod texts;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::key_file::{DeliveredKey, write_identity};
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_crypto::secret::{Passphrase, Secret};
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_crypto::site_key_slots::{
    Argon2idCost, NewSlot, RecoveryCode, SlotFile, WrappedSiteKey,
};
use countersign_proto::broker::v2::clock::Clock;
use countersign_proto::broker::v2::consumer::Consumer;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::site::{Application, Site as BrokerSite, UnverifiedRequest};
use countersign_proto::broker::v2::{Credentials, signature};
use countersign_proto::operation::{Code, Operation};
use countersign_proto::risp::Value;
use countersign_proto::session::{EncryptionOption, OptionList, command as c};
use countersign_proto::uri::SiteUri;
use countersign_testkit::decisions::Decisions;
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::put;
use countersign_testkit::pair::{Flight, Pair, Who};
use countersign_testkit::site::{PASSPHRASE, Site};
use countersign_testkit::wire::{Direction, Honest};
use serde_json::{Value as Json, json};

fn main() {
    names();
    files();
    logins();
    packets();
    runs();
    operations();
    lines();
    dump();
    recorded_broker();
    broker();
    sites::enrolment();
    sites::key_events();
    sites::devices();
    sites::peers();
    requests::tokens();
    requests::signed();
    requests::rest();
    requests::fields();
    requests::webhook();
    stored::records();
    stored::settings();
    texts::settings();
    texts::command_line();
    texts::values();
    texts::mail();
}

fn write(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

fn key(byte: u8) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
}

fn names() {
    write("account_name", "local", "maria");
    write("account_name", "whole", "maria.k-2@example.org");
    let key = Site::new().settings.key.public();
    for (name, host) in [
        ("dns", "login.example.org"),
        ("ipv4", "192.0.2.1"),
        ("ipv6", "[::1]"),
    ] {
        let uri = SiteUri::new(host, 4_747, key).unwrap();
        write("site_uri", name, uri.to_string());
    }
}

fn files() {
    let entropy = &mut SeededEntropy::new(0).fork("fuzz seeds");
    let passphrase = Passphrase::from(PASSPHRASE.to_owned());
    let site = Site::new();

    let certificate = site.robot.certificate();
    write("certificate", "der", certificate.der());
    write("certificate", "pem", certificate.to_pem());
    let plain = write_identity(&site.robot, None, entropy);
    write("key_file", "plain", plain.expose());
    let encrypted = write_identity(&site.robot, Some(&passphrase), entropy);
    write("key_file", "encrypted", encrypted.expose());
    let other = &mut SeededEntropy::new(0).fork("fuzz seeds of applications");
    let seed = IdentitySeed(Secret::generate(other));
    let party = PartyKey::new(Arc::new(Identity::from_seed(seed)));
    write("application_key", "party", party.public().to_pem());
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/serveros/keys");
    for (name, file) in [
        ("rsa", "consumer.pub.pem"),
        ("rsa_private", "consumer.key.pem"),
    ] {
        write(
            "application_key",
            name,
            fs::read(recorded.join(file)).unwrap(),
        );
    }
    let delivered = DeliveredKey::new(&site.robot, &passphrase, entropy);
    let der = delivered.certificate().der();
    let length = u16::try_from(der.len()).unwrap().to_be_bytes();
    write(
        "delivered_key",
        "whole",
        [&length, der, delivered.encrypted_key()].concat(),
    );

    let key = &site.settings.key;
    let file = SlotFile::generate(entropy);
    let code = RecoveryCode::generate(entropy);
    let cost = Argon2idCost::new(8 * 1_024, 1, 1).unwrap();
    let mut wrapped = WrappedSiteKey::create(key, NewSlot::File(&file), 0, entropy).unwrap();
    write(
        "site_key_slots",
        "file",
        serde_json::to_string(&wrapped).unwrap(),
    );
    let others = [
        NewSlot::RecoveryCode(&code),
        NewSlot::Passphrase(&passphrase, cost),
    ];
    for slot in others {
        wrapped.add(key, slot, 0, entropy).unwrap();
    }
    write(
        "site_key_slots",
        "all",
        serde_json::to_string(&wrapped).unwrap(),
    );
}

fn logins() {
    let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
    for option in [
        EncryptionOption::HybridAes256Gcm,
        EncryptionOption::X25519Aes256Gcm,
        EncryptionOption::DeliveredKey,
    ] {
        for (kind, who) in [(0, Who::MARIA), (1, Who::Service(&site.robot))] {
            let mut settings = site.client();
            settings.accepted = vec![option];
            let mut pair = Pair::new(&site, settings, who, 1);
            pair.run(&mut Honest);
            let name = format!("{}-{}", ["person", "service"][kind], option.name());
            let flights_of = |flights: &[Flight], direction| -> Vec<u8> {
                let of_direction = flights
                    .iter()
                    .filter(|flight| flight.direction == direction);
                of_direction
                    .flat_map(|flight| flight.bytes.clone())
                    .collect()
            };
            let to_server = flights_of(&pair.flights, Direction::ToServer);
            write("server_login", &name, [&[255], &to_server[..]].concat());
            write("risp_read", &name, &to_server);
            let to_client = flights_of(&pair.flights, Direction::ToClient);
            let original = option == EncryptionOption::DeliveredKey;
            let kind = u8::try_from(kind).unwrap() | u8::from(original) << 1;
            write(
                "client_login",
                &name,
                [&[kind, 255], &to_client[..]].concat(),
            );
        }
    }
}

fn packets() {
    let message = |fields: &[_]| {
        let mut message = Vec::new();
        put(&mut message, c::MESSAGE_ID, Value::U64(1));
        for (command, value) in fields {
            put(&mut message, *command, *value);
        }
        put(&mut message, c::END, Value::Nothing);
        message
    };
    let packet = |inside: &[u8]| {
        let length = u16::try_from(inside.len()).unwrap();
        [&length.to_be_bytes(), inside].concat()
    };
    let operation = message(&[
        (c::GROUP, Value::Bytes(b"test")),
        (c::COMMAND, Value::Bytes(b"echo")),
        (c::PARAMS, Value::Bytes(b"{\"a\":1}")),
    ]);
    // In both formats of packets.
    for (first, name) in [(0, "operation"), (8, "operation-delivered-key")] {
        write(
            "packets",
            name,
            [&[first], &packet(&operation)[..]].concat(),
        );
    }
    // A message in two packets.
    let digest = countersign_crypto::hash::sha256(b"[1]");
    let mut cut = Vec::new();
    put(&mut cut, c::MESSAGE_ID, Value::U64(1));
    put(&mut cut, c::GROUP, Value::Bytes(b"test"));
    put(&mut cut, c::COMMAND, Value::Bytes(b"echo"));
    put(&mut cut, c::PARAMS, Value::Bytes(b"[1"));
    let rest = message(&[
        (c::PARAMS, Value::Bytes(b"]")),
        (c::VERIFICATION_SHA256, Value::Bytes(&digest)),
    ]);
    write(
        "packets",
        "cut",
        [&[0], &packet(&cut)[..], &packet(&rest)].concat(),
    );
    let result = message(&[
        (c::CODE, Value::U16(0)),
        (c::DATA, Value::Bytes(b"{}")),
        (c::OUTPUT, Value::Bytes(b"done")),
    ]);
    let event = message(&[
        (c::GROUP, Value::Bytes(b"session")),
        (c::EVENT, Value::Bytes(b"expiring")),
        (c::DATA, Value::Bytes(b"{}")),
    ]);
    for (first, name) in [(1, "results"), (9, "results-delivered-key")] {
        let results = [&[first], &packet(&result)[..], &packet(&event)].concat();
        write("packets", name, results);
    }
}

/// Random choices for the simulator, with long packets and with short ones.
fn runs() {
    for seed in 0..8 {
        let mut chances = [0; 200];
        SeededEntropy::new(seed)
            .fork("fuzz seeds")
            .fill(&mut chances);
        chances[0] = u8::try_from(seed).unwrap();
        write("live_session", &format!("run-{seed}"), chances);
    }
}

fn operations() {
    let table = countersign_core::operations::table().unwrap();
    for entry in table.entries() {
        let (group, command) = (entry.group(), entry.command());
        let example = serde_json::value::to_raw_value(entry.example()).unwrap();
        let operation = Operation::new(1, group, command, example);
        let line = serde_json::to_string(&operation).unwrap();
        write("operation_line", &format!("{group}-{command}"), line);
    }
}

/// Traffic of the admin socket. The first byte selects the pieces in which it arrives.
fn lines() {
    let operation = r#"{"id":1,"group":"person","command":"load","params":{},"content":true}"#;
    let outcome = r#"{"id":1,"code":0,"data":{},"output":"done"}"#;
    let event = r#"{"group":"session","event":"expiring","data":{}}"#;
    let content = "{\"piece\":\"AAEC\"}\n\"end\"\n";
    write("lines", "content", format!("\x05{operation}\r\n{content}"));
    write(
        "lines",
        "broken",
        format!("\x7f{operation}\n{{\"broken\":\"why\"}}"),
    );
    write("lines", "answer", format!("\x01{outcome}\n\n{event}\n"));
}

fn dump() {
    let site = Site::new();
    let maria = site.person("maria@example.org").unwrap();
    let text = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let person = json!({
        "name": "maria@example.org",
        "full_name": "Maria K.",
        "email": "maria@example.org",
        "role": "admin",
        "state": "active",
        "created": "2026-01-01T00:00:00Z",
    });
    let credential = json!({
        "suite": "opaque-ristretto255-sha512-argon2id",
        "setup": text(Decisions::new().setup().as_bytes()),
        "credential_id": text(&[7; 16]),
        "record": text(maria.record.as_bytes()),
        "sealed_identity": text(&maria.sealed_identity),
        "certificate": site.maria.certificate().to_pem(),
        "changed": "2026-01-01T00:00:00Z",
    });
    let delivered = site.delivered("maria@example.org").unwrap().key;
    let delivered_key = json!({
        "certificate": delivered.certificate().to_pem(),
        "key": delivered.encrypted_key_pem(),
        "changed": "2026-01-01T00:00:00Z",
    });
    let dump = json!({
        "format": "countersign person",
        "version": 1,
        "person": person,
        "credential": credential,
        "delivered_key": delivered_key,
    });
    let dump = serde_json::to_string(&dump).unwrap();
    let params = serde_json::value::to_raw_value(&json!({ "dump": dump })).unwrap();
    let loaded = Decisions::new().run(&Operation::new(1, "person", "load", params));
    assert_eq!(loaded.code, Code::SUCCESS, "{}", loaded.data);
    write("person_dump", "whole", dump);
}

/// Recorded messages of edition v1, by their recipient.
fn recorded_broker() {
    let flow = |name: &str| -> Json {
        let flows = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/flows");
        let text = fs::read_to_string(format!("{flows}/{name}.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let seed =
        |name, who: u8, text: &str| write("broker_v1", name, [&[who], text.as_bytes()].concat());
    let whole = flow("ok-aes-256-cbc-sha256");
    let [asks, presents, signs] = [0, 1, 2].map(|step| &whole["steps"][step]);
    seed(
        "request",
        0,
        &asks["decoded"]["request"]["authRequest"].to_string(),
    );
    seed("presentation", 1, &text(&presents["request"]["body"]));
    seed("answer", 2, &text(&asks["response"]["body"]));
    seed("hawk", 4, &text(&signs["request"]["headers"][0][1]));
    let refused = flow("retry-409-then-490");
    seed(
        "unsupported",
        3,
        &text(&refused["steps"][0]["response"]["body"]),
    );
}

/// Messages between the parties of edition v2.
fn broker() {
    let entropy = &mut SeededEntropy::new(0).fork("broker");
    let party = |byte| {
        let seed = IdentitySeed(Secret::from_bytes([byte; 32]));
        PartyKey::new(Arc::new(Identity::from_seed(seed)))
    };
    let now = 1_800_000_000_000;
    let application = |id: &str, byte| Application {
        id: id.to_owned(),
        keys: vec![party(byte).public().clone()],
        suite: SealingSuite::X25519,
        keys_last: 3_600_000,
        auth_data: None,
    };
    let (first, second) = (application("billing", 2), application("ledger", 3));
    let site = BrokerSite {
        id: "example.org".to_owned(),
        keys: vec![party(1)],
    };
    let consumer = Consumer {
        id: "billing".to_owned(),
        keys: vec![party(2)],
        site: "example.org".to_owned(),
        site_keys: vec![party(1).public().clone()],
        suite: SealingSuite::X25519,
    };
    let seed = |name, who: u8, text: &[u8]| write("broker_v2", name, [&[who], text].concat());
    let (asked, request) = consumer.ask("ledger", now, entropy).unwrap();
    let request = serde_json::to_vec(&request).unwrap();
    seed("request", 0, &request);
    let unregistered = party(9);
    let verified = UnverifiedRequest::read(&request).unwrap();
    let verified = verified
        .verify(&site, Some(&first), unregistered.public(), now)
        .unwrap();
    let answer = verified.answer(&site, &first, Some(&second), now, entropy);
    let answer = serde_json::to_vec(&answer.unwrap()).unwrap();
    seed("answer", 2, &answer);
    let granted = consumer.read_response(asked, &answer).unwrap();
    let (_, presentation) = granted.present(now, entropy).unwrap();
    seed("presentation", 1, presentation.as_bytes());
    let clock = Clock::issue(Nonce([0; 16]), now, &party(1));
    let credentials = Credentials {
        application: "ledger".to_owned(),
        id: Nonce([1; 16]),
        secret: Secret::from_bytes([6; 32]),
        expires: u64::MAX,
    };
    let signed = signature::HttpRequest {
        method: "GET",
        authority: "ledger.example.org",
        target: "/",
        content: &[],
    };
    let fields = signature::sign(&credentials, &signed, Nonce([2; 16]), now / 1_000, 30).unwrap();
    let lines = [
        fields.signature_input,
        fields.signature,
        fields.content_digest,
    ];
    seed("signature", 3, lines.join("\n").as_bytes());
    seed("clock", 4, &serde_json::to_vec(&clock).unwrap());
}
