//! The exit codes of docs/reference/exit-codes.md, and failures as JSON.

use serde_json::Value;

use crate::running::{CommandOutput, Running};

/// The failure, as `--json` shows it: one object on the last line.
fn failure(output: &CommandOutput) -> Value {
    let line = output.err.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", output.err))
}

/// The program differed from `--help`: a wrong pass phrase of the site key gave 5, wrong parameters of
/// `call` 1, a ticket that is not issued 0.
#[test]
fn every_command_ends_with_the_exit_code_of_the_table() {
    let mut site = Running::with_accounts();
    site.write(
        "damaged.key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    assert_eq!(site.run(&["key", "show", "damaged.key"]).code, 1);
    assert_eq!(site.run(&["person", "crate", "x"]).code, 2);
    let wrong = ["person", "create", "nome=x", "name=y"];
    assert_eq!(site.call("maria", "maria.pass", &wrong).code, 2);
    assert_eq!(site.run(&["--data", "nowhere", "site", "status"]).code, 3);
    assert_eq!(site.call("maria", "wrong.pass", &["self", "show"]).code, 4);
    assert_eq!(site.call_as_robot(&["person", "list"]).code, 5);
    assert_eq!(site.run(&["person", "show", "unknown"]).code, 6);
    assert_eq!(site.run(&["key", "show", "nothing.key"]).code, 6);
    let load = ["person", "load", "nothing.json"];
    assert_eq!(site.run(&load).code, 6);
    assert_eq!(site.run(&["person", "create", "maria"]).code, 7);
    assert_eq!(site.run(&["key", "new", "--out", "robot.key"]).code, 7);
    site.write("bad.toml", "version = 7\n");
    assert_eq!(site.run(&["config", "check", "bad.toml"]).code, 8);

    for id in ["ledger", "billing"] {
        let (key, party) = (format!("{id}.key"), format!("{id}.party"));
        assert_eq!(site.run(&["key", "new", "--out", &key]).code, 0);
        assert_eq!(site.run(&["key", "party", &key, "--out", &party]).code, 0);
        assert_eq!(
            site.run(&["app", "create", id, "--public-key", &party])
                .code,
            0
        );
    }
    let ticket = site.run(&["app", "ticket", "billing", "ledger", "--json"]);
    assert_eq!(
        (ticket.code, &ticket.json()["granted"]),
        (5, &Value::Bool(false))
    );

    site.stop();
    let serve = [
        "serve",
        "--session-listen",
        "127.0.0.1:0",
        "--passphrase-file",
    ];
    let wrong = [&serve[..], &["wrong.pass"]].concat();
    assert_eq!(site.run(&wrong).code, 4);
    site.start(&[]);
    for unseal in [
        &["site", "unseal", "--passphrase-file", "wrong.pass"][..],
        &[
            "site",
            "unseal",
            "--recovery-code",
            "--passphrase-file",
            "code",
        ],
    ] {
        // A valid recovery code of another site.
        site.write("code", "TGVPH-JM7CA-TBCSH-HVVSV-AEPT1-00FAF-QDT6D");
        let output = site.run(unseal);
        assert_eq!(output.code, 4, "{}", output.err);
    }
}

/// With `--json`, errors were plain text.
#[test]
fn a_failure_is_one_json_object_with_json_output() {
    let site = Running::folder();
    for (words, code, exit) in [
        (&["key", "show", "nothing", "--json"][..], "file", 6),
        (&["site", "status", "-o", "json"], "unreachable", 3),
        (&["site", "status", "-ojsonl"], "unreachable", 3),
        (&["no", "such", "--output=json"], "usage", 2),
        (&["--json"], "usage", 2),
    ] {
        let output = site.run(words);
        let failure = failure(&output);
        assert_eq!(failure["code"], code, "{}", output.err);
        assert_eq!((&failure["exit"], output.code), (&Value::from(exit), exit));
        assert!(
            failure["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
    let text = site.run(&["key", "show", "nothing"]).err;
    assert!(
        text.starts_with("error: ") && text.ends_with("[file]\n"),
        "{text}"
    );
}

/// Every command asks before a disruptive operation, and `--yes` answers.
#[test]
fn every_command_asks_before_a_disruptive_operation() {
    let site = Running::with_accounts();
    for words in [
        &["person", "lock", "maria"][..],
        &["person", "delete", "maria"],
        &["person", "update", "maria", "--role", "member"],
        &["service", "lock", "robot"],
        &["service", "delete", "robot"],
        &["site", "key", "recovery"],
        &["session", "cut", "019523d0-5c00-7000-8000-000000000000"],
        &["option", "disable", "hybrid-aes256gcm"],
        &["app", "lock", "billing"],
        &["app", "delete", "billing"],
        &["penalty", "forget"],
        &["option", "enable", "x25519-aes256gcm"],
    ] {
        let output = site.run(words);
        assert_eq!(output.code, 2, "{words:?}: {}", output.err);
        assert!(output.err.contains("[not_confirmed]"), "{}", output.err);
        assert!(output.err.contains(&words[..2].join(" ")), "{}", output.err);
    }
    let script = |words: &[&str], line: &str| {
        let login = ["shell", "--site", &site.uri, "--as", "maria"];
        let login = [&login[..], &["--passphrase-file", "maria.pass"], words].concat();
        site.run_with(&login, &format!("{line}\n"))
    };
    for (words, question) in [
        (&["person", "delete", "name=ada"][..], "person delete ada: "),
        (&["penalty", "forget"], "penalty forget: "),
        (
            &["option", "enable", "name=x25519-aes256gcm"],
            "option enable x25519-aes256gcm: ",
        ),
    ] {
        for output in [
            site.call("maria", "maria.pass", words),
            script(&[], &words.join(" ")),
        ] {
            let asked = output.code == 2 && output.err.contains(question);
            assert!(asked, "{words:?}: {} {}", output.code, output.err);
        }
    }
    let delete = "person delete name=ada";
    assert_eq!(site.run(&["person", "create", "ada"]).code, 0);
    assert_eq!(script(&["--yes"], delete).code, 0);
    assert_eq!(site.run(&["person", "show", "ada"]).code, 6);
}

/// `call person list` showed 100 of 12,552 entries without a notice.
#[test]
fn a_page_of_a_list_says_how_to_get_the_next_one() {
    let site = Running::with_accounts();
    assert_eq!(site.run(&["person", "create", "ada"]).code, 0);
    let list = |more: &[&str]| {
        let words = [&["person", "list", "limit:=1", "-o", "jsonl"][..], more].concat();
        site.call("maria", "maria.pass", &words)
    };
    let first = list(&[]);
    let hint = first
        .err
        .split_whitespace()
        .find(|word| word.starts_with("after="));
    let after = hint.unwrap().trim_end_matches(',').to_owned();
    assert!(first.out.contains("ada@local"), "{}", first.out);
    let rest = list(&[&after]);
    assert!(rest.out.contains("maria@local"), "{}", rest.out);
    assert!(!rest.err.contains("after"), "{}", rest.err);
}
