//! Registration as an oracle: an attacker who obtains OPRF evaluations under the key of a record
//! can test guesses offline against one recorded answer to a login, without the site's throttle.

use countersign_core::access::Caller;
use countersign_core::engine::{PersonLogin, Site};
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_crypto::passphrase::{
    ClientLogin, ClientRegistration, Identifiers, LoginSuite, PassphraseRecord, ServerLogin,
    ServerSetup,
};
use countersign_crypto::secret::Passphrase;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestSite, run};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::passphrase::register;

const RIGHT: &str = "a fine pass phrase";
const GUESSES: [&str; 3] = ["letmein letmein", RIGHT, "hunter2 hunter2"];

/// The parts of a KE2 (RFC 9807, section 6.3.2): evaluated element, masking nonce, masked response.
const EVALUATED: std::ops::Range<usize> = 0..32;
const NONCE: std::ops::Range<usize> = 32..64;
const MASKED: std::ops::Range<usize> = 64..192;

/// Returns the recorded masking nonce in every draw.
struct Repeating(Vec<u8>);

impl Entropy for Repeating {
    fn fill(&mut self, out: &mut [u8]) {
        for (to, from) in out.iter_mut().zip(self.0.iter().cycle()) {
            *to = *from;
        }
    }
}

/// Returns the site's answer to a login that the attacker then abandons.
fn abandoned_login(login: &PersonLogin) -> Vec<u8> {
    answer(
        login,
        &ClientLogin::start(LoginSuite::Classical, &phrase("?"), &mut SystemEntropy)
            .unwrap()
            .1,
    )
}

/// Returns the listener's answer to a first message.
fn answer(login: &PersonLogin, ke1: &[u8]) -> Vec<u8> {
    ServerLogin::start(
        LoginSuite::Classical,
        &login.setup,
        Some(&login.record),
        &login.credential_id.0,
        ke1,
        b"context",
        Identifiers::default(),
        &mut SystemEntropy,
    )
    .unwrap()
    .1
}

/// Tests a guess with the response to a registration request: if the guess is right and the OPRF
/// key is that of the record, the masking key derived from both unmasks the recorded KE2. The
/// attacker learns the site's public key from any registration, and masks with a setup of their
/// own.
fn unmasks(
    registration: ClientRegistration,
    guess: &str,
    response: &[u8],
    recorded: &[u8],
) -> bool {
    let (record, _) = registration
        .finish(
            &phrase(guess),
            response,
            Identifiers::default(),
            &mut SystemEntropy,
        )
        .unwrap();
    let own = ServerSetup::generate(&mut SystemEntropy);
    let (_, request) = ClientRegistration::start(&phrase("?"), &mut SystemEntropy).unwrap();
    let own_public = own.registration_response(b"own", &request).unwrap()[32..].to_vec();
    let record = PassphraseRecord::from_stored(record.as_bytes()).unwrap();
    let (_, ke1) =
        ClientLogin::start(LoginSuite::Classical, &phrase("?"), &mut SystemEntropy).unwrap();
    let (_, masked) = ServerLogin::start(
        LoginSuite::Classical,
        &own,
        Some(&record),
        b"own",
        &ke1,
        b"context",
        Identifiers::default(),
        &mut Repeating(recorded[NONCE].to_vec()),
    )
    .unwrap();
    assert_eq!(masked[NONCE], recorded[NONCE], "the same masking nonce");
    let theirs = &response[32..64];
    (0..32).all(|at| recorded[MASKED][at] ^ masked[MASKED][at] == theirs[at] ^ own_public[at])
}

/// Tests all guesses offline. `evaluate` answers a registration request, or refuses it.
async fn guessed(
    recorded: &[u8],
    evaluate: impl AsyncFn(&[u8]) -> Option<Vec<u8>>,
) -> Option<&'static str> {
    for guess in GUESSES {
        let (registration, request) =
            ClientRegistration::start(&phrase(guess), &mut SystemEntropy).unwrap();
        if let Some(response) = evaluate(&request).await
            && unmasks(registration, guess, &response, recorded)
        {
            return Some(guess);
        }
    }
    None
}

async fn victim(test: &TestSite) -> Vec<u8> {
    let admin = Caller::admin_socket();
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    register(&test.site, &admin, "person", Some("maria"), RIGHT).await;
    abandoned_login(&login(&test.site, "maria").await)
}

async fn login(site: &Site, name: &str) -> PersonLogin {
    let found = site.person_for_login(&name.parse().unwrap()).await;
    found.unwrap().unwrap()
}

/// Checks the attack itself: with the OPRF key of the record it finds the pass phrase.
#[tokio::test]
async fn the_oprf_key_of_a_record_allows_offline_guessing() {
    let test = TestSite::new().await;
    let recorded = victim(&test).await;
    let maria = login(&test.site, "maria").await;
    let evaluate = async |request: &[u8]| {
        let response = maria
            .setup
            .registration_response(&maria.credential_id.0, request);
        Some(response.unwrap())
    };
    assert_eq!(guessed(&recorded, evaluate).await, Some(RIGHT));
}

/// [OPS-1] Regression test: an admin's session started registrations for maria repeatedly.
/// Registration and login used the same credential id and so the same OPRF key, so that each
/// response tested one guess against the KE2 of an abandoned login: 7,100 a second, without an
/// audit entry.
#[tokio::test]
async fn an_admin_cannot_test_guesses_of_a_pass_phrase_with_registrations() {
    let test = TestSite::new().await;
    let recorded = victim(&test).await;
    let root = test.person("root", "admin").await;
    let evaluate = async |request: &[u8]| {
        let params = json!({ "name": "maria", "request": encode(request) });
        let (code, started) =
            run(&test.site, &root.caller, "person.passphrase_start", params).await;
        assert_eq!(code, Code::SUCCESS, "{started}");
        Some(decode(&started["response"]))
    };
    assert_eq!(guessed(&recorded, evaluate).await, None);
}

/// [OPS-1], [OPS-4]: the same with a stolen session of maria, through `self`.
#[tokio::test]
async fn a_stolen_session_cannot_test_guesses_of_its_pass_phrase_with_registrations() {
    let test = TestSite::new().await;
    let recorded = victim(&test).await;
    let shown = test.admin("person.show", json!({ "name": "maria" })).await;
    let proof = countersign_core::sessions::Proof::Passphrase;
    let stolen = test.session(&shown, proof).await.unwrap();
    let evaluate = async |request: &[u8]| {
        let params = json!({ "request": encode(request) });
        let (code, started) =
            run(&test.site, &stolen.caller, "self.passphrase_start", params).await;
        (code == Code::SUCCESS).then(|| decode(&started["response"]))
    };
    assert_eq!(guessed(&recorded, evaluate).await, None);
}

/// [OPS-8] Regression test: an admin loaded a person with maria's credential id and logged in as
/// that person. Each answer of the site tested a guess of maria's pass phrase.
#[tokio::test]
async fn a_loaded_person_cannot_test_guesses_of_another_pass_phrase() {
    let test = TestSite::new().await;
    let recorded = victim(&test).await;
    let maria = login(&test.site, "maria").await;
    let root = test.person("root", "admin").await;
    let admin = Caller::admin_socket();
    test.admin("person.create", json!({ "name": "mallory" }))
        .await;
    register(
        &test.site,
        &admin,
        "person",
        Some("mallory"),
        "known to mallory",
    )
    .await;
    let mut dump = test
        .admin("person.dump", json!({ "name": "mallory" }))
        .await;
    test.admin("person.delete", json!({ "name": "mallory" }))
        .await;
    dump["credential"]["credential_id"] = encode(&maria.credential_id.0).into();
    dump.as_object_mut().unwrap().remove("check");
    for gone in [false, true] {
        // Also after maria was deleted, whose pass phrase may be in use elsewhere.
        if gone {
            test.admin("person.delete", json!({ "name": "maria" }))
                .await;
        }
        let params = json!({ "dump": dump.to_string() });
        run(&test.site, &root.caller, "person.load", params).await;
        let found = test
            .site
            .person_for_login(&"mallory".parse().unwrap())
            .await;
        let Some(mallory) = found.unwrap() else {
            continue;
        };
        let evaluate = async |request: &[u8]| {
            let (_, mut ke1) =
                ClientLogin::start(LoginSuite::Classical, &phrase("?"), &mut SystemEntropy)
                    .unwrap();
            ke1[..32].copy_from_slice(request);
            let ke2 = answer(&mallory, &ke1);
            let public = maria.setup.registration_response(b"any", request).unwrap();
            Some([&ke2[EVALUATED], &public[32..]].concat())
        };
        assert_eq!(guessed(&recorded, evaluate).await, None);
    }
}

fn phrase(text: &str) -> Passphrase {
    text.to_owned().into()
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn decode(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}
