//! What the program remembers of sites, while a site replaces its key.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::RecoveryCode;

use crate::running::{CommandOutput, Running};

const FILE: &str = "state/countersign/known_sites.json";

/// A running site with the persons and services of other tests, and the person `ada`.
fn site() -> Running {
    let mut site = Running::folder();
    let code = RecoveryCode::generate(&mut SystemEntropy);
    site.write("recovery.code", code.to_text().expose());
    site.write("new.pass", "another pass phrase of the site");
    let mut serve = site.command(&["serve"]);
    serve.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
    site.start_as(serve, &["--passphrase-file", "site.pass"]);
    site.create_accounts();
    site
}

fn rotate(site: &Running) {
    let words = [
        "site",
        "key",
        "new",
        "--yes",
        "--passphrase-file",
        "new.pass",
    ];
    let mut command = site.command(&words);
    command.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
    let output: CommandOutput = command.stdin(Stdio::null()).output().unwrap().into();
    assert_eq!(output.code, 0, "{}", output.err);
}

/// Calls `self show` with this URI, as the service or as the person.
fn call(site: &Running, uri: &str, who: &[&str]) -> CommandOutput {
    site.run(&[&["call", "--json", "--site", uri], who, &["self", "show"]].concat())
}

const ROBOT: [&str; 2] = ["--key", "robot.key"];
const MARIA: [&str; 4] = ["--as", "maria", "--passphrase-file", "maria.pass"];

// SES-80, SES-84
#[test]
fn the_uri_from_before_a_rotation_stays_good_and_what_is_known_is_stored() {
    let site = site();
    let status = site.run(&["site", "status", "--json"]).json();
    let uri = status["uri"].as_str().unwrap();
    for who in [&ROBOT[..], &MARIA] {
        let called = call(&site, uri, who);
        assert_eq!(called.code, 0, "{}", called.err);
    }
    let mode = site.path(FILE).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = std::fs::read_to_string(site.path(FILE)).unwrap();
    assert!(
        first.contains(status["site_id"].as_str().unwrap()),
        "{first}"
    );

    rotate(&site);
    rotate(&site);
    for who in [&ROBOT[..], &MARIA] {
        let called = call(&site, uri, who);
        assert_eq!(called.code, 0, "{}", called.err);
        assert_eq!(called.err, "");
    }
    let second = std::fs::read_to_string(site.path(FILE)).unwrap();
    assert_ne!(first, second, "the newest key event is stored");

    // A damaged file is not taken for a first contact.
    site.write(FILE, &second[..100]);
    let refused = call(&site, uri, &ROBOT);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("known_sites.json"), "{}", refused.err);

    // A site that lacks an event that is known: a thief of the first key, or an old backup.
    site.write(FILE, &second);
    let status = site.run(&["site", "status", "--json"]).json();
    let new_uri = status["uri"].as_str().unwrap();
    assert_ne!(uri, new_uri);
    assert_eq!(call(&site, new_uri, &ROBOT).code, 0);
}

// DEV-50
#[test]
fn the_profile_of_a_device_follows_the_key_of_its_site() {
    let site = site();
    let created = site.run(&["person", "create", "ada"]);
    assert_eq!(created.code, 0, "{}", created.err);
    let issued = site.run(&["ticket", "issue", "ada", "--json"]).json();
    let ticket = issued["uri"].as_str().unwrap();
    rotate(&site);
    let enrolled = site.run(&["enrol", ticket, "--id", "ada@local", "--json"]);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let profile = site.path("config/countersign/profiles/ada@local.toml");
    let before = std::fs::read_to_string(&profile).unwrap();
    assert!(before.contains("[known_site]"), "{before}");
    rotate(&site);
    let called = site.run(&["call", "site", "status", "--json"]);
    assert_eq!(called.code, 0, "{}", called.err);
    let after = std::fs::read_to_string(&profile).unwrap();
    assert_ne!(before, after, "the newest key event is stored");
    assert_eq!(site.run(&["call", "site", "status", "--json"]).code, 0);
    assert_eq!(std::fs::read_to_string(&profile).unwrap(), after);
}
