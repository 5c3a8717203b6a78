//! The main job from end to end: a site, a person, a service, operations.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::json;

use crate::running::Running;

#[test]
fn a_newcomer_has_a_site_with_a_person_and_a_service_that_run_operations() {
    let mut site = Running::with_accounts();
    let status = site.run(&["site", "status", "--json"]).json();
    assert_eq!(
        (&status["uri"], &status["sealed"]),
        (&json!(site.uri), &json!(false))
    );

    let output = site.call("maria", "maria.pass", &["self", "show", "--json"]);
    assert_eq!(
        (output.code, output.json()["name"].as_str()),
        (0, Some("maria@local")),
        "{}",
        output.err
    );
    let output = site.call_as_robot(&["self", "show", "--json"]);
    assert_eq!(
        (output.code, output.json()["name"].as_str()),
        (0, Some("robot@local"))
    );
    let created = [
        "person",
        "create",
        "name=ada",
        "full_name=Ada L",
        "email=ada@example.org",
    ];
    assert_eq!(site.call("maria", "maria.pass", &created).code, 0);
    let listed = site.run(&["person", "list", "-o", "jsonl"]).out;
    assert_eq!(listed.lines().count(), 2);

    assert_eq!(site.run(&["audit", "verify"]).code, 0);
    let log = site.run(&["audit", "list"]).out;
    let created = log.lines().map(|line| line.split_whitespace().collect());
    assert!(
        created.into_iter().any(|words: Vec<&str>| words
            .windows(2)
            .any(|two| two == ["person.create", "ada@local"])),
        "{log}"
    );
    assert_eq!(site.stop(), Some(0));
    assert!(!site.path("site/admin.sock").exists());
}

/// The list showed the first hundred of a thousand entries and could show no others.
#[test]
fn the_audit_log_is_listed_from_its_end_and_searched() {
    let site = Running::with_accounts();
    let last = site.run(&["audit", "list", "--last", "1", "-o", "jsonl"]);
    assert_eq!(last.out.lines().count(), 1, "{}", last.out);
    assert!(last.err.contains("--before"), "{}", last.err);
    let entry: serde_json::Value = serde_json::from_str(&last.out).unwrap();
    let head = entry["hash"].as_str().unwrap();
    assert!(site.run(&["audit", "verify"]).out.contains(head));

    let local = ["audit", "list", "--actor", "local admin", "-o", "jsonl"];
    let local = site.run(&[&local[..], &["--operation", "person"]].concat());
    assert!(local.out.contains("person.create") && local.out.contains("(uid "));
    assert!(!local.out.contains("service.create"), "{}", local.out);
    let none = site.run(&["audit", "list", "--since", "2999-01-01T00:00:00Z"]);
    assert_eq!(none.code, 0, "{}", none.err);
    assert!(!none.out.contains("person"), "{}", none.out);
}

/// `--follow` had no test. Entries that are written later are shown.
#[test]
fn the_audit_log_is_followed() {
    let site = Running::with_accounts();
    let follow = ["audit", "list", "--last", "1", "--follow", "-o", "jsonl"];
    let mut following = site.command(&follow);
    let mut following = following.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_eq!(first["operation"], "service.create", "{first}");
    let (mut seq, first) = (first["seq"].as_u64().unwrap(), first);
    assert!(first["target"].as_str().unwrap().starts_with("robot"));
    for name in ["ada", "grace", "edith"] {
        assert_eq!(site.run(&["person", "create", name]).code, 0);
        let entry = next();
        assert_eq!(entry["target"], format!("{name}@local"));
        seq += 1;
        assert_eq!(entry["seq"], seq, "each entry once, and none omitted");
    }
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn an_entry_is_shown_to_a_follower_whose_filter_matched_nothing_before() {
    let site = Running::with_accounts();
    let follow = ["audit", "list", "--follow", "-o", "jsonl"];
    let follow = [&follow[..], &["--operation", "person.lock"]].concat();
    let mut following = site.command(&follow);
    let mut following = following.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    for name in ["ada", "grace"] {
        assert_eq!(site.run(&["person", "create", name]).code, 0);
        assert_eq!(site.run(&["person", "lock", name, "--yes"]).code, 0);
        let line = lines.next().unwrap().unwrap();
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(entry["target"], format!("{name}@local"));
    }
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn the_audit_log_is_exported_over_the_admin_socket_and_over_a_session() {
    let site = Running::with_accounts();
    let output = site.run(&["audit", "export", "--save", "log.jsonl"]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (0, ""),
        "{}",
        output.err
    );
    let saved = std::fs::read_to_string(site.path("log.jsonl")).unwrap();
    let listed = site.run(&["audit", "list", "-o", "jsonl"]).out;
    let parsed = |text: &str| -> Vec<serde_json::Value> {
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    assert!(parsed(&listed).starts_with(&parsed(&saved)) && saved.lines().count() > 2);
    assert!(!site.path("log.jsonl.part").exists());

    let piped = site.call("maria", "maria.pass", &["audit", "export", "after:=1"]);
    assert_eq!(piped.code, 0, "{}", piped.err);
    let lines: Vec<&str> = saved.lines().skip(1).collect();
    assert!(piped.out.starts_with(&lines.join("\n")));
    let refused = site.call("maria", "maria.pass", &["audit", "export", "after:=-1"]);
    assert_ne!(refused.code, 0);
    let robot = site.call_as_robot(&["audit", "export", "--save", "robot.jsonl"]);
    assert_ne!(robot.code, 0);
    assert!(!site.path("robot.jsonl").exists());
}

#[test]
fn encryption_options_are_administered_without_a_restart() {
    let site = Running::with_accounts();
    let enable = ["option", "enable", "x25519-aes128gcm"];
    assert_eq!(
        site.run(&enable).code,
        2,
        "a weaker option needs a confirmation, and there is no terminal"
    );
    let enabled = site.run(&["option", "enable", "x25519-aes128gcm", "--yes"]);
    assert_eq!(enabled.code, 0, "{}", enabled.err);
    assert!(enabled.out.contains("WARNING"));
    let robot = site.call_as_robot(&["self", "show", "--option", "x25519-aes128gcm"]);
    assert_eq!(robot.code, 0, "{}", robot.err);
    assert_eq!(
        site.run(&["option", "order", "hybrid-chacha20poly1305"])
            .code,
        0
    );
    assert_eq!(site.run(&["option", "floor", "hybrid"]).code, 2);
    assert_eq!(site.run(&["option", "floor", "hybrid", "--yes"]).code, 0);
    let again = site.run(&["option", "floor", "hybrid"]);
    assert_eq!(
        again.code, 0,
        "enabling it again is not disruptive: {}",
        again.err
    );
    let robot = site.call_as_robot(&["self", "show", "--option", "x25519-aes128gcm"]);
    assert_ne!(robot.code, 0);
    let listed = site.run(&["option", "list"]).out;
    assert!(
        listed.starts_with("1  hybrid-chacha20poly1305  hybrid"),
        "{listed}"
    );
    assert_eq!(
        site.run(&["option", "enable", "x25519-aes128gcm", "--yes"])
            .code,
        7
    );
    assert_eq!(
        site.run(&["session", "show", "019523d0-5c00-7000-8000-000000000000"])
            .code,
        6
    );
}

// SES-30
#[test]
fn the_configured_floor_overrides_what_admins_enabled() {
    let mut site = Running::new();
    let enable = ["option", "enable", "x25519-aes256gcm", "--yes"];
    assert_eq!(site.run(&enable).code, 0);
    site.stop();
    let config = "version = 1\n[options]\nfloor = \"hybrid\"\n";
    site.write("site/countersign.toml", config);
    site.start(&["--passphrase-file", "site.pass"]);
    let listed = site.run(&["option", "list"]).out;
    let suppressed = "-  x25519-aes256gcm         classical  (enabled, but below the floor in the configuration file)";
    assert!(listed.contains(suppressed), "{listed}");
    let lowered = site.run(&["option", "floor", "classical", "--yes"]);
    assert_eq!(lowered.code, 7);
    assert!(lowered.err.contains("[options]"), "{}", lowered.err);

    site.stop();
    site.write("site/countersign.toml", "version = 1\n");
    site.start(&["--passphrase-file", "site.pass"]);
    for hybrid in ["hybrid-aes256gcm", "hybrid-chacha20poly1305"] {
        assert_eq!(site.run(&["option", "disable", hybrid, "--yes"]).code, 0);
    }
    site.stop();
    site.write("site/countersign.toml", config);
    let serve = ["serve", "--passphrase-file", "site.pass"];
    let refused = site.run(&serve);
    assert_eq!(
        refused.code, 1,
        "no option is left to offer: {}",
        refused.err
    );
    assert!(refused.err.contains("floor"), "{}", refused.err);
}

/// openssl decrypts a delivered key with the pass phrase.
#[test]
fn a_delivered_key_opens_with_openssl() {
    let site = Running::with_accounts();
    let key = [
        "key",
        "new",
        "--out",
        "maria.key",
        "--passphrase-file",
        "maria.pass",
    ];
    assert_eq!(site.run(&key).code, 0);
    let deliver = site.run(&[
        "person",
        "deliver-key",
        "maria",
        "--key",
        "maria.key",
        "--yes",
    ]);
    assert_eq!(deliver.code, 0, "{}", deliver.err);
    assert!(deliver.out.contains("WARNING"));
    let floor = ["option", "floor", "delivered", "--yes"];
    assert_eq!(site.run(&floor).code, 0);
    let enabled = site.run(&["option", "enable", "delivered-key", "--yes"]);
    assert!(enabled.out.contains("WARNING"), "{}", enabled.err);
    let call = [
        "self",
        "show",
        "--option",
        "delivered-key",
        "--save-delivered-key",
        "delivered.pem",
    ];
    let output = site.call("maria", "maria.pass", &call);
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(site.call("maria", "wrong.pass", &call[..4]).code, 4);
    let openssl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("openssl");
        let output = command
            .args(arguments)
            .arg("-in")
            .arg(site.path("delivered.pem"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let file = format!("file:{}", site.path("maria.pass").display());
    let of_key = openssl(&["pkey", "-passin", &file, "-pubout"]);
    let of_certificate = openssl(&["x509", "-noout", "-pubkey"]);
    assert_eq!(of_key, of_certificate);
    assert!(of_key.starts_with("-----BEGIN PUBLIC KEY-----"));
}

#[test]
fn a_dumped_person_is_loaded_and_logs_in_again() {
    let site = Running::with_accounts();
    let dump = site.run(&["person", "dump", "maria"]).out;
    site.write("maria.json", &dump);
    assert_eq!(
        site.run(&["person", "load", "maria.json"]).code,
        7,
        "the person exists"
    );
    assert_eq!(site.run(&["person", "delete", "maria", "--yes"]).code, 0);
    assert_eq!(site.call("maria", "maria.pass", &["self", "show"]).code, 4);
    assert_eq!(site.run(&["person", "load", "maria.json"]).code, 0);
    assert_eq!(site.call("maria", "maria.pass", &["self", "show"]).code, 0);
}

#[test]
fn a_sealed_site_is_unsealed_with_its_pass_phrase_or_its_recovery_code() {
    let mut site = Running::with_accounts();
    let recovery = site
        .run(&["site", "key", "recovery", "--json", "--yes"])
        .json();
    site.write("recovery.code", recovery["recovery_code"].as_str().unwrap());
    for unseal in [
        &["site", "unseal", "--passphrase-file", "site.pass"][..],
        &[
            "site",
            "unseal",
            "--recovery-code",
            "--passphrase-file",
            "recovery.code",
        ],
    ] {
        site.stop();
        site.start(&[]);
        let status = site.run(&["site", "status", "--json"]).json();
        assert_eq!(status["sealed"], json!(true));
        let output = site.call_as_robot(&["self", "show"]);
        assert!(
            output.code == 3 && output.err.contains("[sealed]"),
            "{}",
            output.err
        );
        assert_eq!(
            site.run(&["person", "list"]).code,
            3,
            "a sealed site runs no other operation"
        );
        assert_ne!(
            site.run(&["site", "unseal", "--passphrase-file", "wrong.pass"])
                .code,
            0
        );
        assert_eq!(site.run(unseal).code, 0);
        assert_eq!(site.call_as_robot(&["self", "show"]).code, 0);
    }
}

#[test]
fn initialisation_scripts_are_applied_once_each() {
    let mut site = Running::new();
    site.stop();
    std::fs::create_dir(site.path("site/init.d")).unwrap();
    let create = r#"{"id":1,"group":"person","command":"create","params":{"name":"grace"}}"#;
    site.write("site/init.d/10-people.jsonl", create);
    for _ in 0..2 {
        site.start(&["--passphrase-file", "site.pass"]);
        assert_eq!(site.run(&["person", "show", "grace"]).code, 0);
        site.stop();
    }
}

#[test]
fn an_encrypted_key_file_asks_for_its_pass_phrase() {
    let site = Running::new();
    let new = [
        "key",
        "new",
        "--out",
        "secret.key",
        "--passphrase-file",
        "maria.pass",
    ];
    assert_eq!(site.run(&new).code, 0);
    assert_eq!(site.run(&new).code, 7, "a key file is not overwritten");
    let text = std::fs::read_to_string(site.path("secret.key")).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let show = |file| {
        site.run(&["key", "show", "secret.key", "--passphrase-file", file])
            .code
    };
    assert_eq!((show("maria.pass"), show("wrong.pass")), (0, 4));
}

#[test]
fn a_sites_files_are_its_users_only_also_in_a_folder_that_others_may_enter() {
    let mut site = Running::new();
    site.stop();
    std::fs::remove_dir_all(site.path("site")).unwrap();
    std::fs::create_dir(site.path("site")).unwrap();
    std::fs::set_permissions(site.path("site"), Permissions::from_mode(0o755)).unwrap();
    site.start(&["--passphrase-file", "site.pass"]);
    for entry in std::fs::read_dir(site.path("site")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}

#[test]
fn applications_are_registered_and_permitted_to_call_others() {
    let site = Running::new();
    let key = |name: &str| {
        let (file, party) = (format!("{name}.key"), format!("{name}.party"));
        assert_eq!(site.run(&["key", "new", "--out", &file]).code, 0);
        let output = site.run(&["key", "party", &file, "--out", &party]);
        assert_eq!(output.code, 0, "{}", output.err);
        party
    };
    for (name, more) in [
        ("ledger", ["--group", "finance"]),
        ("billing", ["--keys-last", "30m"]),
    ] {
        let party = key(name);
        let create = [&["app", "create", name, "--public-key", &party][..], &more].concat();
        let output = site.run(&create);
        assert_eq!(output.code, 0, "{}", output.err);
    }
    let update = [
        "app",
        "update",
        "billing",
        "--allow",
        "ledger",
        "--allow-group",
        "finance",
    ];
    assert_eq!(site.run(&update).code, 0);
    let shown = site.run(&["app", "show", "billing", "--json"]).json();
    assert_eq!(shown["keys_last"], 1_800_000);
    let callees = json!([{ "app": "ledger" }, { "group": "finance" }]);
    assert_eq!(shown["may_call"], callees);
    let newer = key("newer");
    let rotate = [
        "app",
        "rotate-key",
        "billing",
        "--public-key",
        &newer,
        "--overlap",
        "1h",
    ];
    assert_eq!(site.run(&rotate).code, 0);
    let shown = site.run(&["app", "show", "billing"]).out;
    assert!(
        shown.contains("may call group  finance") && shown.contains("until"),
        "{shown}"
    );
    assert_eq!(site.run(&["app", "list"]).out.lines().count(), 2);
    assert_eq!(site.run(&["app", "lock", "billing", "--yes"]).code, 0);
    assert_eq!(
        site.run(&["app", "delete", "billing"]).code,
        2,
        "there is no terminal to ask in"
    );
    assert_eq!(site.run(&["app", "delete", "billing", "--yes"]).code, 0);
    assert_eq!(
        site.run(&["app", "create", "x", "--public-key", "absent"])
            .code,
        6
    );
}
