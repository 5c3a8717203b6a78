use std::path::Path;
use std::process::Command;

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::entropy::SystemEntropy;
use crate::pem;

/// RFC 8410, section 10.1.
const ED25519: &str =
    "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
/// The base point of P-256 (SP 800-186, section 3.2.1.3), whose private key is 1.
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004\
     6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn read(hex: &str) -> Result<DeviceKey, DeviceKeyError> {
    DeviceKey::from_spki(&bytes(hex))
}

/// Runs openssl in a folder and returns what it writes.
fn openssl(folder: &Path, line: &str) -> Vec<u8> {
    let run = Command::new("openssl")
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(run.status.success(), "{line}: {run:?}");
    run.stdout
}

/// A private key as openssl writes it, and the SPKI that openssl derives from it.
fn made_by_openssl(line: &str) -> (String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let pem = openssl(folder.path(), line);
    std::fs::write(folder.path().join("key.pem"), &pem).unwrap();
    let spki = openssl(folder.path(), "pkey -in key.pem -pubout -outform DER");
    (String::from_utf8(pem).unwrap(), spki)
}

#[test]
fn the_thumbprint_is_the_digest_of_the_published_key() {
    let key = read(ED25519).unwrap();
    assert_eq!(key.algorithm(), DeviceAlgorithm::Ed25519);
    assert_eq!(key.spki(), bytes(ED25519));
    assert_eq!(
        key.thumbprint().to_string(),
        "a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f"
    );
    let raw = VerifyingKey(bytes(&ED25519[24..]).try_into().unwrap());
    assert_eq!(key.ed25519(), Some(raw));
    assert_eq!(DeviceKey::from_ed25519(&raw), Ok(key));
    let key = read(P256).unwrap();
    assert_eq!(key.algorithm(), DeviceAlgorithm::EcdsaP256);
    assert_eq!((key.spki().len(), key.ed25519()), (91, None));
}

#[test]
fn every_key_has_one_form_alone() {
    let x = &P256[54..118];
    let cases = [
        // An empty text, half a key, and a byte behind it.
        (String::new(), DeviceKeyError::NotSpki),
        (ED25519[..80].to_owned(), DeviceKeyError::NotSpki),
        (format!("{ED25519}00"), DeviceKeyError::NotSpki),
        // A length in more bytes than DER has for it.
        (format!("30812a{}", &ED25519[4..]), DeviceKeyError::NotSpki),
        // Ed25519 with NULL for parameters.
        (
            format!("302c300706032b65700500{}", &ED25519[18..]),
            DeviceKeyError::NotCanonical,
        ),
        // A bit string that lacks a bit.
        (
            ED25519.replacen("032100", "032101", 1).replace("e1", "e0"),
            DeviceKeyError::NotCanonical,
        ),
        // Compressed points.
        (
            format!("3039301306072a8648ce3d020106082a8648ce3d03010703220003{x}"),
            DeviceKeyError::NotCanonical,
        ),
        // The hybrid form of SEC 1.
        (
            P256.replacen("03420004", "03420007", 1),
            DeviceKeyError::BadPoint,
        ),
        // No curve at all.
        (
            format!("304f300906072a8648ce3d0201{}", &P256[46..]),
            DeviceKeyError::NotCanonical,
        ),
        // X25519, and the curve secp256k1.
        (
            ED25519.replacen("2b6570", "2b656e", 1),
            DeviceKeyError::Unsupported,
        ),
        (
            format!("3056301006072a8648ce3d020106052b8104000a{}", &P256[46..]),
            DeviceKeyError::Unsupported,
        ),
    ];
    for (hex, expected) in cases {
        assert_eq!(read(&hex), Err(expected), "{hex}");
    }
    let length = MAX_SPKI + 1;
    let longer = DeviceKey::from_spki(&vec![0x30; length]);
    assert_eq!(longer, Err(DeviceKeyError::TooLong { length }));
    let longest = DeviceKey::from_spki(&[0x30; MAX_SPKI]);
    assert_eq!(longest, Err(DeviceKeyError::NotSpki));
}

/// Without these checks a public key of small order "verifies" a forged signature.
#[test]
fn a_point_that_no_private_key_leads_to_is_refused() {
    let mut forged = [0; 64];
    forged[0] = 1; // The neutral point and 0.
    let neutral = VerifyingKey(forged[..32].try_into().unwrap());
    let forged = Signature(forged);
    assert_eq!(neutral.verify(b"anything", &forged), Ok(()));

    let prefix = &ED25519[..24];
    for point in [
        // The eight points of small order (each in its one encoding).
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        // The neutral point with p added to its coordinate, and with the wrong sign.
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080",
        // Not on the curve.
        "0200000000000000000000000000000000000000000000000000000000000000",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        let key = read(&format!("{prefix}{point}"));
        assert_eq!(key, Err(DeviceKeyError::BadPoint), "{point}");
    }
    let (short, long) = (
        "302930050603 2b6570032000".replace(' ', ""),
        "302b300506032b6570032200",
    );
    for (prefix, length) in [(&short[..], 31), (long, 33)] {
        let key = read(&format!("{prefix}{}", "19".repeat(length)));
        assert_eq!(key, Err(DeviceKeyError::BadPoint), "{length}");
    }
    // One bit of a coordinate, and the point at infinity.
    let off_curve = P256.replace("51f5", "51f4");
    let infinity = "3019301306072a8648ce3d020106082a8648ce3d030107030200 00".replace(' ', "");
    for hex in [off_curve, infinity] {
        assert_eq!(read(&hex), Err(DeviceKeyError::BadPoint), "{hex}");
    }
}

/// The base point with a point of order 8 added: on the curve, and another name of the same key.
#[test]
fn a_point_with_a_part_of_small_order_is_refused() {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::edwards::EdwardsPoint;
    let point = |torsion: EdwardsPoint| (ED25519_BASEPOINT_POINT + torsion).compress().0;
    assert!(DeviceKey::from_ed25519(&VerifyingKey(point(EIGHT_TORSION[0]))).is_ok());
    for torsion in &EIGHT_TORSION[1..] {
        let key = DeviceKey::from_ed25519(&VerifyingKey(point(*torsion)));
        assert_eq!(key, Err(DeviceKeyError::BadPoint));
    }
}

#[test]
fn keys_that_openssl_made_are_read_and_written_for_it() {
    for line in [
        "genpkey -algorithm ed25519",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "ecparam -name prime256v1 -genkey",
        "ecparam -name prime256v1 -genkey -noout",
    ] {
        let (pem, spki) = made_by_openssl(line);
        let identity = DeviceIdentity::from_pem(&pem).unwrap();
        assert_eq!(identity.public().spki(), spki, "{line}");
        assert_eq!(
            &DeviceKey::from_spki(&spki).unwrap(),
            identity.public(),
            "{line}"
        );

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(file, identity.to_pem().expose()).unwrap();
        let again = openssl(folder.path(), "pkey -in key.pem -pubout -outform DER");
        assert_eq!(again, spki, "{line}");
        let der = openssl(folder.path(), "pkey -in key.pem -outform DER");
        let again = DeviceIdentity::from_der(&der).unwrap();
        assert_eq!(again.public(), identity.public());
    }
}

/// The key file of an account also has its seed, in an attribute that other tools ignore.
#[test]
fn the_key_file_of_an_account_is_the_key_file_of_a_device_too() {
    use crate::{identity::Identity, key_file::write_identity};
    let account = Identity::generate(&mut SystemEntropy);
    let pem = write_identity(&account, None, &mut SystemEntropy);
    let device = DeviceIdentity::from_pem(pem.expose()).unwrap();
    let signing = account.certificate().signing();
    assert_eq!(device.public().ed25519(), Some(signing));
}

#[test]
fn signatures_pass_between_us_and_openssl() {
    for line in [
        "genpkey -algorithm ed25519",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    ] {
        let (pem, _) = made_by_openssl(line);
        let identity = DeviceIdentity::from_pem(&pem).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        };
        write("key.pem", pem.as_bytes());
        write("message", b"message");
        write("ours", &identity.sign(b"message"));
        openssl(
            folder.path(),
            "pkeyutl -verify -inkey key.pem -rawin -in message -sigfile ours",
        );
        let theirs = openssl(
            folder.path(),
            "pkeyutl -sign -inkey key.pem -rawin -in message",
        );
        assert_eq!(identity.public().verify(b"message", &theirs), Ok(()));
    }
}

#[test]
fn another_message_key_or_signature_is_refused() {
    let p256 = || made_by_openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256").0;
    let new = || DeviceIdentity::generate(&mut SystemEntropy);
    let read = || DeviceIdentity::from_pem(&p256()).unwrap();
    for (identity, other) in [
        (new(), new()),
        (read(), read()),
        (read(), new()),
        (new(), read()),
    ] {
        let signature = identity.sign(b"message");
        assert!(signature.len() <= MAX_DEVICE_SIGNATURE);
        let key = identity.public();
        let mut bent = signature.clone();
        *bent.last_mut().unwrap() ^= 1;
        assert_eq!(key.verify(b"message", &signature), Ok(()));
        for refused in [
            key.verify(b"massage", &signature),
            key.verify(b"message", &bent),
            key.verify(b"message", &signature[1..]),
            key.verify(b"message", &[]),
            key.verify(b"message", &[signature.as_slice(), &[0]].concat()),
            other.public().verify(b"message", &signature),
        ] {
            assert_eq!(refused, Err(BadSignature));
        }
    }
}

#[test]
fn a_file_that_holds_no_device_key_is_refused_with_the_reason() {
    let encrypted = made_by_openssl("genpkey -algorithm ed25519").0;
    let encrypted = encrypted.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let ed25519 = DeviceIdentity::generate(&mut SystemEntropy).to_pem();
    let ed25519 = ed25519.expose();
    let of = |line| made_by_openssl(line).0;
    let cases = [
        (String::new(), DeviceIdentityError::NotPem),
        (ed25519.replace("END", "ENT"), DeviceIdentityError::Damaged),
        (ed25519.repeat(2), DeviceIdentityError::Several),
        (encrypted, DeviceIdentityError::Encrypted),
        (
            ed25519.replace("PRIVATE", "PUBLIC"),
            DeviceIdentityError::WrongLabel {
                found: "PUBLIC KEY".to_owned(),
            },
        ),
        (
            of("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
            DeviceIdentityError::Unsupported,
        ),
        (
            of("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
            DeviceIdentityError::Unsupported,
        ),
        (
            of("genpkey -algorithm X25519"),
            DeviceIdentityError::Unsupported,
        ),
        (
            "a".repeat(MAX_DEVICE_KEY_FILE + 1),
            DeviceIdentityError::TooLong { length: 16_385 },
        ),
    ];
    for (pem, expected) in cases {
        assert_eq!(
            DeviceIdentity::from_pem(&pem).err(),
            Some(expected),
            "{pem}"
        );
    }
    let der = pem::find(ed25519, &["PRIVATE KEY"])
        .unwrap()
        .decode()
        .unwrap();
    for damaged in [&der[1..], &der[..40], &[der.as_slice(), &[0]].concat()] {
        assert!(DeviceIdentity::from_der(damaged).is_err());
    }
}

#[test]
fn a_private_key_prints_its_thumbprint_alone() {
    let identity = DeviceIdentity::generate(&mut SystemEntropy);
    let thumbprint = identity.public().thumbprint();
    assert_eq!(
        format!("{identity:?}"),
        format!("DeviceIdentity({thumbprint})")
    );
    let shown = format!("{:?}", identity.public());
    assert_eq!(shown, format!("DeviceKey(ed25519 {thumbprint})"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(DeviceKey::from_spki(&bytes).is_err());
        prop_assert!(DeviceIdentity::from_der(&bytes).is_err());
    }

    /// A key with one byte changed is refused, or is another key.
    #[test]
    fn a_changed_byte_gives_no_second_name(at in 0..91_usize, change in 1..=255_u8) {
        for hex in [ED25519, P256] {
            let whole = bytes(hex);
            let mut changed = whole.clone();
            let at = at % whole.len();
            changed[at] ^= change;
            if let Ok(key) = DeviceKey::from_spki(&changed) {
                prop_assert_eq!(key.spki(), &changed);
                prop_assert_ne!(key, DeviceKey::from_spki(&whole).unwrap());
            }
        }
    }

    #[test]
    fn a_new_key_is_read_again(_ in 0..1_u8) {
        let identity = DeviceIdentity::generate(&mut SystemEntropy);
        let again = DeviceIdentity::from_pem(identity.to_pem().expose()).unwrap();
        prop_assert_eq!(again.public(), identity.public());
    }
}

#[test]
fn an_encrypted_key_file_opens_with_its_pass_phrase_here_and_in_openssl() {
    use crate::key_file::KeyFileError;
    use crate::secret::Passphrase;

    let identity = DeviceIdentity::generate(&mut SystemEntropy);
    let passphrase = Passphrase::from("correct horse battery".to_owned());
    let pem = identity.to_encrypted_pem(&passphrase, &mut SystemEntropy);
    assert!(
        pem.expose()
            .starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    );
    let read = DeviceIdentity::from_encrypted_pem(pem.expose(), &passphrase).unwrap();
    assert_eq!(read.public(), identity.public());
    assert_eq!(
        DeviceIdentity::from_pem(pem.expose()).unwrap_err(),
        DeviceIdentityError::Encrypted
    );
    let wrong = Passphrase::from("another pass phrase".to_owned());
    let refused = DeviceIdentity::from_encrypted_pem(pem.expose(), &wrong).unwrap_err();
    assert!(
        matches!(
            refused,
            DeviceIdentityError::Encryption(KeyFileError::WrongPassphrase)
                | DeviceIdentityError::Damaged
                | DeviceIdentityError::Unsupported
        ),
        "{refused}"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.pem"), pem.expose()).unwrap();
    let shown = Command::new("openssl")
        .args("pkey -in key.pem -passin env:PASS -pubout -outform DER".split(' '))
        .env("PASS", "correct horse battery")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(shown.stdout, identity.public().spki(), "{shown:?}");
}
