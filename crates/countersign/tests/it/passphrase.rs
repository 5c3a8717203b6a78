//! Changing one's own pass phrase, and dumps of a person.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use crate::running::{CommandOutput, MARIAS_PASSPHRASE, Running};

fn change(site: &Running, present: &str, new: &str) -> CommandOutput {
    let words = ["passphrase", "change", "--site", &site.uri, "--as", "maria"];
    let files = ["--passphrase-file", present, "--new-passphrase-file", new];
    site.run(&[&words[..], &files[..]].concat())
}

/// A person could not change their pass phrase from the command line, only an admin could set it.
#[test]
fn a_person_changes_their_pass_phrase_and_keeps_their_key() {
    let site = Running::with_accounts();
    site.write("new.pass", "another long pass phrase");
    site.write("short.pass", "short");
    let certificate = || -> Value {
        let dump = site.run(&["person", "dump", "maria"]).json();
        dump["credential"]["certificate"].clone()
    };
    let before = certificate();

    let wrong = change(&site, "wrong.pass", "new.pass");
    assert_eq!((wrong.code, wrong.out.as_str()), (4, ""), "{}", wrong.err);
    let short = change(&site, "maria.pass", "short.pass");
    assert!(
        short.code == 1 && short.err.contains("12 characters"),
        "{}",
        short.err
    );
    assert_eq!(site.call("maria", "maria.pass", &["self", "show"]).code, 0);

    let changed = change(&site, "maria.pass", "new.pass");
    assert_eq!(changed.code, 0, "{}", changed.err);
    let expected = "Changed the pass phrase of maria@local. You had no other session.\n";
    assert_eq!(changed.out, expected);
    assert_eq!(site.call("maria", "maria.pass", &["self", "show"]).code, 4);
    assert_eq!(site.call("maria", "new.pass", &["self", "show"]).code, 0);
    assert_eq!(certificate(), before);

    let words = [
        "passphrase",
        "change",
        "--site",
        &site.uri,
        "--key",
        "robot.key",
    ];
    let robot = site.run(&words);
    assert!(
        robot.code == 2 && robot.err.contains("--as NAME"),
        "{}",
        robot.err
    );
}

/// A dump contains a record that allows offline guessing; its file had the default mode of the shell.
#[test]
fn a_dump_is_saved_with_mode_0600_and_overwrites_nothing() {
    let site = Running::with_accounts();
    let dump = ["person", "dump", "maria", "--save", "maria.json"];
    let output = site.run(&dump);
    assert_eq!(
        (output.code, output.out.as_str()),
        (0, ""),
        "{}",
        output.err
    );
    let mode = std::fs::metadata(site.path("maria.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(site.run(&dump).code, 7, "it exists");
    assert_eq!(site.run(&["person", "delete", "maria", "--yes"]).code, 0);

    let text = std::fs::read_to_string(site.path("maria.json")).unwrap();
    site.write(
        "altered.json",
        &text.replace("\"role\": \"admin\"", "\"role\": \"member\""),
    );
    let altered = site.run(&["person", "load", "altered.json"]);
    assert!(
        altered.code == 2 && altered.err.contains("damaged or changed"),
        "{}",
        altered.err
    );
    let loaded = site.run(&["person", "load", "maria.json"]);
    assert_eq!(loaded.code, 0, "{}", loaded.err);
    assert_eq!(site.call("maria", "maria.pass", &["self", "show"]).code, 0);
}

/// The ticket of the first launch was written to the log, where it could be read for an hour.
#[test]
fn the_ticket_of_the_first_launch_is_on_standard_output_only_and_creates_the_first_admin() {
    let site = Running::folder();
    let words = ["serve", "--json", "--passphrase-file", "site.pass"];
    let ports = [
        "--session-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
    ];
    let mut serve = site
        .command(&[&words[..], &ports].concat())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(serve.stdout.take().unwrap()).lines();
    let ticket = out
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .find_map(|shown| Some(shown["admin_ticket"].as_str()?.to_owned()))
        .expect("the site ended without a ticket");

    let words = ["passphrase", "set", "--id", "root"];
    let file = ["--new-passphrase-file", "maria.pass"];
    let none = site.run(&[&words[..], &file].concat());
    assert!(
        none.code == 2 && none.err.contains("--ticket-file FILE"),
        "{}",
        none.err
    );
    let both = ["--ticket-file", "-", "--new-passphrase-file", "-"];
    let both = site.run_with(&[&words[..], &both].concat(), MARIAS_PASSPHRASE);
    assert!(both.code == 2 && both.err.contains("cannot provide both"));
    site.write("ticket", &format!("{ticket}\n"));
    let from_file = ["--ticket-file", "ticket", "--json"];
    let set = site.run(&[&words[..], &file, &from_file].concat());
    assert_eq!(set.code, 0, "{}", set.err);
    let set = set.json();
    assert_eq!(set["id"], "root@local");
    let uri = set["site"].as_str().unwrap();
    let login = [
        "call",
        "--site",
        uri,
        "--as",
        "root",
        "--passphrase-file",
        "maria.pass",
    ];
    let shown = site.run(&[&login[..], &["--json", "self", "show"]].concat());
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert_eq!(shown.json()["role"], "admin");
    // Another person's attempt with the same ticket creates nothing.
    let words = ["passphrase", "set", "-", "--id", "mallory"];
    let again = site.run_with(&[&words[..], &file].concat(), &ticket);
    assert_eq!(again.code, 4, "{}", again.err);

    serve.kill().unwrap();
    let mut log = String::new();
    serve
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    serve.wait().unwrap();
    let (_, secret) = ticket.split_once("://").unwrap();
    assert!(
        !log.contains(secret) && !log.contains("passphrase set"),
        "{log}"
    );
}
