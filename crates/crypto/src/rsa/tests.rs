use data_encoding::BASE64;
use serde_json::Value;

use super::*;

fn pem(name: &str) -> String {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/keys");
    std::fs::read_to_string(format!("{keys}/{name}.pem")).unwrap()
}

fn key(name: &str) -> RsaKey {
    RsaKey::from_pem(&pem(&format!("{name}.key")).into()).unwrap()
}

fn recorded() -> Value {
    serde_json::from_str(include_str!("../../../../vectors/serveros/primitives.json")).unwrap()
}

fn bytes(value: &str) -> Vec<u8> {
    BASE64.decode(value.as_bytes()).unwrap()
}

#[test]
fn recorded_signatures_are_checked_and_made_again() {
    let consumer = key("consumer");
    let public = RsaPublicKey::from_pem(&pem("consumer.pub")).unwrap();
    assert_eq!(&public, consumer.public());
    let (mut checked, mut made) = (0, 0);
    for case in recorded()["signatures"].as_array().unwrap() {
        let Ok(hash) = case["hash"].as_str().unwrap().parse::<RsaHash>() else {
            continue;
        };
        let text = case["signedText"].as_str().unwrap().as_bytes();
        let signature = bytes(case["signature"].as_str().unwrap());
        assert_eq!(public.verify(hash, text, &signature), Ok(()), "{hash}");
        checked += 1;
        if hash.signs() {
            assert_eq!(consumer.sign(hash, text), Ok(signature.clone()), "{hash}");
            made += 1;
        } else {
            assert_eq!(consumer.sign(hash, text), Err(RsaFailed));
        }
        let mut changed = signature;
        changed[9] ^= 1;
        assert_eq!(public.verify(hash, text, &changed), Err(BadSignature));
    }
    assert_eq!((checked, made), (4, 3));
}

#[test]
fn recorded_locks_open() {
    let consumer = key("consumer");
    for case in recorded()["envelopes"].as_array().unwrap() {
        let envelope: Value = match &case["envelope"] {
            Value::String(text) => Value::String(text.clone()),
            envelope => envelope["message"].clone(),
        };
        let sealed = envelope.as_str().unwrap().split(':').nth(1).unwrap();
        let lock = consumer.open(&bytes(sealed)).unwrap();
        assert_eq!(
            lock.expose(),
            case["rsaPlaintext"].as_str().unwrap().as_bytes()
        );
    }
}

#[test]
fn what_is_sealed_to_a_key_opens_with_it_alone() {
    let (own, other) = (key("provider"), key("master"));
    let longest = 2_048 / 8 - 42;
    let sealed = own.public().seal(&vec![5; longest]).unwrap();
    assert_eq!(own.open(&sealed).unwrap().expose(), vec![5; longest]);
    assert!(other.open(&sealed).is_err());
    assert!(own.open(&sealed[1..]).is_err());
    assert!(own.open(&[]).is_err());
    assert_eq!(own.public().seal(&vec![5; longest + 1]), Err(RsaFailed));
}

#[test]
fn what_is_no_key_is_refused() {
    let private = RsaKey::from_pem(&pem("master.pub").into());
    assert_eq!(private.err(), Some(RsaKeyError::NotPem("PRIVATE KEY")));
    let public = RsaPublicKey::from_pem(&pem("master.key"));
    assert_eq!(public.err(), Some(RsaKeyError::NotPem("PUBLIC KEY")));
    // An Ed25519 key (RFC 8410, section 10.1).
    let other = "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
         -----END PUBLIC KEY-----\n";
    let public = RsaPublicKey::from_pem(other);
    assert_eq!(public.err(), Some(RsaKeyError::NotRsa));
    assert!(RsaPublicKey::from_spki(Vec::new()).is_err());
    assert_eq!(format!("{:?}", key("master")), "RsaKey(..)");
}

#[test]
fn a_new_key_is_read_again_and_openssl_would_know_it() {
    let pem = RsaKey::generate().unwrap();
    assert!(pem.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let key = RsaKey::from_pem(&pem).unwrap();
    let public = RsaPublicKey::from_pem(&key.public().to_pem()).unwrap();
    assert_eq!(&public, key.public());
    let sealed = public.seal(b"a key").unwrap();
    assert_eq!(sealed.len(), 384);
    assert_eq!(key.open(&sealed).unwrap().expose(), b"a key");
    let other = RsaKey::from_pem(&RsaKey::generate().unwrap()).unwrap();
    assert_ne!(other.public(), key.public());
}
