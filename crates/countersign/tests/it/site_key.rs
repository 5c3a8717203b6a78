//! The life of the site key, with the program that operators run.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::{RecoveryCode, SlotFile};
use serde_json::json;

use crate::running::{CommandOutput, Running};

/// How often the site is killed.
const KILLS: u32 = 4;

/// A running site with a recovery code that its operator chose, in `recovery.code`.
pub(crate) fn with_code() -> Running {
    let mut site = Running::folder();
    let code = RecoveryCode::generate(&mut SystemEntropy);
    site.write("recovery.code", code.to_text().expose());
    site.write("new.pass", "another pass phrase of the site");
    let mut serve = site.command(&["serve"]);
    serve.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
    site.start_as(serve, &["--passphrase-file", "site.pass"]);
    site
}

/// Runs a command that asks for the recovery code.
fn with_recovery_code(site: &Running, words: &[&str]) -> CommandOutput {
    let mut command = site.command(words);
    command.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
    command.stdin(Stdio::null()).output().unwrap().into()
}

const NEW_KEY: [&str; 6] = [
    "site",
    "key",
    "new",
    "--yes",
    "--passphrase-file",
    "new.pass",
];

#[test]
fn a_site_replaces_its_key_with_the_recovery_code_and_opens_with_the_new_pass_phrase() {
    let mut site = with_code();
    site.create_accounts();
    let before = site.run(&["site", "status", "--json"]).json();
    let output = with_recovery_code(&site, &NEW_KEY);
    assert_eq!(output.code, 0, "{}", output.err);
    let after = site.run(&["site", "status", "--json"]).json();
    assert_eq!(after["site_id"], before["site_id"]);
    assert_ne!(after["site_key"], before["site_key"]);
    let events = site.run(&["site", "key", "events", "--json"]).json();
    assert_eq!(events["events"].as_array().unwrap().len(), 2);

    site.stop();
    site.start(&[]);
    let unseal = |file| site.run(&["site", "unseal", "--passphrase-file", file]);
    assert_eq!(unseal("site.pass").code, 4, "the replaced key is gone");
    let output = unseal("new.pass");
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(site.call_as_robot(&["self", "show"]).code, 0);
    // The code opens the key after it too.
    let words = [
        &NEW_KEY[..],
        &["--compromised-since", "2026-01-01T00:00:00Z"],
    ]
    .concat();
    let output = with_recovery_code(&site, &words);
    assert_eq!(
        output.code, 2,
        "the key was not current then: {}",
        output.err
    );
    assert_eq!(with_recovery_code(&site, &NEW_KEY).code, 0);

    // That key was stolen at once. The site recovers, and its clients follow it.
    let events = || site.run(&["site", "key", "events", "--json"]).json()["events"].clone();
    let stolen = events()[2]["time"].as_str().unwrap().to_owned();
    let since = ["--compromised-since", &stolen];
    let recovered = with_recovery_code(&site, &[&NEW_KEY[..], &since].concat());
    assert_eq!(recovered.code, 0, "{}", recovered.err);
    assert_eq!(events()[3]["compromised_since"], stolen.as_str());
    assert_eq!(site.call_as_robot(&["self", "show"]).code, 0);
}

#[test]
fn a_slot_file_starts_the_site_unattended_also_after_a_new_key() {
    let mut site = with_code();
    let add = [
        "site",
        "key",
        "slots",
        "add",
        "--slot-file",
        "site/site-key.slot",
    ];
    let output = site.run(&add);
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(with_recovery_code(&site, &NEW_KEY).code, 0);
    site.stop();
    site.start(&[]);
    let status = site.run(&["site", "status", "--json"]).json();
    assert_eq!(status["sealed"], json!(false));
    let test = ["site", "key", "slots", "test", "--next", "--recovery-code"];
    assert_eq!(with_recovery_code(&site, &test).code, 0);
    let wrong = [
        "site",
        "key",
        "slots",
        "test",
        "--passphrase-file",
        "wrong.pass",
    ];
    let output = site.run(&wrong);
    assert_eq!(output.code, 4, "{}", output.err);
    assert!(output.err.contains("pass phrase"), "{}", output.err);
}

#[test]
fn a_site_is_sealed_and_unsealed_while_it_runs() {
    let site = Running::with_accounts();
    assert_eq!(site.run(&["site", "seal", "--yes"]).code, 0);
    assert_eq!(site.call_as_robot(&["self", "show"]).code, 3);
    let unseal = ["site", "unseal", "--passphrase-file", "site.pass"];
    assert_eq!(site.run(&unseal).code, 0);
    assert_eq!(site.call_as_robot(&["self", "show"]).code, 0);
}

/// A unit of systemd gives the site its credential in a folder that only the unit reads.
#[test]
fn a_site_is_unsealed_by_a_credential_of_the_service_manager() {
    let mut site = with_code();
    let folder = site.path("credentials");
    std::fs::create_dir(&folder).unwrap();
    let slot = SlotFile::generate(&mut SystemEntropy);
    site.write("credentials/site-key", slot.to_text().expose());
    let run = |site: &Running, words: &[&str]| -> CommandOutput {
        let mut command = site.command(words);
        command
            .env("CREDENTIALS_DIRECTORY", &folder)
            .env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
        command.stdin(Stdio::null()).output().unwrap().into()
    };
    let credential = ["--credential", "site-key"];
    let slots = |verb| [&["site", "key", "slots", verb], &credential[..]].concat();
    let wrong = run(&site, &slots("test"));
    assert_eq!(wrong.code, 4, "it has no slot yet: {}", wrong.err);
    for words in [slots("add"), slots("test")] {
        let output = run(&site, &words);
        assert_eq!(output.code, 0, "{words:?}: {}", output.err);
    }
    let new = [&NEW_KEY[..], &credential].concat();
    let output = run(&site, &new);
    assert_eq!(output.code, 0, "{}", output.err);

    site.stop();
    let mut serve = site.command(&["serve"]);
    serve.env("CREDENTIALS_DIRECTORY", &folder);
    site.start_as(serve, &credential);
    let status = site.run(&["site", "status", "--json"]).json();
    assert_eq!(status["sealed"], json!(false));

    assert_eq!(site.run(&["site", "seal", "--yes"]).code, 0);
    let unseal = ["site", "unseal", "--credential"];
    for (name, code) in [("other", 6), ("../recovery.code", 2), ("site-key", 0)] {
        let output = run(&site, &[&unseal[..], &[name]].concat());
        assert_eq!(output.code, code, "{name}: {}", output.err);
    }
    let outside = site.run(&[&unseal[..], &["site-key"]].concat());
    assert_eq!(outside.code, 6);
    assert!(outside.err.contains("LoadCredential"), "{}", outside.err);
}

/// The change is one transaction. Before it the old pass phrase opens the key, after it the new one, and
/// never neither.
#[test]
fn a_site_that_is_killed_while_it_replaces_its_key_has_the_old_key_or_the_new_one() {
    let mut site = with_code();
    let new_key = |site: &Running, file: &str| {
        let words = [&NEW_KEY[..5], &[file][..]].concat();
        let mut command = site.command(&words);
        command.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    };
    let changed = |site: &Running| -> SystemTime {
        let log = std::fs::metadata(site.path("site/site.db-wal")).unwrap();
        log.modified().unwrap()
    };
    site.write("1.pass", "pass phrase number 1 of the site");
    assert!(new_key(&site, "1.pass").status().unwrap().success());
    let (mut current, mut events) = (1, 2);
    for round in 1..=KILLS {
        let next = current + 1;
        let file = |number: u32| format!("{number}.pass");
        site.write(
            &file(next),
            &format!("pass phrase number {next} of the site"),
        );
        let before = changed(&site);
        let mut command = new_key(&site, &file(next)).spawn().unwrap();
        // The first time at any point, then when the transaction is written.
        while round > 1 && changed(&site) == before && command.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        site.kill();
        let done = command.wait().unwrap().success();

        site.start(&[]);
        let opens = |number| {
            let unseal = site.run(&["site", "unseal", "--passphrase-file", &file(number)]);
            unseal.code == 0
        };
        let new = opens(next);
        assert!(new || opens(current), "round {round}: neither key opens");
        assert!(new || !done, "round {round}: an acknowledged key is lost");
        if new {
            (current, events) = (next, events + 1);
        }
        let shown = site.run(&["site", "key", "events", "--json"]).json();
        assert_eq!(shown["events"].as_array().unwrap().len(), events);
        let test = ["site", "key", "slots", "test", "--next", "--recovery-code"];
        assert_eq!(with_recovery_code(&site, &test).code, 0);
    }
    assert_eq!(site.run(&["audit", "verify"]).code, 0);
}
