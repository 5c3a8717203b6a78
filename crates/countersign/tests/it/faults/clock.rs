//! A clock in 1969, 2038 or 2106, and one that jumps. libfaketime provides the clock of the binary.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Table;
use crate::applications::{register_applications, serve};
use crate::running::Running;

/// The clock when a process starts: before 1970, and one second before the last second of 31 and of 32
/// bits.
const CLOCKS: [(&str, &str); 3] = [
    ("1969", "@1969-12-31 12:00:00"),
    ("2038", "@2038-01-19 03:14:06"),
    ("2106", "@2106-02-07 06:28:14"),
];

/// Sets the clock of the processes that use this folder.
pub(crate) fn set_clock(folder: &Path, time: &str) {
    // A process may read the file at any moment, so it is replaced atomically.
    std::fs::write(folder.join("clock.new"), time).unwrap();
    std::fs::rename(folder.join("clock.new"), folder.join("clock")).unwrap();
}

/// Makes a command use the clock of that folder.
pub(crate) fn with_clock(mut command: Command, folder: &Path) -> Command {
    let library = Command::new("faketime")
        .args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"])
        .output();
    let library =
        library.unwrap_or_else(|error| panic!("`scripts/install test` installs faketime: {error}"));
    let library = String::from_utf8(library.stdout).unwrap();
    command
        .env("LD_PRELOAD", library.trim())
        .env("FAKETIME_TIMESTAMP_FILE", folder.join("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("NO_FAKE_STAT", "1")
        .env("TZ", "UTC");
    for monotonic in ["DONT_FAKE_MONOTONIC", "FAKETIME_DONT_FAKE_MONOTONIC"] {
        command.env(monotonic, "1");
    }
    command
}

/// A site with accounts and applications whose clock shows the given time.
fn site_at(time: &str) -> Running {
    let mut site = Running::folder();
    set_clock(site.folder.path(), time);
    start(&mut site);
    site.create_accounts();
    register_applications(&site);
    site
}

fn start(site: &mut Running) {
    let command = with_clock(site.command(&["serve"]), site.folder.path());
    site.start_as(command, &["--passphrase-file", "site.pass"]);
}

/// `billing` calls `ledger` with a ticket, using the site's clock or the right one.
fn call_ledger(site: &Running, ledger: &str, by_the_sites_clock: bool) -> Option<i32> {
    let http = format!("http://{}", site.http());
    let who = format!("{ledger}/who");
    let words = [
        "app",
        "call",
        "--site",
        &site.uri,
        "--http",
        &http,
        "--as",
        "billing",
        "--key",
        "billing.key",
        "--to",
        "ledger",
        &who,
    ];
    let mut command = site.command(&words);
    if by_the_sites_clock {
        command = with_clock(command, site.folder.path());
    }
    let called = command.output().unwrap();
    called.status.code()
}

/// A clock before 1970 stood still, for the site and for applications.
#[test]
fn everything_works_with_a_wrong_clock() {
    let mut table = Table::under("A wrong clock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (year, time) in CLOCKS {
        // The site's clock is wrong; the clocks of clients and applications are right.
        let mut site = site_at(time);
        let ledger = serve(&site, &runtime);
        let login = site.call_as_robot(&["self", "show"]);
        table.ended(&["site's", year, "login"], Some(login.code));
        let change = site.call("maria", "maria.pass", &["person", "create", "name=ada"]);
        table.ended(&["site's", year, "change"], Some(change.code));
        let called = call_ledger(&site, &ledger, false);
        table.ended(&["site's", year, "call with a ticket"], called);
        let called = call_ledger(&site, &ledger, true);
        table.ended(&["site's and caller's", year, "call with a ticket"], called);
        let verified = site.run(&["audit", "verify"]);
        table.ended(&["site's", year, "audit verify"], Some(verified.code));
        table.ended(&["site's", year, "first launch"], site.stop());
        start(&mut site);
        table.ended(&["site's", year, "start"], site.stop());
    }

    let mut site = Running::with_accounts();
    register_applications(&site);
    let ledger = serve(&site, &runtime);
    for (year, time) in CLOCKS {
        set_clock(site.folder.path(), time);
        let words = [
            "call",
            "--site",
            &site.uri,
            "--key",
            "robot.key",
            "self",
            "show",
        ];
        let mut login = with_clock(site.command(&words), site.folder.path());
        let login = login.stdout(Stdio::null()).stderr(Stdio::null()).status();
        table.ended(&["caller's", year, "login"], login.unwrap().code());
        let called = call_ledger(&site, &ledger, true);
        table.ended(&["caller's", year, "call with a ticket"], called);
    }
    site.stop();
    table.assert_complete();
}

/// The clock jumps while a session is open and an application calls another one.
#[test]
fn a_jump_of_the_clock_ends_only_sessions_that_it_makes_expire() {
    let mut table = Table::under("A clock that jumps");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (jump, from, to) in [
        ("forward", "@2026-06-01 12:00:00", "@2106-02-07 06:28:16"),
        ("back", "@2026-06-01 12:00:00", "@2006-06-01 12:00:00"),
        ("from 1969 to the right time", "@1969-12-31 12:00:00", "+0"),
    ] {
        let mut site = site_at(from);
        let ledger = serve(&site, &runtime);
        let before = call_ledger(&site, &ledger, false);
        table.ended(&[jump, "call before the jump"], before);
        let words = ["shell", "--site", &site.uri, "--key", "robot.key"];
        let mut shell = site
            .command(&words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut lines, output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let mut output = BufReader::new(output);
        writeln!(lines, "self show").unwrap();
        assert!(output.read_line(&mut String::new()).unwrap() > 0);

        set_clock(site.folder.path(), to);
        let _ = writeln!(lines, "self show");
        drop(lines);
        let code = shell.wait().unwrap().code();
        table.ended(&[jump, "session that is open"], code);
        let login = site.call("maria", "maria.pass", &["self", "show"]);
        table.ended(&[jump, "login"], Some(login.code));
        let change = site.run(&["person", "create", "ada"]);
        table.ended(&[jump, "change"], Some(change.code));
        let called = call_ledger(&site, &ledger, false);
        table.ended(
            &[jump, "call of a provider that asked for the time before"],
            called,
        );
        let called = call_ledger(&site, &serve(&site, &runtime), false);
        table.ended(&[jump, "call of another provider"], called);
        let verified = site.run(&["audit", "verify"]);
        table.ended(&[jump, "audit verify"], Some(verified.code));
        table.ended(&[jump, "stop"], site.stop());
        start(&mut site);
        table.ended(&[jump, "start"], site.stop());
    }
    table.assert_complete();
}
