use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::entropy::SystemEntropy;
use crate::identity::Identity;
use crate::secret::Secret;

fn openssl(folder: &Path, line: &str) -> String {
    let run = Command::new("openssl")
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(run.status.success(), "{line}: {run:?}");
    String::from_utf8(run.stdout).unwrap()
}

fn device() -> DeviceIdentity {
    DeviceIdentity::generate(&mut SystemEntropy)
}

/// A key of P-256 from openssl.
fn p256(folder: &Path) -> DeviceIdentity {
    let made = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    DeviceIdentity::from_pem(&openssl(folder, made)).unwrap()
}

#[test]
fn openssl_verifies_the_certificates_that_are_written_here() {
    let folder = tempfile::tempdir().unwrap();
    let site = SigningKey::from_secret(&Secret::from_bytes([7; 32]));
    assert_eq!(of_site(&site), of_site(&site));
    for (certificate, name) in [
        (of_site(&site), "countersign site"),
        (of_device(&device()), "countersign device"),
        (of_device(&p256(folder.path())), "countersign device"),
    ] {
        let pem = crate::pem::encode("CERTIFICATE", &certificate).unwrap();
        std::fs::write(folder.path().join("self.pem"), pem).unwrap();
        let verify = "verify -check_ss_sig -CAfile self.pem self.pem";
        assert_eq!(openssl(folder.path(), verify), "self.pem: OK\n");
        let text = openssl(folder.path(), "x509 -in self.pem -noout -text");
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn the_key_of_a_certificate_is_the_one_that_was_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let site = SigningKey::from_secret(&Secret::from_bytes([7; 32]));
    let read = key(&of_site(&site)).unwrap();
    assert_eq!(read.ed25519(), Some(site.verifying()));
    for identity in [device(), p256(folder.path())] {
        assert_eq!(key(&of_device(&identity)).as_ref(), Ok(identity.public()));
    }
}

/// Names, dates, extensions and the issuer's signature are not looked at.
#[test]
fn the_key_of_any_tools_certificate_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let identity = device();
    std::fs::write(folder.path().join("key.pem"), identity.to_pem().expose()).unwrap();
    for more in [
        "-days 1",
        "-days 36500 -addext subjectAltName=DNS:phone.example.org -addext keyUsage=digitalSignature",
        "-set_serial 0",
        "-set_serial -1",
    ] {
        let line = format!(
            "req -x509 -new -key key.pem -subj /CN=phone/O=ä -outform DER -out c.der {more}"
        );
        openssl(folder.path(), &line);
        let mut certificate = std::fs::read(folder.path().join("c.der")).unwrap();
        assert_eq!(key(&certificate).as_ref(), Ok(identity.public()), "{more}");
        *certificate.last_mut().unwrap() ^= 1;
        assert_eq!(key(&certificate).as_ref(), Ok(identity.public()), "{more}");
    }
    let ours = Identity::generate(&mut SystemEntropy);
    let read = key(ours.certificate().der()).unwrap();
    assert_eq!(read.ed25519(), Some(ours.certificate().signing()));
}

#[test]
fn what_is_no_certificate_of_a_device_is_refused() {
    let whole = of_device(&device());
    let not_x509 = Err(TlsCertificateError::NotX509);
    assert_eq!(key(&[]), not_x509);
    assert_eq!(key(&whole[..whole.len() - 1]), not_x509);
    assert_eq!(key(&[whole.as_slice(), &[0]].concat()), not_x509);
    let length = MAX_TLS_CERTIFICATE + 1;
    let longer = key(&vec![0x30; length]);
    assert_eq!(longer, Err(TlsCertificateError::TooLong { length }));
    assert_eq!(key(&vec![0x30; MAX_TLS_CERTIFICATE]), not_x509);
    let folder = tempfile::tempdir().unwrap();
    let rsa = "req -x509 -nodes -newkey rsa:2048 -keyout k.pem -subj /CN=a -outform DER -out c.der";
    openssl(folder.path(), rsa);
    let rsa = std::fs::read(folder.path().join("c.der")).unwrap();
    let unsupported = TlsCertificateError::Key(DeviceKeyError::Unsupported);
    assert_eq!(key(&rsa), Err(unsupported));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(key(&bytes).is_err());
    }

    #[test]
    fn a_certificate_with_changed_bytes_makes_no_reader_panic(
        changes in prop::collection::vec((0..200_usize, any::<u8>()), 1..4),
    ) {
        let site = SigningKey::from_secret(&Secret::from_bytes([7; 32]));
        let mut certificate = of_site(&site);
        for (at, byte) in changes {
            certificate[at] = byte;
        }
        let _ = key(&certificate);
    }
}
