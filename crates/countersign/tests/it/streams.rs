//! Standard output and standard error closed or full: no command panics, and exit codes are those of the
//! table.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::running::{Running, command};

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// A pipe whose reader was closed, as `| head -1` does.
fn closed() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

/// The exit codes with a closed pipe and a full disk as standard output, and the exit codes with closed
/// standard output and with a standard error that cannot be written.
fn codes(site: &Running, words: &[&str]) -> [Option<i32>; 4] {
    let run = |out: Stdio, err: Stdio| {
        let mut command = site.command(words);
        let command = command.stdin(Stdio::null()).stdout(out).stderr(err);
        command.status().unwrap().code()
    };
    let none = Command::new("sh")
        .args([
            "-c",
            "exec \"$@\" >&- 2>&-",
            "sh",
            env!("CARGO_BIN_EXE_countersign"),
        ])
        .args(words)
        .current_dir(site.folder.path())
        .status()
        .unwrap();
    [
        run(closed(), Stdio::null()),
        run(full().into(), closed()),
        none.code(),
        run(Stdio::null(), full().into()),
    ]
}

/// Every command, from `--help`.
fn commands(words: &[String], found: &mut Vec<Vec<String>>) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let help = command(
        std::env::temp_dir().as_path(),
        &[&words[..], &["--help"]].concat(),
    );
    let help = String::from_utf8({ help }.output().unwrap().stdout).unwrap();
    let listed = help
        .split_once("Commands:\n")
        .map_or("", |(_, listed)| listed);
    let listed = listed.lines().take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        let whole: Vec<String> = words
            .iter()
            .chain([&name])
            .map(ToString::to_string)
            .collect();
        commands(&whole, found);
        found.push(whole);
    }
}

/// `countersign completions bash | head -1` panicked, and so did every failure when standard error was
/// full.
#[test]
fn help_of_every_command_works_with_streams_that_cannot_be_written() {
    let site = Running::folder();
    let mut all = vec![vec![]];
    commands(&[], &mut all);
    assert!(all.len() > 60, "{all:?}");
    for words in all {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let expected = [Some(0), Some(1), Some(0), Some(0)];
        assert_eq!(codes(&site, &words), expected, "{words:?}");
    }
}

#[test]
fn commands_work_with_streams_that_cannot_be_written() {
    let site = Running::with_accounts();
    let call = ["call", "--site", &site.uri, "--key", "robot.key"];
    let shell = ["shell", "--site", &site.uri, "--key", "robot.key"];
    let fine = [Some(0), Some(1), Some(0), Some(0)];
    for words in [
        &["site", "status"][..],
        &["person", "list", "--json"],
        &["audit", "list"],
        &["audit", "export"],
        &["option", "list"],
        &["config", "example"],
        &["completions", "bash"],
        &["key", "show", "robot.key"],
        &["--version"],
        &[&call[..], &["self", "show"]].concat(),
    ] {
        assert_eq!(codes(&site, words), fine, "{words:?}");
    }
    // Commands that write to standard error only.
    assert_eq!(codes(&site, &["person", "show", "unknown"]), [Some(6); 4]);
    assert_eq!(
        codes(&site, &["person", "show", "unknown", "--json"]),
        [Some(6); 4]
    );
    assert_eq!(codes(&site, &["no", "such"]), [Some(2); 4]);
    assert_eq!(codes(&site, &shell), [Some(0); 4]);
}

/// `key show` panicked for a file name that is not UTF-8, and `key new` after it had written its files.
#[test]
fn a_file_may_have_any_name() {
    let site = Running::folder();
    let name = OsStr::from_bytes(b"cl\xe9.key");
    let run = |words: &[&str]| {
        let mut command = site.command(words);
        let output = command.arg(name).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let made = run(&["key", "new", "--out"]);
    assert_eq!(made["file"], "cl\u{fffd}.key");
    assert_eq!(run(&["key", "show"])["thumbprint"], made["thumbprint"]);
    assert_eq!(
        run(&["key", "party", "--out", "a.party"])["file"],
        "a.party"
    );
    run(&["key", "passphrase", "--remove"]);
}
