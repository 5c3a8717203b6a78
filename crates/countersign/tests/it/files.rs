//! Files that the binary writes, and a folder whose database is missing.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::running::{CommandOutput, Running, SITE_PASSPHRASE, command};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Starts the site in the folder with its pass phrase, as a service manager does.
fn unattended(folder: &Path, words: &[&str]) -> CommandOutput {
    let pass = folder.join("site.pass");
    std::fs::write(&pass, SITE_PASSPHRASE).unwrap();
    std::fs::set_permissions(&pass, PermissionsExt::from_mode(0o600)).unwrap();
    let serve = [
        "serve",
        "--session-listen",
        "127.0.0.1:0",
        "--passphrase-file",
        "site.pass",
    ];
    let mut command = command(folder, &serve);
    command.args(["--http-listen", "127.0.0.1:0"]).args(words);
    command.stdin(Stdio::null()).output().unwrap().into()
}

/// `audit export --save` replaced any existing file by one that all users could read; a FIFO and a device
/// became regular files.
#[test]
fn an_export_replaces_no_file_without_force_and_no_device() {
    let site = Running::new();
    site.write("log.jsonl", "mine");
    let export = |words: &[&str]| site.run(&[&["audit", "export"], words].concat());
    let refused = export(&["--save", "log.jsonl"]);
    assert!(
        refused.code == 7 && refused.err.contains("[file_exists]"),
        "{}",
        refused.err
    );
    assert_eq!(std::fs::read(site.path("log.jsonl")).unwrap(), b"mine");
    let replaced = export(&["--save", "log.jsonl", "--force"]);
    assert_eq!(replaced.code, 0, "{}", replaced.err);
    assert_ne!(std::fs::read(site.path("log.jsonl")).unwrap(), b"mine");
    assert_eq!(mode(&site.path("log.jsonl")), 0o600);

    let full = export(&["--save", "/dev/full"]);
    assert!(
        full.code == 1 && full.err.contains("/dev/full"),
        "{}",
        full.err
    );
    let device = std::fs::metadata("/dev/full").unwrap();
    assert!(device.file_type().is_char_device());
    let through = export(&["--save", "/dev/stdout"]);
    assert!(through.out.contains("site.created"), "{}", through.err);
}

/// The database's volume was not mounted, and the unattended start created a new site with a new key.
#[test]
fn no_site_is_created_in_the_folder_of_a_lost_one_without_new() {
    let mut site = Running::new();
    assert_eq!(site.stop(), Some(0));
    let folder = site.folder.path().to_owned();
    let database = site.path("site/site.db");
    let bytes = std::fs::read(&database).unwrap();
    for lost in [None, Some("")] {
        std::fs::remove_file(&database).unwrap();
        if let Some(text) = lost {
            site.write("site/site.db", text);
        }
        let output = unattended(&folder, &[]);
        assert_eq!(output.code, 7, "{}", output.err);
        for named in [
            "countersign.toml",
            "backup restore",
            "serve --new",
            "[site_was_here]",
        ] {
            assert!(output.err.contains(named), "{named}: {}", output.err);
        }
        assert_eq!(
            std::fs::read(&database).ok().as_deref(),
            lost.map(str::as_bytes)
        );
        std::fs::write(&database, &bytes).unwrap();
    }
    let exists = unattended(&folder, &["--new"]);
    assert!(
        exists.code == 7 && exists.err.contains("[site_exists]"),
        "{}",
        exists.err
    );

    std::fs::remove_file(&database).unwrap();
    let settings = std::fs::read(site.path("site/countersign.toml")).unwrap();
    site.start(&["--new", "--passphrase-file", "site.pass"]);
    assert_eq!(
        site.run(&["audit", "list", "-o", "jsonl"])
            .out
            .lines()
            .count(),
        1
    );
    let content = std::fs::read(site.path("site/countersign.toml")).unwrap();
    assert_eq!(content, settings, "an existing file is not overwritten");
}

/// With a slot file of another site in the folder, the new site could never be started again.
#[test]
fn a_new_site_is_not_created_next_to_the_slot_file_of_another() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("site")).unwrap();
    let slot = folder.path().join("site/site-key.slot");
    std::fs::write(&slot, "precious").unwrap();
    for words in [&[][..], &["--new"]] {
        let output = unattended(folder.path(), words);
        assert!(
            output.code == 7 && output.err.contains("site-key.slot"),
            "{}",
            output.err
        );
        assert_eq!(std::fs::read(&slot).unwrap(), b"precious");
        assert!(!folder.path().join("site/site.db").exists());
    }
}

/// With a slot file of another site, the error output only that it does not open the key.
#[test]
fn a_slot_file_of_another_site_is_reported() {
    let mut site = Running::new();
    assert_eq!(site.stop(), Some(0));
    site.write(
        "site/site-key.slot",
        "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n",
    );
    let output = unattended(site.folder.path(), &[]);
    assert!(
        output.code == 4 && output.err.contains("move it away"),
        "{}",
        output.err
    );
}

/// A restored database with the default mode of files could be read by all users.
#[test]
fn a_database_that_others_can_read_gets_mode_0600_at_the_start() {
    let mut site = Running::new();
    assert_eq!(site.stop(), Some(0));
    let database = site.path("site/site.db");
    std::fs::set_permissions(&database, PermissionsExt::from_mode(0o644)).unwrap();
    site.start(&["--passphrase-file", "site.pass"]);
    assert_eq!(mode(&database), 0o600);
}

/// The flags of the first launch were lost: the second launch used other addresses and another host name.
#[test]
fn flags_of_the_first_launch_are_in_the_configuration_file() {
    let mut site = Running::new();
    assert_eq!(site.stop(), Some(0));
    let file = site.path("site/countersign.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    for line in ["session = \"127.0.0.1:0\"", "http = \"127.0.0.1:0\""] {
        assert!(text.contains(line), "{line}");
    }
    assert_eq!(site.run(&["config", "check"]).code, 0);
}

/// The recovery code was written to standard error, among the log lines, and was stored with the log.
#[test]
fn the_recovery_code_is_on_standard_output_only() {
    let folder = tempfile::tempdir().unwrap();
    // A port in use ends the launch after the site was created.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = unattended(folder.path(), &["--session-listen", &address]);
    assert_eq!(output.code, 2, "{}", output.err);
    let pass = ["--passphrase-file", "site.pass"];
    let words = [
        &["serve", "--session-listen", &address][..],
        &pass,
        &["--json"],
    ]
    .concat();
    let output = CommandOutput::from(command(folder.path(), &words).output().unwrap());
    assert_eq!(output.code, 1, "{}", output.err);
    let code = output.json()["recovery_code"].as_str().unwrap().to_owned();
    assert!(
        code.len() > 32 && !output.err.contains(&code),
        "{}",
        output.err
    );
}

/// `dev --data DIR` output that the folder is deleted, but did not delete it.
#[test]
fn a_temporary_site_in_a_named_folder_stays_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["dev", "--data", "kept", "--session-listen", "127.0.0.1:0"];
    let mut process = command(folder.path(), &words)
        .args(["--http-listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = String::new();
    for line in BufReader::new(process.stderr.take().unwrap()).lines() {
        output += &line.unwrap();
        if output.contains("The site is at ") {
            break;
        }
    }
    send("-TERM", process.id());
    process.wait().unwrap();
    assert!(
        output.contains("which stays in kept") && !output.contains("deletes it"),
        "{output}"
    );
    assert!(folder.path().join("kept/site.db").exists());
}

/// An interrupted export left a `.part` file.
#[test]
fn an_interrupted_export_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("site")).unwrap();
    // A site that never replies.
    let socket = UnixListener::bind(folder.path().join("site/admin.sock")).unwrap();
    let mut process = command(folder.path(), &["audit", "export", "--save", "log"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _asked = socket.accept().unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 2, "the folder and the part");
    send("-INT", process.id());
    assert_eq!(process.wait().unwrap().code(), Some(1));
    assert_eq!(files(), 1);
}

fn send(signal: &str, process: u32) {
    let kill = Command::new("kill")
        .arg(signal)
        .arg(process.to_string())
        .status();
    assert!(kill.unwrap().success());
}
