use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::{
    identity::{Identity, IdentitySeed},
    secret::Secret,
};

fn certificate() -> Certificate {
    Identity::from_seed(IdentitySeed(Secret::from_bytes([7; 32])))
        .certificate()
        .clone()
}

/// The DER with one occurrence of `from` replaced by `to` of equal length.
fn replaced(der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = der.windows(from.len()).position(|w| w == from).unwrap();
    let mut der = der.to_vec();
    der[at..at + to.len()].copy_from_slice(to);
    der
}

/// A certificate of OpenSSL with a new key of the given algorithm.
fn made_by_openssl(algorithm: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-subj", "/CN=other"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem", "-newkey"])
        .args(algorithm)
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::read_to_string(folder.path().join("certificate.pem")).unwrap()
}

#[test]
fn the_certificate_of_a_seed_never_changes() {
    assert_eq!(
        certificate().thumbprint().to_string(),
        "c7bc5f3e1d0ee92d2903f30e155b9d71719826e05af19fa2d006f49d4344890b"
    );
}

#[test]
fn der_and_pem_are_read_back_as_the_same_certificate() {
    let certificate = certificate();
    assert_eq!(
        Certificate::from_der(certificate.der()).unwrap(),
        certificate
    );
    let read = Certificate::from_pem(&certificate.to_pem()).unwrap();
    assert_eq!(read, certificate);
    assert_eq!(read.signing(), certificate.signing());
    assert_eq!(read.agreement(), certificate.agreement());
    assert_eq!(read.thumbprint(), certificate.thumbprint());
}

#[test]
fn a_pem_file_with_windows_line_ends_is_read() {
    let certificate = certificate();
    let pem = certificate.to_pem().replace('\n', "\r\n");
    assert_eq!(Certificate::from_pem(&pem).unwrap(), certificate);
}

#[test]
fn openssl_reads_and_verifies_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("self.pem"), certificate().to_pem()).unwrap();
    let openssl = |arguments: &[&str]| {
        let run = Command::new("openssl")
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        String::from_utf8(run.stdout).unwrap()
    };

    // OpenSSL 3.2 prints no spaces around the sign.
    let text = openssl(&["x509", "-in", "self.pem", "-noout", "-text"]).replace(" = ", "=");
    for line in [
        "Version: 3 (0x2)",
        "Subject: CN=countersign identity",
        "Not Before: Jan  1 00:00:00 2000 GMT",
        "Not After : Dec 31 23:59:59 9999 GMT",
        "Public Key Algorithm: ED25519",
        "Signature Algorithm: ED25519",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let verified = openssl(&["verify", "-check_ss_sig", "-CAfile", "self.pem", "self.pem"]);
    assert_eq!(verified, "self.pem: OK\n");
}

#[test]
fn a_long_text_is_rejected_before_it_is_parsed() {
    let max_len = vec![0x30; MAX_CERTIFICATE];
    assert_eq!(
        Certificate::from_der(&max_len),
        Err(CertificateError::NotX509)
    );
    let longer = vec![0x30; MAX_CERTIFICATE + 1];
    assert_eq!(
        Certificate::from_der(&longer),
        Err(CertificateError::TooLong { length: 4097 })
    );
    let pem = "-".repeat(MAX_PEM + 1);
    assert_eq!(
        Certificate::from_pem(&pem),
        Err(CertificateError::TooLong { length: 16_385 })
    );
}

#[test]
fn bytes_after_the_certificate_are_rejected() {
    let mut der = certificate().der().to_vec();
    der.push(0);
    assert_eq!(Certificate::from_der(&der), Err(CertificateError::NotX509));
}

#[test]
fn a_pem_file_may_contain_one_certificate_and_text_around_it() {
    let pem = certificate().to_pem();
    for around in ["more", "\n\n", "\r\n-- \r\nmaria"] {
        let read = Certificate::from_pem(&format!("{around}\n{pem}{around}"));
        assert_eq!(read, Ok(certificate()));
    }
    assert_eq!(
        Certificate::from_pem(&pem.repeat(2)),
        Err(CertificateError::Several)
    );
    assert_eq!(
        Certificate::from_pem(&pem.replacen("MII", "MI", 1)),
        Err(CertificateError::Damaged)
    );
}

#[test]
fn the_error_names_the_label_of_another_kind_of_file() {
    assert_eq!(
        Certificate::from_pem("no certificate"),
        Err(CertificateError::NotPem)
    );
    let pem = certificate().to_pem().replace(PEM_LABEL, "PRIVATE KEY");
    assert_eq!(
        Certificate::from_pem(&pem),
        Err(CertificateError::WrongLabel {
            found: "PRIVATE KEY".to_owned()
        })
    );
}

#[test]
fn certificates_of_other_tools_are_rejected_with_the_reason() {
    let elliptic = made_by_openssl(&["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    assert_eq!(
        Certificate::from_pem(&elliptic),
        Err(CertificateError::NotEd25519)
    );
    assert_eq!(
        Certificate::from_pem(&made_by_openssl(&["ed25519"])),
        Err(CertificateError::NoAgreementKey)
    );
}

#[test]
fn a_changed_name_or_date_is_rejected_as_not_canonical() {
    let der = certificate().der().to_vec();
    for (from, to) in [
        (&b"countersign"[..], &b"countersing"[..]),
        (&b"000101000000Z"[..], &b"000101000001Z"[..]),
    ] {
        assert_eq!(
            Certificate::from_der(&replaced(&der, from, to)),
            Err(CertificateError::NotCanonical)
        );
    }
}

#[test]
fn another_agreement_key_invalidates_the_signature() {
    let certificate = certificate();
    let forged = replaced(certificate.der(), &certificate.agreement().0, &[9; 32]);
    assert_eq!(
        Certificate::from_der(&forged),
        Err(CertificateError::BadSignature)
    );
}

#[test]
fn a_thumbprint_is_read_only_in_its_canonical_form() {
    let thumbprint = certificate().thumbprint();
    let text = thumbprint.to_string();
    assert_eq!(text.parse(), Ok(thumbprint));
    for wrong in [&text[1..], &text.to_uppercase(), "", &format!("{text}00")] {
        assert_eq!(wrong.parse::<Thumbprint>(), Err(BadThumbprint));
    }
    let json = serde_json::to_string(&thumbprint).unwrap();
    assert_eq!(json, format!("\"{text}\""));
    assert_eq!(
        serde_json::from_str::<Thumbprint>(&json).unwrap(),
        thumbprint
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(der in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Certificate::from_der(&der).is_err());
    }

    #[test]
    fn no_text_makes_the_reader_panic(pem in ".{0,400}") {
        prop_assert!(Certificate::from_pem(&pem).is_err());
    }

    #[test]
    fn every_changed_byte_is_noticed(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut der = certificate().der().to_vec();
        let at = at.index(der.len());
        der[at] ^= change;
        prop_assert!(Certificate::from_der(&der).is_err());
    }

    #[test]
    fn every_truncation_is_noticed(length in any::<prop::sample::Index>()) {
        let der = certificate().der().to_vec();
        prop_assert!(Certificate::from_der(&der[..length.index(der.len())]).is_err());
    }
}
