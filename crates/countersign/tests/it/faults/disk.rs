//! A full disk: existing files stay, the message names the file, and everything works after space was
//! freed.
//!
//! The tests use a limit on the file size instead of a full disk: each write beyond it fails.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::Table;
use crate::running::{CommandOutput, Running, SITE_PASSPHRASE};

/// A command whose writes beyond a number of blocks fail. `serve` itself catches the signal that would kill
/// it.
fn limited(folder: &Path, blocks: &str, words: &[&str]) -> Command {
    let trap = match words.first() {
        Some(&"serve") => "",
        _ => "trap '' XFSZ; ",
    };
    let line = format!(r#"{trap}ulimit -S -f "$1"; shift; exec "$@""#);
    let mut command = Command::new("sh");
    command
        .args(["-c", &line, "sh"])
        .arg(blocks)
        .arg(env!("CARGO_BIN_EXE_countersign"))
        .args(words)
        .current_dir(folder)
        .env("COUNTERSIGN_DEVICE_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null());
    command
}

fn run_limited(folder: &Path, blocks: &str, words: &[&str]) -> CommandOutput {
    limited(folder, blocks, words).output().unwrap().into()
}

/// Sets or removes a file size limit of one byte for the site's process.
pub(crate) fn disk_is_full(site: &Running, full: bool) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = if full { Some(1) } else { maximum };
    let process = Pid::from_raw(site.process());
    prlimit(process, Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

/// The parts below, which together try all cases of the page about a full disk.
#[test]
fn a_full_disk_loses_no_existing_data() {
    let mut table = Table::under("A full disk");
    a_first_launch_leaves_no_file_and_works_later(&mut table);
    changes_and_logins_fail_whole_and_work_once_there_is_room(&mut table);
    a_file_for_which_there_is_no_room_is_named_and_not_left_behind(&mut table);
    table.assert_complete();
}

/// A first launch on a full disk left an empty `site.db`, a configuration and no site.
fn a_first_launch_leaves_no_file_and_works_later(table: &mut Table) {
    let mut site = Running::new();
    let folder = tempfile::tempdir_in(site.folder.path()).unwrap();
    std::fs::write(folder.path().join("site.pass"), SITE_PASSPHRASE).unwrap();
    let serve = [
        "serve",
        "--session-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
    ];
    let words = [&serve[..], &["--passphrase-file", "site.pass"]].concat();
    let output = run_limited(folder.path(), "2", &words);
    table.ended(&["site's", "first launch"], Some(output.code));
    assert!(
        output.err.contains("site/site.db") && output.err.contains("free disk space"),
        "{}",
        output.err
    );
    let left = std::fs::read_dir(folder.path().join("site")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
    site.kill();
    site.start(&[
        "--data",
        folder.path().join("site").to_str().unwrap(),
        "--passphrase-file",
        "site.pass",
    ]);
}

/// Every login and every change needs an audit entry: while none can be written, no login succeeds and
/// nothing changes, and the site continues to run.
fn changes_and_logins_fail_whole_and_work_once_there_is_room(table: &mut Table) {
    let mut site = Running::with_accounts();
    assert_eq!(site.stop(), Some(0));
    let command = limited(site.folder.path(), "unlimited", &["serve"]);
    site.start_as(command, &["--passphrase-file", "site.pass"]);

    disk_is_full(&site, true);
    let change = site.run(&["person", "create", "ada"]);
    table.ended(&["site's", "change"], Some(change.code));
    for named in ["site/site.db", "nothing was changed", "space"] {
        assert!(change.err.contains(named), "{named}: {}", change.err);
    }
    let login = site.call("maria", "maria.pass", &["self", "show"]);
    table.ended(&["site's", "login"], Some(login.code));
    let backup = site.run(&["backup", "create", "b", "--plain"]);
    table.ended(&["site's", "backup"], Some(backup.code));
    assert!(!site.path("b").exists(), "{}", backup.err);
    let status = site.run(&["site", "status"]);
    table.ended(&["site's", "reading"], Some(status.code));
    let export = site.run(&["audit", "export", "--save", "log"]);
    table.ended(&["site's", "audit export"], Some(export.code));

    disk_is_full(&site, false);
    assert_eq!(site.run(&["audit", "verify"]).code, 0);
    assert_eq!(site.run(&["person", "show", "ada"]).code, 6);
    assert_eq!(site.run(&["person", "create", "ada"]).code, 0);
    let login = site.call("maria", "maria.pass", &["self", "show"]);
    assert_eq!(login.code, 0, "{}", login.err);

    disk_is_full(&site, true);
    table.ended(&["site's", "stop"], site.stop());
    let again = limited(site.folder.path(), "2", &["serve"]);
    let again = { again }
        .args(["--passphrase-file", "site.pass"])
        .output()
        .unwrap();
    table.ended(&["site's", "start"], again.status.code());
}

fn a_file_for_which_there_is_no_room_is_named_and_not_left_behind(table: &mut Table) {
    let site = Running::new();
    let before = std::fs::read_dir(site.folder.path()).unwrap().count();
    for (words, which) in [
        (&["backup", "create", "out", "--plain"][..], "backup"),
        (
            &["backup", "create", "out", "--passphrase-file", "site.pass"],
            "backup",
        ),
        (&["audit", "export", "--save", "out"], "audit export"),
    ] {
        let output = run_limited(site.folder.path(), "0", words);
        table.ended(&["command's", which], Some(output.code));
        assert!(
            output.err.contains("out:") && output.err.contains("free some space"),
            "{}",
            output.err
        );
        assert_eq!(
            std::fs::read_dir(site.folder.path()).unwrap().count(),
            before
        );
    }
    // There is no backup, and the site has not recorded one.
    let doctor = site.run(&["doctor"]);
    assert!(doctor.out.contains("there is no backup"), "{}", doctor.out);
}
