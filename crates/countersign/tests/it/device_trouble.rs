//! Devices in trouble: a repeated enrolment, and a watch that is refused for a while.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::devices::{Device, site_with_ada, uri};
use crate::running::Running;

/// Makes the device forget the reply to its enrolment, as if the site had been down.
fn forget_reply(site: &Running) {
    let file = site.path("phone/profiles/ada@local.toml");
    let profile = std::fs::read_to_string(&file).unwrap();
    let (before, _) = profile.split_once("[enrolled]").unwrap();
    std::fs::write(&file, before).unwrap();
}

/// The first attempt, without a pass phrase, failed because the site was down. The second one, with
/// `--passphrase`, used the plain key and reported success.
#[test]
fn a_repeated_enrolment_encrypts_the_key_when_asked() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let uri = uri(&site);
    assert_eq!(phone.enrol(&uri, "ada@local", &[]).code, 0);
    forget_reply(&site);
    let secret = ["--passphrase", "--passphrase-file", "site.pass"];
    let again = phone.enrol(&uri, "ada@local", &secret);
    assert_eq!(again.code, 0, "{}", again.err);
    let key = std::fs::read_to_string(site.path("phone/profiles/ada@local.key")).unwrap();
    assert!(key.contains("ENCRYPTED PRIVATE KEY"), "{key}");
    let call = ["call", "site", "status", "--passphrase-file", "site.pass"];
    assert_eq!(phone.run(&call).code, 0);

    // The same again changes nothing, and another key is refused.
    forget_reply(&site);
    assert_eq!(phone.enrol(&uri, "ada@local", &secret).code, 0);
    forget_reply(&site);
    let other = phone.enrol(&uri, "ada@local", &["--key", "site.pass"]);
    assert!(
        other.code == 7 && other.err.contains("another_key"),
        "{}",
        other.err
    );
}

/// A refusal ended the watch for good and blamed a revocation. The site refuses with the same silence
/// when it is short of something, as with a full disk; here the account is locked for a while.
#[test]
fn a_watch_over_a_device_survives_a_refusal() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    assert_eq!(phone.enrol(&uri(&site), "ada@local", &[]).code, 0);
    let raise = |key: &str| {
        let raised = site.run(&[
            "alarm",
            "raise",
            "ada",
            "--text",
            "It happened.",
            "--key",
            key,
        ]);
        assert_eq!(raised.code, 0, "{}", raised.err);
    };
    raise("before");
    let mut watch = phone
        .command(&["alarm", "watch", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut said = BufReader::new(watch.stderr.take().unwrap()).lines();
    let mut key = || {
        let line = events.next().unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        event["alarm"]["key"].as_str().unwrap().to_owned()
    };
    assert_eq!(key(), "before");
    let locked = site.run(&["person", "lock", "ada", "--yes"]);
    assert_eq!(locked.code, 0, "{}", locked.err);
    let refused = said.find(|line| {
        line.as_ref()
            .unwrap()
            .contains("did not accept this device")
    });
    assert!(refused.is_some(), "the watch goes on after it was refused");
    raise("while");
    assert_eq!(site.run(&["person", "unlock", "ada"]).code, 0);
    // Its output must be read, so that it does not block.
    std::thread::spawn(move || said.for_each(drop));
    assert_eq!(key(), "while");
    let _ = watch.kill();
    let _ = watch.wait();
}
