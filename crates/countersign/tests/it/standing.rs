//! Signals, and a listener that fails. These tests use processes.

use std::io::Read;
use std::net::TcpStream;
use std::os::fd::AsFd;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, Signal};

use crate::dev::{DEV, Process, shell, wait_for};
use crate::running::command;

/// A site continued without one of its listeners and did not report it.
#[test]
fn a_site_whose_listener_fails_ends_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, mut output) =
        Process::with_stderr(&mut shell(folder.path(), r#"exec "$@""#, DEV));
    let start = wait_for(&mut output, "The site is at ");
    let (_, address) = start.split_once("countersign://").unwrap();
    let address: std::net::SocketAddr = address.split_once('#').unwrap().0.parse().unwrap();

    // Break the listener from outside: take its socket from the process and shut it down.
    let process_fd = rustix::process::pidfd_open(process.id(), PidfdFlags::empty()).unwrap();
    let take = |number| {
        let flags = PidfdGetfdFlags::empty();
        rustix::process::pidfd_getfd(&process_fd, number, flags).ok()
    };
    let listener = (0..64).filter_map(take).find(|file| {
        let bound = rustix::net::getsockname(file.as_fd()).ok();
        let bound = bound.and_then(|bound| std::net::SocketAddr::try_from(bound).ok());
        let connected = rustix::net::getpeername(file.as_fd()).is_ok();
        bound == Some(address) && !connected
    });
    rustix::net::shutdown(listener.unwrap(), rustix::net::Shutdown::Both).unwrap();
    let _ = TcpStream::connect(address);

    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(process.code(), Some(1), "{rest}");
    assert!(rest.contains("error: the session listener ended"), "{rest}");
    assert!(rest.contains("[task_ended]"), "{rest}");
}

/// SIGHUP ended `dev`, which left its folder with the site's key.
#[test]
fn a_temporary_site_leaves_no_files_whichever_signal_ends_it() {
    let words: Vec<&str> = DEV
        .iter()
        .copied()
        .filter(|word| !["--data", "site"].contains(word))
        .collect();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        for started in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = shell(folder.path(), r#"exec "$@""#, &words);
            let (mut process, mut output) =
                Process::with_stderr(command.env("TMPDIR", folder.path()));
            if started {
                wait_for(&mut output, "The site is at ");
            } else {
                // From the moment at which there are files to remove.
                while folder.path().read_dir().unwrap().next().is_none() {}
            }
            process.signal(signal);
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            assert_eq!(process.code(), Some(0), "{signal:?}: {rest}");
            let left = folder.path().read_dir().unwrap().count();
            assert_eq!(left, 0, "{signal:?}");
        }
    }
}

/// SIGHUP killed `serve`, which sent no GOODBYE.
#[test]
fn a_site_reloads_its_settings_on_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("countersign.toml");
    let write = |text: &str| std::fs::write(&path, format!("version = 1\n{text}")).unwrap();
    write("");
    std::fs::write(folder.path().join("site.pass"), "a long site pass phrase").unwrap();
    let words = [
        &[
            "serve",
            "--config",
            "countersign.toml",
            "--passphrase-file",
            "site.pass",
        ],
        &DEV[1..],
    ]
    .concat();
    let (mut process, mut output) =
        Process::with_stderr(&mut shell(folder.path(), r#"exec "$@""#, &words));
    wait_for(&mut output, "The site is at ");
    let hang_up = || process.signal(Signal::HUP);

    write(
        "[limits]\nunauthenticated = 7\n[log]\nlevel = \"debug\"\n[listen]\npublic_host = \"a.example\"\n",
    );
    hang_up();
    let text = wait_for(&mut output, "need a restart");
    for named in [
        "limits.unauthenticated: default -> 7",
        "log.level: default -> debug",
        "listen.public_host: default -> a.example",
    ] {
        assert!(text.contains(named), "{named}: {text}");
    }
    write("[limits]\nunauthenticated = 0\n");
    hang_up();
    wait_for(&mut output, "the settings were not reloaded");
    assert!(process.runs());
    process.signal(Signal::TERM);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(process.code(), Some(0), "{rest}");
}

/// `config set` reaches the running server without SIGHUP.
#[test]
fn a_setting_in_the_database_takes_effect_at_once_and_the_file_overrides_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("site.pass", "a long site pass phrase");
    write("countersign.toml", "version = 1\n");
    let words = [
        &[
            "serve",
            "--config",
            "countersign.toml",
            "--passphrase-file",
            "site.pass",
        ],
        &DEV[1..],
    ]
    .concat();
    let start = || {
        let (process, mut output) =
            Process::with_stderr(&mut shell(folder.path(), r#"exec "$@""#, &words));
        wait_for(&mut output, "The site is at ");
        (process, output)
    };
    let run = |words: &[&str]| {
        let output = command(folder.path(), words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let key = "limits.unauthenticated";
    let (mut process, mut output) = start();
    assert_eq!(run(&["config", "set", key, "7"]).0, Some(0));
    wait_for(&mut output, "unauthenticated=7");
    for (key, value, code, named) in [
        ("limits.unautenticated", "7", 2, key),
        (key, "0", 2, "0 is not a whole number of at least 1"),
        (key, "many", 2, "expected a whole number of at least 1"),
        (
            "limits.unauthenticated_per_network",
            "8",
            2,
            "must not be more than",
        ),
        ("log.level", "warning", 2, "warn"),
        ("listen.session", "127.0.0.1:1", 7, "while the site runs"),
        (
            "webhook.authorization_file",
            "site-key.slot",
            7,
            "only in the configuration file",
        ),
    ] {
        let (found, text) = run(&["config", "set", key, value]);
        assert!(text.contains(named), "{key}: {text}");
        assert_eq!(found, Some(code), "{key}: {text}");
    }
    process.signal(Signal::TERM);
    assert_eq!(process.code(), Some(0));

    // The database keeps the setting, and the file overrides it.
    let (process, mut output) = start();
    let listed = run(&["config", "list"]).1;
    assert!(
        listed.contains("limits.unauthenticated = 7  (database)"),
        "{listed}"
    );
    assert!(
        listed.contains("log.level = \"info\"  (default)"),
        "{listed}"
    );
    write(
        "countersign.toml",
        "version = 1\n[limits]\nunauthenticated = 9\n",
    );
    process.signal(Signal::HUP);
    wait_for(&mut output, "unauthenticated=9");
    let listed = run(&["config", "list"]).1;
    let overridden = "limits.unauthenticated = 9  (file, overrides 7 in the database)";
    assert!(listed.contains(overridden), "{listed}");
    assert_eq!(run(&["config", "set", key, "8"]).0, Some(7));
    assert_eq!(run(&["config", "unset", key]).0, Some(0));
    write("countersign.toml", "version = 1\n");
    process.signal(Signal::HUP);
    wait_for(&mut output, "limits.unauthenticated: 9 -> default");
    let listed = run(&["config", "list"]).1;
    let mut lines = listed.lines();
    let line = lines.find(|line| line.starts_with("limits.unauthenticated = "));
    assert!(line.unwrap().ends_with("  (default)"), "{listed}");
    process.signal(Signal::TERM);
}

/// As the first process of a container, which ignores signals that it does not catch, a site could not be
/// stopped while it unsealed its key.
#[test]
fn a_site_can_be_stopped_during_its_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.pass"), "a long site pass phrase").unwrap();
    let words = [&["serve", "--passphrase-file", "site.pass"], &DEV[1..]].concat();
    let mut process = Process::start(&mut shell(folder.path(), r#"exec "$@""#, &words));
    // The database exists before the key is created, which takes a while.
    while !folder.path().join("site/site.db").exists() {
        assert!(process.runs());
    }
    process.signal(Signal::TERM);
    assert_eq!(process.code(), Some(0));
}
