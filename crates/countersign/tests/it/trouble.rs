//! Bad input gets a clear message and an exit code, and damages nothing.

use std::io::Write;
use std::net::TcpStream;

use crate::backup::sql;
use crate::running::{Running, command};

#[test]
fn wrong_pass_phrase_unknown_name_and_locked_account_get_the_same_error_with_exit_code_4() {
    let site = Running::with_accounts();
    let wrong = site.call("maria", "wrong.pass", &["self", "show"]);
    let unknown = site.call("unknown", "maria.pass", &["self", "show"]);
    assert_eq!(site.run(&["person", "lock", "maria", "--yes"]).code, 0);
    let locked = site.call("maria", "maria.pass", &["self", "show"]);
    for output in [&wrong, &unknown, &locked] {
        assert_eq!(
            (output.code, &output.err, output.out.as_str()),
            (4, &wrong.err, "")
        );
    }
}

#[test]
fn a_wrong_site_key_warns_of_an_attack_with_exit_code_4() {
    let (site, mut other) = (Running::with_accounts(), Running::new());
    let key = other.uri.split_once('#').unwrap().1.to_owned();
    let address = site.uri.split_once('#').unwrap().0;
    other.uri = format!("{address}#{key}");
    let output = other.call("maria", "maria.pass", &["self", "show"]);
    assert!(output.code == 4 && output.err.contains("WARNING") && output.err.contains("attack"));
    std::fs::copy(site.path("robot.key"), other.path("robot.key")).unwrap();
    let output = other.call_as_robot(&["self", "show"]);
    assert!(
        output.code == 4 && output.err.contains("attack"),
        "{}",
        output.err
    );
}

#[test]
fn random_bytes_at_the_port_do_not_harm_the_site() {
    let site = Running::with_accounts();
    let address = site
        .uri
        .strip_prefix("countersign://")
        .unwrap()
        .split_once('#')
        .unwrap()
        .0;
    let mut noise: u32 = 1;
    for _ in 0..20 {
        let bytes: Vec<u8> = (0..20_000)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                noise.to_be_bytes()[0]
            })
            .collect();
        // The site closes the connection early, so a write may fail.
        let _ = TcpStream::connect(address).unwrap().write_all(&bytes);
    }
    // The source has a penalty for connections; the site still works.
    assert_eq!(site.run(&["audit", "verify"]).code, 0);
    assert_eq!(
        site.call_as_robot(&["self", "show"]).code,
        3,
        "the source is rejected"
    );
    let listed = site.run(&["penalty", "list"]).out;
    assert!(listed.starts_with("127.0.0.1  "), "{listed}");
    assert_eq!(site.run(&["penalty", "forget", "127.0.0.1"]).code, 0);
    assert_eq!(site.call_as_robot(&["self", "show"]).code, 0);
}

#[test]
fn a_damaged_dump_changes_nothing_and_names_line_and_field() {
    let site = Running::with_accounts();
    let dump = site
        .run(&["person", "dump", "maria"])
        .out
        .replace("maria@local", "copy@local");
    let damages = [
        (dump.replace("\"full_name\"", "\"fulname\""), "fulname"),
        (dump.replace("\"admin\"", "\"king\""), "role"),
        (dump[..dump.len() / 2].to_owned(), "line"),
    ];
    for (damaged, named) in damages {
        site.write("damaged.json", &damaged);
        let output = site.run(&["person", "load", "damaged.json"]);
        assert!(
            output.code == 2 && output.err.contains(named) && output.err.contains("line"),
            "{}",
            output.err
        );
        assert_eq!(site.run(&["person", "show", "copy"]).code, 6);
    }
}

#[test]
fn a_second_serve_on_a_folder_and_a_taken_port_are_refused_with_exit_code_1() {
    let site = Running::new();
    let second = site.run(&[
        "serve",
        "--session-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--passphrase-file",
        "site.pass",
    ]);
    assert!(
        second.code == 1 && second.err.contains("another process uses"),
        "{}",
        second.err
    );
    let address = site
        .uri
        .strip_prefix("countersign://")
        .unwrap()
        .split_once('#')
        .unwrap()
        .0;
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(site.path("site.pass"), other.path().join("site.pass")).unwrap();
    let words = [
        "serve",
        "--session-listen",
        address,
        "--passphrase-file",
        "site.pass",
    ];
    let taken = command(other.path(), &words).output().unwrap();
    let output = String::from_utf8(taken.stderr).unwrap();
    assert!(
        taken.status.code() == Some(1) && output.contains("cannot listen on"),
        "{output}"
    );
    assert_eq!(site.run(&["site", "status"]).code, 0);
}

#[test]
fn failures_have_the_exit_codes_of_the_help_text() {
    let site = Running::with_accounts();
    assert_eq!(site.run(&["person", "show", "unknown"]).code, 6);
    assert_eq!(site.run(&["person", "create", "maria"]).code, 7);
    assert_eq!(site.run(&["person", "crate", "x"]).code, 2);
    assert_eq!(site.call_as_robot(&["person", "list"]).code, 5);
    assert_eq!(site.call_as_robot(&["self", "shwo"]).code, 2);
    assert_eq!(
        site.run(&["person", "delete", "maria"]).code,
        2,
        "there is no terminal to ask in"
    );
    let nowhere = site.run(&["--data", "nowhere", "site", "status"]);
    assert!(
        nowhere.code == 3 && nowhere.out.is_empty(),
        "{}",
        nowhere.err
    );
}

#[test]
fn a_file_that_is_not_a_database_is_refused_and_not_changed() {
    let mut site = Running::new();
    // SQLite would apply the write-ahead log of a site that was not stopped orderly to the file.
    assert_eq!(site.stop(), Some(0));
    site.write(
        "site/site.db",
        "this is not a database but the only copy of a poem",
    );
    let output = site.run(&[
        "serve",
        "--session-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--passphrase-file",
        "site.pass",
    ]);
    assert_eq!(output.code, 1, "{}", output.err);
    let content = std::fs::read_to_string(site.path("site/site.db")).unwrap();
    assert!(content.contains("poem"));
}

#[test]
fn a_refused_pass_phrase_creates_no_person() {
    let site = Running::new();
    site.write("short.pass", "too short");
    let create = |file| {
        site.run(&[
            "person",
            "create",
            "ada",
            "--passphrase-file",
            file,
            "--json",
        ])
    };
    let output = create("short.pass");
    assert!(output.code == 1 && output.err.contains("short_passphrase"));
    assert_eq!(site.run(&["person", "show", "ada"]).code, 6);
    let output = create("maria.pass");
    assert_eq!(
        (output.code, output.json()["name"].as_str()),
        (0, Some("ada@local")),
        "{}",
        output.err
    );
    assert_eq!(site.call("ada", "maria.pass", &["self", "show"]).code, 0);
}

#[test]
fn a_secret_that_others_can_read_gets_a_warning() {
    let site = Running::new();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(site.path("maria.pass"), mode).unwrap();
    let output = site.run(&[
        "key",
        "new",
        "--out",
        "k",
        "--passphrase-file",
        "maria.pass",
    ]);
    assert!(output.code == 0 && output.err.contains("other users can read"));
}

#[test]
fn a_configuration_error_names_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("countersign.toml");
    std::fs::write(&file, "version = 1\n[limits]\nconections = 5\n").unwrap();
    let output = |words: &[&str]| {
        let output = command(folder.path(), words).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = output(&["config", "check", "countersign.toml"]);
    assert_eq!(code, Some(8), "{text}");
    for named in ["countersign.toml", "line 3", "conections", "`connections`"] {
        assert!(text.contains(named), "{named}: {text}");
    }
    let (code, _) = output(&["serve", "--config", "countersign.toml"]);
    assert_eq!(code, Some(1));
    let (code, text) = output(&["serve", "--config", "missing.toml"]);
    assert!(code == Some(6) && text.contains("missing.toml"), "{text}");
    let (code, _) = output(&["config", "check", "missing.toml"]);
    assert_eq!(code, Some(6));
}

#[test]
fn control_characters_in_a_name_are_shown_escaped() {
    let mut site = Running::new();
    let name = "Ada \u{202e}L";
    let refused = site.run(&["person", "create", "ada", "--name", name]);
    assert_eq!(refused.code, 2, "a site takes no such name");
    assert!(!refused.err.contains(name), "{}", refused.err);
    let create = ["person", "create", "ada", "--name", "Ada L"];
    assert_eq!(site.run(&create).code, 0);
    // It may have one from an earlier version.
    site.stop();
    let change: &[&str] = &["UPDATE account SET full_name = 'Ada \u{202e}L'"];
    sql(&site.path("site/site.db"), change);
    site.start(&["--passphrase-file", "site.pass"]);
    for verb in ["show", "list"] {
        let words = ["person", verb, "ada"];
        let words = if verb == "list" {
            &words[..2]
        } else {
            &words[..]
        };
        let text = site.run(words).out;
        assert!(
            text.contains(r"Ada \u{202e}L") && !text.contains(name),
            "{text}"
        );
        for format in ["json", "jsonl"] {
            let output = site.run(&[words, &["-o", format]].concat());
            assert!(output.out.is_ascii(), "{}", output.out);
            assert!(output.out.contains(r"Ada \u202eL"), "{}", output.out);
        }
    }
    let output = site.run(&["person", "show", "x\u{1b}[2J"]);
    assert!(
        output.code != 0 && !output.err.contains('\u{1b}'),
        "{}",
        output.err
    );
}
