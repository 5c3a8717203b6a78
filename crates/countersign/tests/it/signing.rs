//! A person's own key: fetched from the site, and used to sign files.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::running::Running;

/// Maria's key in `maria.key`, and a file to sign.
fn fetched() -> Running {
    let site = Running::with_accounts();
    site.write("report.txt", "the content of a report\n");
    let out = site.run(&fetch(&site, "maria.key"));
    assert_eq!(out.code, 0, "{}", out.err);
    assert!(out.out.starts_with("maria.key: "), "{}", out.out);
    site
}

fn fetch<'a>(site: &'a Running, out: &'a str) -> Vec<&'a str> {
    let login = ["--site", &site.uri, "--as", "maria"];
    let files = ["--passphrase-file", "maria.pass", "--out", out];
    [&["key", "fetch"][..], &login, &files].concat()
}

fn verify(site: &Running, file: &str, certificate: &str) -> (i32, String) {
    let words = [
        "verify",
        file,
        "report.txt.sig",
        "--certificate",
        certificate,
    ];
    let verified = site.run(&words);
    (verified.code, verified.out + &verified.err)
}

// DEV-47
#[test]
fn a_person_fetches_the_own_key_which_is_in_a_private_file_and_the_one_of_the_site() {
    let site = fetched();
    let mode = std::fs::metadata(site.path("maria.key")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let certificate = std::fs::read_to_string(site.path("maria.key.pub")).unwrap();
    let shown = site.run(&["person", "show", "maria", "--json"]).json();
    assert_eq!(shown["certificate"], certificate);
    assert_eq!(site.run(&fetch(&site, "maria.key")).code, 7, "it exists");
    let mut wrong = fetch(&site, "other.key");
    wrong[7] = "wrong.pass";
    assert_eq!(site.run(&wrong).code, 4);
    assert!(!site.path("other.key").exists());

    site.write("key.pass", "the pass phrase of a key file");
    let mut encrypted = fetch(&site, "sealed.key");
    encrypted.extend(["--encrypt", "--key-passphrase-file", "key.pass"]);
    assert_eq!(site.run(&encrypted).code, 0);
    let text = std::fs::read_to_string(site.path("sealed.key")).unwrap();
    assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY"));
    let words = [
        "sign",
        "report.txt",
        "--key",
        "sealed.key",
        "--passphrase-file",
    ];
    let wrong = site.run(&[&words[..], &["wrong.pass"]].concat());
    assert_eq!(wrong.code, 4, "{}", wrong.err);
    assert_eq!(site.run(&[&words[..], &["key.pass"]].concat()).code, 0);
    assert_eq!(verify(&site, "report.txt", "maria.key.pub").0, 0);
}

// DEV-46
#[test]
fn a_signature_verifies_for_the_signed_file_and_the_signers_certificate_alone() {
    let site = fetched();
    let signed = site.run(&["sign", "report.txt", "--key", "maria.key"]);
    assert_eq!(signed.code, 0, "{}", signed.err);
    let again = site.run(&["sign", "report.txt", "--key", "maria.key"]);
    assert_eq!(again.code, 7, "the signature exists");
    let (code, text) = verify(&site, "report.txt", "maria.key.pub");
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("report.txt: good signature by "), "{text}");
    let (code, text) = verify(&site, "report.txt", "robot.key.pub");
    assert!(code == 8 && text.contains("not by this one"), "{text}");
    site.write("other.txt", "the content of a report");
    let (code, text) = verify(&site, "other.txt", "maria.key.pub");
    assert!(code == 8 && text.contains("was changed"), "{text}");
    assert_eq!(verify(&site, "missing.txt", "maria.key.pub").0, 6);
    site.write("report.txt.sig", "no signature");
    assert_eq!(verify(&site, "report.txt", "maria.key.pub").0, 8);
}

/// The steps of `docs/reference/key-files.md`, in which `openssl` verifies.
// DEV-46
#[test]
fn openssl_verifies_a_signature() {
    let site = fetched();
    let signed = site.run(&["sign", "report.txt", "--key", "maria.key"]);
    assert_eq!(signed.code, 0, "{}", signed.err);
    let page = include_str!("../../../../docs/reference/key-files.md");
    let (_, steps) = page.split_once("```sh\nsed").unwrap();
    let (steps, _) = steps.split_once("```").unwrap();
    let steps = format!("set -e\nsed{steps}")
        .replace("report.pdf", "report.txt")
        .replace("ada.key", "maria.key");
    let run = |steps: &str| {
        let mut shell = Command::new("bash");
        shell.args(["-c", steps]).current_dir(site.folder.path());
        shell.output().unwrap()
    };
    let verified = run(&steps);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        text.contains("Signature Verified Successfully"),
        "{verified:?}"
    );
    site.write("report.txt", "the content of a REPORT\n");
    assert!(!run(&steps).status.success());
}
