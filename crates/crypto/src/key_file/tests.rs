use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::{
    entropy::SystemEntropy,
    identity::{IdentitySeed, signing_secret},
    secret::Secret,
};

fn identity() -> Identity {
    Identity::from_seed(IdentitySeed(Secret::from_bytes([7; 32])))
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from(text.to_owned())
}

fn plain() -> SecretText {
    write_identity(&identity(), None, &mut SystemEntropy)
}

fn encrypted() -> SecretText {
    write_identity(
        &identity(),
        Some(&passphrase("correct horse")),
        &mut SystemEntropy,
    )
}

/// The file with one occurrence of `from` in its DER replaced by `to` of equal length.
fn replaced(pem: &SecretText, from: &[u8], to: &[u8]) -> String {
    let (label, document) = der::Document::from_pem(pem.expose()).unwrap();
    let mut der = document.as_bytes().to_vec();
    let at = der.windows(from.len()).position(|w| w == from).unwrap();
    der[at..at + to.len()].copy_from_slice(to);
    assert_eq!(label, PLAIN);
    der::Document::try_from(der)
        .unwrap()
        .to_pem(PLAIN, LineEnding::LF)
        .unwrap()
}

/// Runs OpenSSL in a folder with the given files, and returns its output.
fn openssl(files: &[(&str, &str)], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let run = Command::new("openssl")
        .args(arguments)
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    String::from_utf8(run.stdout).unwrap()
}

/// The certificate's public key as OpenSSL prints it.
fn public_key() -> String {
    let certificate = identity().certificate().to_pem();
    openssl(
        &[("certificate.pem", &certificate)],
        &["x509", "-in", "certificate.pem", "-noout", "-pubkey"],
    )
}

/// The documentation specifies the format to the byte: OpenSSL, used only according to it, writes
/// the same file and the same certificate.
#[test]
fn openssl_writes_our_files_from_their_documentation() {
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/key_files.sh");
    let seed = "07".repeat(32);
    let run = Command::new("sh")
        .args([script, &seed, "correct horse"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    let written = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(written("key.pem"), plain().expose());
    let read = read_identity(
        &written("encrypted.pem"),
        Some(&passphrase("correct horse")),
    );
    assert_eq!(read.unwrap().seed(), identity().seed());
    assert_eq!(
        written("certificate.pem"),
        identity().certificate().to_pem()
    );
}

/// Regression: a key file with a blank line after its end was rejected as damaged, though OpenSSL
/// reads it.
#[test]
fn a_key_file_is_read_after_editors_mail_and_clipboards_changed_white_space() {
    let (plain, passphrase) = (plain(), passphrase("correct horse"));
    for text in [plain.expose(), encrypted().expose()] {
        for handed_over in [
            format!("{text}\n"),
            format!("\u{feff}{}", text.replace('\n', "\r\n")),
            format!("my key:\n  {}", text.replace('\n', "  \n  ")),
            text.replace('\n', " "),
            [identity().certificate().to_pem(), text.to_owned()].concat(),
        ] {
            let read = read_identity(&handed_over, Some(&passphrase));
            assert_eq!(read.unwrap().seed(), identity().seed(), "{handed_over:?}");
        }
    }
    let twice = plain.expose().repeat(2);
    assert_eq!(
        read_identity(&twice, None).unwrap_err(),
        KeyFileError::Several
    );
}

#[test]
fn a_plain_file_is_read_back() {
    let read = read_identity(plain().expose(), None).unwrap();
    assert_eq!(read.certificate(), identity().certificate());
    assert_eq!(read.seed(), identity().seed());
}

#[test]
fn an_encrypted_file_is_read_back_with_its_pass_phrase() {
    let read = read_identity(encrypted().expose(), Some(&passphrase("correct horse"))).unwrap();
    assert_eq!(read.seed(), identity().seed());
}

/// These files were written by the first version.
#[test]
fn files_of_the_first_version_are_read() {
    let first = include_str!("../../testdata/identity.pem");
    assert_eq!(first, plain().expose());
    let encrypted = include_str!("../../testdata/identity_encrypted.pem");
    let read = read_identity(encrypted, Some(&passphrase("correct horse"))).unwrap();
    assert_eq!(read.seed(), identity().seed());
}

#[test]
fn an_unneeded_pass_phrase_is_ignored() {
    assert!(read_identity(plain().expose(), Some(&passphrase("any"))).is_ok());
}

#[test]
fn two_files_of_one_identity_have_different_salts() {
    assert_ne!(encrypted().expose(), encrypted().expose());
}

#[test]
fn openssl_finds_the_certificates_public_key_in_a_plain_file() {
    let shown = openssl(
        &[("key", plain().expose())],
        &["pkey", "-in", "key", "-pubout"],
    );
    assert_eq!(shown, public_key());
}

#[test]
fn openssl_finds_the_certificates_public_key_in_an_encrypted_file() {
    let shown = openssl(
        &[
            ("key", encrypted().expose()),
            ("passphrase", "correct horse\n"),
        ],
        &[
            "pkey",
            "-in",
            "key",
            "-pubout",
            "-passin",
            "file:passphrase",
        ],
    );
    assert_eq!(shown, public_key());
}

#[test]
fn an_encrypted_file_needs_its_pass_phrase_and_rejects_another() {
    let file = encrypted();
    assert_eq!(
        read_identity(file.expose(), None).unwrap_err(),
        KeyFileError::NeedsPassphrase
    );
    for wrong in ["correct horsf", "", "correct horse "] {
        assert_eq!(
            read_identity(file.expose(), Some(&passphrase(wrong))).unwrap_err(),
            KeyFileError::WrongPassphrase
        );
    }
}

#[test]
fn the_error_names_the_label_of_another_kind_of_file() {
    assert_eq!(
        read_identity("no key", None).unwrap_err(),
        KeyFileError::NotPem
    );
    assert_eq!(
        read_identity(&identity().certificate().to_pem(), None).unwrap_err(),
        KeyFileError::WrongLabel {
            found: "CERTIFICATE".to_owned()
        }
    );
}

#[test]
fn keys_of_other_tools_are_not_identities() {
    for algorithm in ["ed25519", "x25519", "rsa"] {
        let key = openssl(&[], &["genpkey", "-algorithm", algorithm]);
        assert_eq!(
            read_identity(&key, None).unwrap_err(),
            KeyFileError::NotAnIdentity,
            "{algorithm}"
        );
    }
}

#[test]
fn other_encryption_is_reported() {
    let key = openssl(
        &[("key", plain().expose()), ("passphrase", "correct horse\n")],
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "key",
            "-v2",
            "aes-256-cbc",
            "-passout",
            "file:passphrase",
        ],
    );
    assert_eq!(
        read_identity(&key, Some(&passphrase("correct horse"))).unwrap_err(),
        KeyFileError::UnknownEncryption
    );
}

#[test]
fn a_key_that_is_not_derived_from_the_seed_is_rejected() {
    for part in [
        identity().seed().0.expose(),
        signing_secret(identity().seed()).expose(),
    ] {
        assert_eq!(
            read_identity(&replaced(&plain(), part, &[9; 32]), None).unwrap_err(),
            KeyFileError::SeedMismatch
        );
    }
}

#[test]
fn a_damaged_file_is_reported_as_damaged() {
    let file = plain();
    let half = file.expose().replacen("\nM", "\n", 1);
    let endless = file.expose().replace("-----END", "");
    let version = replaced(&file, &[2, 1, 0], &[2, 1, 7]);
    for damaged in [half, endless, version] {
        assert_eq!(
            read_identity(&damaged, None).unwrap_err(),
            KeyFileError::Damaged
        );
    }
}

#[test]
fn a_long_text_is_rejected_before_it_is_parsed() {
    assert_eq!(
        read_identity(&"a".repeat(MAX_KEY_FILE), None).unwrap_err(),
        KeyFileError::NotPem
    );
    assert_eq!(
        read_identity(&"a".repeat(MAX_KEY_FILE + 1), None).unwrap_err(),
        KeyFileError::TooLong { length: 16385 }
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(pem in ".{0,400}") {
        prop_assert!(read_identity(&pem, None).is_err());
    }

    #[test]
    fn no_der_makes_the_reader_panic(
        body in prop::collection::vec(any::<u8>(), 0..120),
        encrypted: bool,
    ) {
        let length = u8::try_from(body.len()).unwrap();
        let document = der::Document::try_from([&[0x30, length], body.as_slice()].concat()).unwrap();
        let label = if encrypted { ENCRYPTED } else { PLAIN };
        let pem = document.to_pem(label, LineEnding::LF).unwrap();
        prop_assert!(read_identity(&pem, Some(&passphrase("any"))).is_err());
    }

    #[test]
    fn a_changed_byte_never_gives_another_identity(
        at in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let (_, document) = der::Document::from_pem(plain().expose()).unwrap();
        let mut der = document.as_bytes().to_vec();
        let at = at.index(der.len());
        der[at] ^= change;
        if let Ok(document) = der::Document::try_from(der) {
            let pem = document.to_pem(PLAIN, LineEnding::LF).unwrap();
            if let Ok(read) = read_identity(&pem, None) {
                let own = identity();
                prop_assert_eq!(read.seed(), own.seed());
            }
        }
    }
}
