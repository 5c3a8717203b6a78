//! Text that users provide (pass phrases, keys, URIs, variables), as editors, shells and other systems
//! write it.

use crate::running::{CommandOutput, Running};

fn with(site: &Running, variables: &[(&str, &str)], words: &[&str]) -> CommandOutput {
    let mut command = site.command(words);
    let command = command.envs(variables.iter().copied());
    command
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
        .into()
}

/// A pass phrase from a file with CR LF could not be typed, and one that was set on a Mac could not be typed
/// on a PC.
// SES-70, SES-71
#[test]
fn a_pass_phrase_is_the_same_from_every_file_and_keyboard() {
    let site = Running::with_accounts();
    site.write("mac.pass", "\u{feff}Zoe\u{308}s correct\u{a0}horse\r\n");
    let set = ["person", "passphrase", "maria", "--passphrase-file"];
    let output = site.run(&[&set[..], &["mac.pass"]].concat());
    assert_eq!(output.code, 0, "{}", output.err);
    site.write("pc.pass", "Zo\u{eb}s correct horse");
    assert_eq!(site.call("maria", "pc.pass", &["self", "show"]).code, 0);
    site.write("blanks.pass", " Zo\u{eb}s correct horse ");
    assert_eq!(site.call("maria", "blanks.pass", &["self", "show"]).code, 4);

    site.write("control.pass", "correct\thorse\u{7}battery");
    let output = site.run(&[&set[..], &["control.pass"]].concat());
    assert_eq!(output.code, 1);
    assert!(
        output.err.contains("character 8") && output.err.contains("control"),
        "{}",
        output.err
    );
    // At a login such a pass phrase matches no record; the error does not differ from a wrong one.
    let output = site.call("maria", "control.pass", &["self", "show"]);
    assert!(
        output.code == 4 && !output.err.contains("control"),
        "{}",
        output.err
    );
}

/// A URI with a final line end was refused, and an empty variable made every command fail.
#[test]
fn variables_may_be_empty_or_have_white_space_around_the_value() {
    let site = Running::with_accounts();
    let show = ["call", "--key", "robot.key", "self", "show"];
    for uri in [
        format!("{}\n", site.uri),
        format!(" \u{feff}{}\r\n", site.uri),
    ] {
        let output = with(&site, &[("COUNTERSIGN_SITE", &uri)], &show);
        assert_eq!(output.code, 0, "{}", output.err);
    }
    let empty = [
        "COUNTERSIGN_DATA",
        "COUNTERSIGN_OUTPUT",
        "COUNTERSIGN_SITE_PASSPHRASE_FILE",
        "COUNTERSIGN_KEY_PASSPHRASE_FILE",
        "COUNTERSIGN_PERSON_PASSPHRASE_FILE",
        "COUNTERSIGN_OPTION",
        "COUNTERSIGN_MAX_PACKET",
        "COUNTERSIGN_AS",
        "COUNTERSIGN_PARAMS_FILE",
    ];
    let mut variables = empty.map(|name| (name, "")).to_vec();
    let output = with(&site, &variables, &["site", "status"]);
    assert_eq!(output.code, 0, "{}", output.err);
    variables.push(("COUNTERSIGN_SITE", &site.uri));
    let output = with(&site, &variables, &show);
    assert_eq!(output.code, 0, "{}", output.err);
    let output = with(&site, &[("COUNTERSIGN_SITE", "\n")], &show);
    assert!(
        output.code == 2 && output.err.contains("--site"),
        "{}",
        output.err
    );
}

/// With `COUNTERSIGN_PASSPHRASE_FILE` set for `serve`, `person create` gave the site's pass phrase to the
/// person, and `key new` encrypted the key with it.
#[test]
fn each_secret_has_a_variable_of_its_own() {
    let mut site = Running::with_accounts();
    for name in [
        "COUNTERSIGN_PASSPHRASE_FILE",
        "COUNTERSIGN_SITE_PASSPHRASE_FILE",
    ] {
        let variable = [(name, "site.pass")];
        let person = name.to_lowercase().replace('_', "-");
        let output = with(&site, &variable, &["person", "create", &person]);
        assert!(
            output.code == 0 && !output.out.contains("with a pass phrase"),
            "{}",
            output.out
        );
        let file = format!("{person}.key");
        assert_eq!(
            with(&site, &variable, &["key", "new", "--out", &file]).code,
            0
        );
        let key = std::fs::read_to_string(site.path(&file)).unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "{key}");
    }
    let key = ["key", "new", "--out", "e.key"];
    let variable = [("COUNTERSIGN_KEY_PASSPHRASE_FILE", "maria.pass")];
    let output = with(&site, &variable, &key);
    assert!(
        output.code == 0 && output.err.contains("pass phrase in maria.pass"),
        "{}",
        output.err
    );
    assert_eq!(with(&site, &variable, &["key", "show", "e.key"]).code, 0);
    assert_eq!(with(&site, &[], &["key", "show", "e.key"]).code, 2);
    let variable = [("COUNTERSIGN_PERSON_PASSPHRASE_FILE", "maria.pass")];
    let call = ["call", "--site", &site.uri, "--as", "maria", "self", "show"];
    assert_eq!(with(&site, &variable, &call).code, 0);
    site.stop();
    site.start(&[]);
    let variable = [("COUNTERSIGN_SITE_PASSPHRASE_FILE", "site.pass")];
    assert_eq!(with(&site, &variable, &["site", "unseal"]).code, 0);
}

/// A private key, given by mistake as the public one, was sent to the site, which refused it.
#[test]
fn a_private_key_is_not_sent() {
    // There is no site: the command must refuse the key before it connects.
    let site = Running::folder();
    for words in [
        &["key", "new", "--out", "robot.key"][..],
        &[
            "key",
            "new",
            "--out",
            "locked.key",
            "--passphrase-file",
            "maria.pass",
        ],
    ] {
        assert_eq!(site.run(words).code, 0);
    }
    let uri = "countersign://127.0.0.1:1#ATprJhWb50UHSdEdAeLCBPEFYO1U09JS1uaGGb9qCg8gKMpHhFq6bqG3sOUJ5C08qbDxvm8OzNTx_a9y3_Xy0zFa-fg";
    for file in ["robot.key", "locked.key"] {
        let pem = std::fs::read_to_string(site.path(file)).unwrap();
        let (certificate, keys) = (format!("certificate={pem}"), serde_json::json!([pem]));
        let keys = format!("public_keys:={keys}");
        for words in [
            &["service", "create", "x", "--public-key", file][..],
            &["service", "key", "add", "x", "--public-key", file],
            &["app", "create", "x", "--public-key", file],
            &["app", "rotate-key", "x", "--public-key", file],
            &[
                "call",
                "--site",
                uri,
                "--key",
                "robot.key",
                "key",
                "add",
                "name=x",
                &certificate,
            ],
            &[
                "call",
                "--site",
                uri,
                "--key",
                "robot.key",
                "app",
                "create",
                "id=x",
                &keys,
            ],
        ] {
            let output = site.run(words);
            assert!(
                output.code == 2 && output.err.contains("nothing was sent"),
                "{words:?}: {}",
                output.err
            );
        }
    }
    let plain = ["person", "deliver-key", "x", "--key", "robot.key", "--yes"];
    let output = site.run(&plain);
    assert!(
        output.code == 2 && output.err.contains("not encrypted"),
        "{}",
        output.err
    );
    let public = ["service", "create", "x", "--public-key", "robot.key.pub"];
    assert_eq!(site.run(&public).code, 3, "a public key would be sent");
}

/// Only `openssl` could change the pass phrase of a key file, and it drops the seed.
#[test]
fn a_key_files_pass_phrase_changes_and_the_key_stays() {
    let site = Running::folder();
    assert_eq!(site.run(&["key", "new", "--out", "robot.key"]).code, 0);
    let shown = |file: &[&str]| site.run(&[&["key", "show", "robot.key"][..], file].concat());
    let before = shown(&[]).out;
    let change =
        |words: &[&str]| site.run(&[&["key", "passphrase", "robot.key"][..], words].concat());
    let set = ["--new-passphrase-file", "maria.pass"];
    assert_eq!(change(&set).code, 0);
    let (right, wrong) = (
        ["--passphrase-file", "maria.pass"],
        ["--passphrase-file", "wrong.pass"],
    );
    assert_eq!((shown(&right).code, shown(&wrong).code), (0, 4));
    let openssl = std::process::Command::new("openssl")
        .args([
            "pkey",
            "-in",
            "robot.key",
            "-passin",
            "file:maria.pass",
            "-noout",
        ])
        .current_dir(site.folder.path())
        .status();
    assert!(openssl.unwrap().success());
    assert_eq!(change(&[&wrong[..], &["--remove"]].concat()).code, 4);
    assert_eq!(change(&[&right[..], &["--remove"]].concat()).code, 0);
    assert_eq!(shown(&[]).out, before);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(site.path("robot.key"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let both = ["--passphrase-file", "-", "--new-passphrase-file", "-"];
    assert_eq!(change(&both).code, 2);
    let left = std::fs::read_dir(site.folder.path()).unwrap().count();
    assert_eq!(left, 5, "three pass phrases, the key and its certificate");
}

/// `localhost:4747` was refused as an address, and `--session-lifetime 1h` was refused while
/// `--keys-last 1h` worked.
#[test]
fn host_names_and_durations_are_accepted_everywhere() {
    let site = Running::new();
    site.write(
        "names.toml",
        "version = 1\n[listen]\nsession = \"localhost:4747\"\nhttp = \"localhost:4749\"\n",
    );
    let output = site.run(&["config", "check", "names.toml"]);
    assert_eq!(output.code, 0, "{}", output.err);
    let serve = ["--data", "other", "serve", "--session-listen"];
    let output = site.run(&[&serve[..], &["localhost:0", "--http-listen", "localhost"]].concat());
    assert!(
        output.code == 2 && output.err.contains("--http-listen"),
        "{}",
        output.err
    );
    let config = [
        "site",
        "config",
        "--session-lifetime",
        "12h",
        "--key-lifetime",
        "30m",
        "--json",
    ];
    let output = site.run(&config);
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(output.json()["session_lifetime"], 43_200);
    assert_eq!(output.json()["key_lifetime"], 1_800);
}
