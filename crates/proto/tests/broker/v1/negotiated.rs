//! Negotiation in v1: the algorithms of requests and tickets, and the refusals of consumers that
//! used others.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_proto::broker::v1::V1Refusal;
use countersign_proto::broker::v1::consumer::{ResponseAction, V1ConsumerError};
use countersign_proto::broker::v1::site::{V1Application, V1Site};
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::recorded::{A, B, application, at, auth_request, consumer, file, key, master, public};

const NOW: u64 = 1_800_000_000_000;

/// A site with every algorithm, and a consumer and a provider registered with these lists.
struct Parties {
    site: V1Site,
    first: V1Application,
    second: V1Application,
}

impl Parties {
    fn new(first: &Value, second: &Value) -> Self {
        let all = json!({
            "ciphers": Cipher::ALL.map(Cipher::name), "hashes": RsaHash::ALL.map(RsaHash::name)
        });
        Self {
            site: master(&all),
            first: application(A, "consumer", first),
            second: application(B, "provider", second),
        }
    }

    /// The site's response to a request.
    fn answer(&self, request: &str, now: u64) -> Result<String, V1Refusal> {
        let opened = self.site.open(request)?;
        let (first, second) = (Some(&self.first), Some(&self.second));
        let verified = opened.verify(&self.site, first, &public("consumer2"), now)?;
        let entropy = &mut SystemEntropy;
        let answer = verified.answer(&self.site, &self.first, second, now, entropy)?;
        Ok(serde_json::to_string(&answer).unwrap())
    }
}

fn only(cipher: &str, hash: &str) -> Value {
    json!({ "ciphers": [cipher], "hashes": [hash] })
}

/// A sealed message as other implementations make it.
fn sealed(text: &str, with: (&str, &str), to: &RsaPublicKey, signer: &RsaKey) -> String {
    let (key, iv) = ([7; 32], [9; 16]);
    // An unknown cipher is only named.
    let cipher: Cipher = with.0.parse().unwrap_or(Cipher::ALL[0]);
    let key = &key[..cipher.key_length()];
    let enciphered = cipher.encrypt(key, &iv, text.as_bytes()).unwrap();
    let lock = json!({ "key": BASE64.encode(key), "iv": BASE64.encode(&iv), "algorithm": with.0 });
    let lock = to.seal(lock.to_string().as_bytes()).unwrap();
    let message = format!("{}:{}", BASE64.encode(&enciphered), BASE64.encode(&lock));
    let hash = with.1.parse().unwrap_or(RsaHash::Sha256);
    let signature = signer.sign(hash, message.as_bytes()).unwrap();
    json!({ "message": message, "signature": BASE64.encode(&signature) }).to_string()
}

/// A consumer like the published ones. After 409 and 490 it retries with its first algorithm that
/// the refusal lists as supported, without limit.
struct Public<'a> {
    ciphers: &'a [&'a str],
    hashes: &'a [&'a str],
    /// Whether its requests contain the lists.
    says: bool,
}

impl Public<'_> {
    /// The final status, and the number of requests.
    fn asks(&self, parties: &Parties) -> (u16, usize) {
        let (mut cipher, mut hash) = (self.ciphers[0], self.hashes[0]);
        for asked in 1..=10 {
            let mut text = json!({
                "requester": A, "requested": B, "nonce": asked, "ts": NOW, "hash": hash,
            });
            if self.says {
                text["supportedHashes"] = json!(self.hashes);
                text["supportedCiphers"] = json!(self.ciphers);
            }
            let (to, own) = (public("master"), key("consumer"));
            let request = sealed(&text.to_string(), (cipher, hash), &to, &own);
            let Err(refusal) = parties.answer(&request, NOW) else {
                return (200, asked);
            };
            let body: Value = serde_json::from_str(&refusal.body()).unwrap();
            let supported = &body["additionalInformation"]["supported"];
            let first = |own: &[&str]| {
                let named = |name: &str| supported.as_array().unwrap().contains(&json!(name));
                own.iter().position(|name| named(name))
            };
            match refusal.status() {
                409 => cipher = self.ciphers[first(self.ciphers).unwrap()],
                490 => hash = self.hashes[first(self.hashes).unwrap()],
                status => return (status, asked),
            }
        }
        panic!("it asks for ever")
    }
}

/// The lists that Node sends where none are given begin like this.
const NODE: Public<'_> = Public {
    ciphers: &["aes-128-cbc", "aes-128-ctr", "aes-256-cbc", "aes-256-ctr"],
    hashes: &["RSA-MD5", "md5", "sha512", "sha384", "sha256"],
    says: true,
};

/// Regression: for two applications without a common hash, 490 listed every hash of the site as
/// supported, including the one just used, and published consumers retried 100 times a second
/// without end.
// [BRK-71] and [BRK-72]
#[test]
fn a_consumer_without_a_common_algorithm_gets_a_final_error() {
    let sha256 = only("aes-256-cbc", "sha256");
    for (first, second) in [
        (sha256.clone(), only("aes-256-cbc", "sha512")),
        (only("aes-256-cbc", "sha512"), sha256.clone()),
        (only("aes-256-cbc", "sha512"), only("aes-256-cbc", "sha512")),
        (only("aes-256-cbc", "sha1"), only("aes-256-cbc", "sha1")),
        (sha256.clone(), only("aes-192-cbc", "sha256")),
        (
            json!({ "ciphers": [], "hashes": ["sha256"] }),
            sha256.clone(),
        ),
        (
            sha256.clone(),
            json!({ "ciphers": ["aes-256-cbc"], "hashes": [] }),
        ),
    ] {
        let parties = Parties::new(&first, &second);
        for says in [true, false] {
            let (status, asked) = Public { says, ..NODE }.asks(&parties);
            assert_eq!(status, 500, "{first} {second}");
            assert!(asked <= 2, "{first} {second}: asked {asked} times");
        }
    }
}

// [BRK-71]
#[test]
fn a_published_consumer_without_lists_gets_a_ticket() {
    for lists in [
        only("aes-256-cbc", "sha256"),
        json!({ "ciphers": ["aes-256-ctr", "aes-128-cbc"], "hashes": ["sha512", "sha256"] }),
    ] {
        let parties = Parties::new(&lists, &lists);
        for says in [true, false] {
            let (status, asked) = Public { says, ..NODE }.asks(&parties);
            assert_eq!(status, 200, "{lists}");
            assert!(asked <= 3, "{lists}: asked {asked} times");
        }
    }
}

/// Regression: a consumer registered with SHA-256 only used SHA-1, which 490 had listed, and got
/// its ticket.
// [BRK-71]
#[test]
fn a_request_with_an_unregistered_algorithm_gets_the_registered_ones() {
    let flow = file("flows/negotiation-mixed.json");
    let steps = flow["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["kind"] == "authRequest");
    let (request, now) = (auth_request(step.unwrap()).unwrap(), at(step.unwrap()));
    // It is signed with SHA-1 and encrypted with aes256.
    let provider = json!({ "ciphers": ["aes256", "aes192"], "hashes": ["sha256"] });
    for (registered, status, supported) in [
        (only("aes256", "sha256"), 490, json!(["sha256"])),
        (
            json!({ "ciphers": ["aes192"], "hashes": ["sha256", "sha1"] }),
            409,
            json!(["aes192"]),
        ),
    ] {
        let parties = Parties::new(&registered, &provider);
        let refusal = parties.answer(&request, now).unwrap_err();
        let body: Value = serde_json::from_str(&refusal.body()).unwrap();
        assert_eq!(refusal.status(), status, "{registered}");
        assert_eq!(body["additionalInformation"]["supported"], supported);
    }
    // Registered algorithms are accepted, including SHA-1, which is never offered.
    let lists = json!({ "ciphers": ["aes256"], "hashes": ["sha1", "sha256"] });
    assert!(
        Parties::new(&lists, &provider)
            .answer(&request, now)
            .is_ok()
    );
}

/// Regression: a request that listed only `rot13` got a ticket that it could not use.
// [BRK-72]
#[test]
fn a_ticket_uses_algorithms_that_are_both_requested_and_registered() {
    let lists = json!({ "ciphers": ["aes-256-cbc", "aes-128-cbc"], "hashes": ["sha256"] });
    let parties = Parties::new(&lists, &lists);
    let ask = |more: Value| {
        let mut text = json!({
            "requester": A, "requested": B, "nonce": 1, "ts": NOW, "hash": "sha256",
        });
        text.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let with = ("aes-128-cbc", "sha256");
        let request = sealed(&text.to_string(), with, &public("master"), &key("consumer"));
        parties.answer(&request, NOW)
    };
    for (more, refused) in [
        (
            json!({ "supportedHashes": ["rot13"] }),
            Some(V1Refusal::NoCommonHash),
        ),
        (
            json!({ "supportedHashes": ["sha512"] }),
            Some(V1Refusal::NoCommonHash),
        ),
        (
            json!({ "supportedHashes": [] }),
            Some(V1Refusal::NoCommonHash),
        ),
        (
            json!({ "supportedCiphers": ["rot13"] }),
            Some(V1Refusal::NoCommonCipher),
        ),
        (
            json!({ "supportedCiphers": 7 }),
            Some(V1Refusal::NoCommonCipher),
        ),
        (
            json!({ "supportedCiphers": ["rot13", "aes-128-cbc"] }),
            None,
        ),
        // As some write a list with gaps; and the name that some give the member by mistake.
        (
            json!({ "supportedCiphers": { "0": "rot13", "7": "aes-128-cbc" } }),
            None,
        ),
        (
            json!({ "supportedHashes": null, "suppportedHashes": ["md5"] }),
            None,
        ),
        (json!({}), None),
    ] {
        let answered = ask(more.clone());
        assert_eq!(answered.err(), refused, "{more}");
    }
    // The ticket's cipher is one of those, and not the one that both are registered with as the
    // best.
    let ours = consumer(&json!({ "ciphers": ["aes-128-cbc"], "hashes": ["sha256"] }));
    let (asked, request) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let request = serde_json::to_string(&request).unwrap();
    let body = parties.answer(&request, NOW).unwrap();
    let answered = ours.read_response(asked, 200, body.as_bytes(), NOW, &mut SystemEntropy);
    let Ok(ResponseAction::Granted(granted)) = answered else {
        panic!("{answered:?}")
    };
    assert_eq!(
        granted.response().one_time_credentials.cipher,
        "aes-128-cbc"
    );
}

/// Regression: both preferred SHA-512, which Hawk does not support, so the ticket was useless.
// [BRK-72]
#[test]
fn the_hash_of_a_ticket_is_one_that_hawk_supports() {
    let lists = json!({ "ciphers": ["aes-256-cbc"], "hashes": ["sha512", "sha384", "sha256"] });
    let parties = Parties::new(&lists, &lists);
    let ours = consumer(&lists);
    let (asked, request) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
    let request = serde_json::to_string(&request).unwrap();
    let body = parties.answer(&request, NOW).unwrap();
    let answered = ours.read_response(asked, 200, body.as_bytes(), NOW, &mut SystemEntropy);
    let Ok(ResponseAction::Granted(granted)) = answered else {
        panic!("{answered:?}")
    };
    assert_eq!(granted.response().one_time_credentials.hash, "sha256");
}

// [BRK-72]
#[test]
fn our_consumer_reports_that_nothing_is_in_common() {
    let ours = consumer(&only("aes-256-cbc", "sha256"));
    for (refusal, error) in [
        (V1Refusal::NoCommonHash, V1ConsumerError::NothingInCommon),
        (V1Refusal::NoCommonCipher, V1ConsumerError::NothingInCommon),
        (V1Refusal::NotVerified, V1ConsumerError::Refused(500)),
    ] {
        let (asked, _) = ours.ask(B, NOW, &mut SystemEntropy).unwrap();
        let body = refusal.body();
        let answered = ours.read_response(asked, 500, body.as_bytes(), NOW, &mut SystemEntropy);
        assert_eq!(answered.err(), Some(error));
    }
}
