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
fn recorded_signatures_are_verified_and_reproduced() {
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
            assert_eq!(consumer.sign(hash, text), Err(RsaError));
        }
        let mut changed = signature;
        changed[9] ^= 1;
        assert_eq!(public.verify(hash, text, &changed), Err(BadSignature));
    }
    assert_eq!((checked, made), (4, 3));
}

#[test]
fn recorded_sealed_messages_open() {
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
fn a_sealed_message_opens_only_with_its_key() {
    let (own, other) = (key("provider"), key("master"));
    let max_len = 2_048 / 8 - 42;
    let sealed = own.public().seal(&vec![5; max_len]).unwrap();
    assert_eq!(own.open(&sealed).unwrap().expose(), vec![5; max_len]);
    assert!(other.open(&sealed).is_err());
    assert!(own.open(&sealed[1..]).is_err());
    assert!(own.open(&[]).is_err());
    assert_eq!(own.public().seal(&vec![5; max_len + 1]), Err(RsaError));
}

#[test]
fn an_invalid_key_is_rejected() {
    let private = RsaKey::from_pem(&pem("master.pub").into());
    assert_eq!(private.err(), Some(RsaKeyError::NotPem("PRIVATE KEY")));
    let public = RsaPublicKey::from_pem(&pem("master.key"));
    assert_eq!(public.err(), Some(RsaKeyError::Private));
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
fn a_generated_key_is_read_back_and_has_the_form_of_openssl() {
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

/// As `openssl genpkey -algorithm RSA-PSS` makes it.
const PSS: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBALktoNG9ubh/wVje4s7aEcx/\n\
CrN7zJkk3sdkuiMHLfXCgjodZGeW5YU8osUuCkQ1pCmCUzk9Re7wvlZQrpxmklLI\n\
LcLCv7UuJIbXU1W4A7T4DrKRvNtHgB5ULBUA9FhdwsxmL5J9k2DJPemASqCmkodW\n\
4IU9BwayhtJ5BsTq7hKb2TH+BlTeGF9cfwm7I0PpLd8fQa4OuYK409+QB1Zh/izs\n\
VxJZMf/2p8fEJvdaVf/XVZ/d/GcwpRXeWo35lHFeytJAurr0OQM6M2Hiah3r+m3j\n\
U1M1DEkaQM/283XSb0S4d/3E1U47UpSYYfUD2UPmus06nBWxrjN5d8Q+KLpZ4rUC\n\
AwEAAQ==\n\
-----END PUBLIC KEY-----\n\
";

/// The public key `consumer`, as `openssl rsa -RSAPublicKey_out` writes it.
const PKCS1: &str = "\
-----BEGIN RSA PUBLIC KEY-----\n\
MIIBCgKCAQEAqlAbGy4YiCwpPimQmrFMWNEs6sZqMg7wT9MmrXgP1JpHeOlV6HQv\n\
Nw8zwPCsMS2mVigNOO3y5fsveUUCmhPQChpfu/h9ncnLhb2qPVz8vtTbL2/LLbo6\n\
msu6UpGESQFuXsE2sZsS0pMJdmEFl2robTW1nQeZE0o8bryTx+BdPjLtJDSvEnlM\n\
XLyZRwDZGZAuw2CNJLmUbQBTfEQy7gsnzMU7mv8C7O8nFjxQqw0hkqrnATpFEIlY\n\
w0b3pr/hxD11XvlQ+7huuUH8raVuzAmlTmcO6+fP0Jg1PG0YItL2bYLHnYH4RGy7\n\
Q9b1kQ0UtgDCQ/5up9hmyMIf7bcb8wyyuQIDAQAB\n\
-----END RSA PUBLIC KEY-----\n\
";

/// A private key with another label, and with its PKCS #8 changed by `change`.
fn private(label: &str, change: impl Fn(&SecretDocument) -> Vec<u8>) -> SecretText {
    let (_, document) = SecretDocument::from_pem(&pem("consumer.key")).unwrap();
    let text = encode_string(label, LineEnding::LF, &change(&document)).unwrap();
    text.into()
}

/// Regression: a key for RSASSA-PSS only could be registered, and no signature of its application
/// could be verified in edition v1.
#[test]
fn a_key_for_pss_only_is_rejected_with_the_command_for_another_one() {
    let public = RsaPublicKey::from_pem(PSS);
    assert_eq!(public.err(), Some(RsaKeyError::PssOnly));
    assert!(
        RsaKeyError::PssOnly
            .to_string()
            .contains("openssl genpkey -algorithm RSA ")
    );
    let of_pss = private(PRIVATE, |document| {
        // The last arc of the algorithm identifier is 1 for rsaEncryption, 10 for RSASSA-PSS.
        let mut bytes = document.as_bytes().to_vec();
        let rsa = crate::oid::RSA_ENCRYPTION;
        let at = bytes
            .windows(rsa.as_bytes().len())
            .position(|part| part == rsa.as_bytes());
        bytes[at.unwrap() + rsa.as_bytes().len() - 1] = 10;
        bytes
    });
    assert_eq!(RsaKey::from_pem(&of_pss).err(), Some(RsaKeyError::PssOnly));
}

/// Regression: PKCS #1, which older tools write, was rejected as not being PEM.
#[test]
fn keys_of_pkcs1_are_the_same_keys() {
    let known = RsaPublicKey::from_pem(&pem("consumer.pub")).unwrap();
    let read = RsaPublicKey::from_pem(PKCS1).unwrap();
    assert_eq!((&read, read.thumbprint()), (&known, known.thumbprint()));
    let pkcs1 = private(PKCS1_PRIVATE, |document| {
        let key: pkcs8::PrivateKeyInfoRef<'_> = document.decode_msg().unwrap();
        key.private_key.as_bytes().to_vec()
    });
    let read = RsaKey::from_pem(&pkcs1).unwrap();
    assert_eq!(read.public(), &known);
    let signature = read.sign(RsaHash::Sha256, b"text").unwrap();
    assert_eq!(known.verify(RsaHash::Sha256, b"text", &signature), Ok(()));
}

#[test]
fn the_error_names_another_kind_of_file() {
    let encrypted = private("ENCRYPTED PRIVATE KEY", |document| {
        document.as_bytes().to_vec()
    });
    assert_eq!(
        RsaKey::from_pem(&encrypted).err(),
        Some(RsaKeyError::Encrypted)
    );
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n\
        -----END RSA PRIVATE KEY-----\n";
    let older = RsaKey::from_pem(&older.to_owned().into());
    assert_eq!(older.err(), Some(RsaKeyError::Encrypted));
    let certificate = private("CERTIFICATE", |document| document.as_bytes().to_vec());
    let certificate = RsaPublicKey::from_pem(certificate.expose());
    assert_eq!(certificate.err(), Some(RsaKeyError::Certificate));
    for label in [PRIVATE, PKCS1_PRIVATE] {
        let key = private(label, |document| document.as_bytes().to_vec());
        let given = RsaPublicKey::from_pem(key.expose());
        assert_eq!(given.err(), Some(RsaKeyError::Private));
    }
}
