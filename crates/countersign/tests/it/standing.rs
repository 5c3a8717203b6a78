//! What must not stop a site: a log that cannot be written, descriptors that are used up, signals. Real processes.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, kill_process};

use crate::running::{Said, command};

/// A throw-away site in a folder of its own, started by a line of the shell; killed when dropped.
struct Site {
    folder: tempfile::TempDir,
    process: Process,
    uri: String,
}

impl Site {
    /// Starts it with `"$@"` in `line` for the command, and a service that has a key.
    fn start(line: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&mut shell(folder.path(), line, DEV));
        let mut site = Self {
            folder,
            process,
            uri: String::new(),
        };
        site.uri = loop {
            assert!(site.process.runs(), "it did not start");
            let status = site.run(&["site", "status", "--json"]);
            if status.code == 0 {
                break status.json()["uri"].as_str().unwrap().to_owned();
            }
        };
        for words in [
            &["key", "new", "--out", "robot.key"][..],
            &[
                "service",
                "create",
                "robot",
                "--public-key",
                "robot.key.pub",
            ],
        ] {
            let said = site.run(words);
            assert_eq!(said.code, 0, "{words:?}: {}", said.err);
        }
        site
    }

    fn run(&self, words: &[&str]) -> Said {
        let output = command(self.folder.path(), words)
            .stdin(Stdio::null())
            .output();
        output.unwrap().into()
    }

    fn log_in(&self) -> Said {
        let login = ["call", "--site", &self.uri, "--key", "robot.key"];
        self.run(&[&login[..], &["self", "show"]].concat())
    }

    fn address(&self) -> &str {
        let address = self.uri.strip_prefix("countersign://").unwrap();
        address.split_once('#').unwrap().0
    }

    /// As many idle connections from each of so many addresses.
    fn flood(&self, addresses: u8, each: usize) -> Vec<impl Sized + use<>> {
        let to: std::net::SocketAddr = self.address().parse().unwrap();
        let connected = |number: usize| {
            let from = [
                127,
                1,
                0,
                u8::try_from(number % usize::from(addresses)).unwrap() + 1,
            ];
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            bind(&socket, &std::net::SocketAddr::from((from, 0))).unwrap();
            connect(&socket, &to).unwrap();
            socket
        };
        (0..usize::from(addresses) * each).map(connected).collect()
    }

    fn stop(mut self) -> Option<i32> {
        self.process.signal(Signal::TERM);
        self.process.code()
    }
}

/// A process that is killed when this is dropped.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// The same, and its standard error.
    fn heard(command: &mut Command) -> (Self, BufReader<ChildStderr>) {
        let mut process = Self::start(command.stderr(Stdio::piped()));
        let said = process.0.stderr.take().unwrap();
        (process, BufReader::new(said))
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Its exit code, when it has ended.
    fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const DEV: &[&str] = &[
    "dev",
    "--data",
    "site",
    "--session-listen",
    "127.0.0.1:0",
    "--http-listen",
    "127.0.0.1:0",
];

/// A command, started by a line of the shell that has it as `"$@"`.
fn shell(folder: &std::path::Path, line: &str, words: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell
        .current_dir(folder)
        .args(["-c", line, "sh", env!("CARGO_BIN_EXE_countersign")])
        .args(words)
        .env_remove("COUNTERSIGN_DATA")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    shell
}

/// Reads standard error up to a line that has this.
fn wait_for(said: &mut BufReader<ChildStderr>, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        assert!(said.read_line(&mut all).unwrap() > 0, "no {text:?}: {all}");
    }
    all
}

/// `serve 2>&1 | head -3`, a log on a full disk, and a closed standard error: every login failed, because the line
/// that told of it panicked.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    for line in [
        r#"exec "$@" 2>/dev/full"#,
        r#"exec "$@" 2>&-"#,
        // The reader is gone after the first line.
        r#"exec "$@" 2> pipe"#,
    ] {
        let line = match line.contains("pipe") {
            true => format!("mkfifo pipe; head -1 pipe >/dev/null & {line}"),
            false => line.to_owned(),
        };
        let site = Site::start(&line);
        for _ in 0..3 {
            let said = site.log_in();
            assert_eq!((said.code, said.err.as_str()), (0, ""), "{line}");
        }
        assert_eq!(site.stop(), Some(0), "{line}");
    }
}

/// A reader that stays and reads nothing: the log fills the pipe, and logins go on.
#[test]
fn a_log_that_is_not_read_keeps_no_login_waiting() {
    // A pipe with room for the first lines: 64 KiB, less 8.
    let line = r#"mkfifo pipe; exec 3<> pipe; head -c 57344 /dev/zero >&3
        COUNTERSIGN_LOG=trace exec "$@" 2>&3"#;
    let site = Site::start(line);
    for _ in 0..40 {
        assert_eq!(site.log_in().code, 0);
    }
    assert_eq!(site.stop(), Some(0));
}

/// A reader that stays and reads nothing, of a pipe that is full from the beginning: the start waited for ever for
/// the lines that say where the site is, and a failure for its message.
#[test]
fn a_start_waits_for_no_reader_of_what_it_says() {
    const FULL: &str = r#"mkfifo pipe; exec 3<> pipe; head -c 65536 /dev/zero >&3; exec "$@" 2>&3"#;
    let site = Site::start(FULL);
    assert_eq!(site.log_in().code, 0);
    assert_eq!(site.stop(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let words = ["serve", "--config", "missing.toml"];
    let status = shell(folder.path(), FULL, &words).status().unwrap();
    assert_eq!(status.code(), Some(6));
}

/// The exit code of a failure was 101 where its message could not be shown.
#[test]
fn a_site_that_cannot_start_says_so_by_its_exit_code_alone_if_need_be() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["serve", "--config", "missing.toml"];
    for line in [r#""$@" 2>/dev/full"#, r#""$@" 2>&-"#, r#""$@" 2>/dev/null"#] {
        let status = shell(folder.path(), line, &words).status().unwrap();
        assert_eq!(status.code(), Some(6), "{line}");
    }
}

/// Under the usual soft limit, a few addresses with idle connections took all descriptors, and honest logins found
/// none.
#[test]
fn the_soft_limit_on_descriptors_is_raised() {
    let site = Site::start(r#"ulimit -Sn 128; exec "$@""#);
    let _idle = site.flood(8, 50);
    for _ in 0..3 {
        assert_eq!(site.log_in().code, 0);
    }
    assert_eq!(site.run(&["site", "status"]).code, 0);
}

/// The same where the limit cannot be raised: the site keeps what it needs for logins, database and admin socket.
#[test]
fn under_a_hard_limit_on_descriptors_logins_and_the_admin_socket_work() {
    let site = Site::start(r#"ulimit -n 160; exec "$@""#);
    let _idle = site.flood(16, 20);
    for number in 0..5 {
        assert_eq!(site.log_in().code, 0);
        let name = format!("p{number}");
        let created = site.run(&["person", "create", &name]);
        assert_eq!(created.code, 0, "{}", created.err);
    }
    let _more = site.flood(16, 20);
    assert_eq!(site.log_in().code, 0);
    assert_eq!(site.run(&["person", "list"]).code, 0);
    assert_eq!(site.stop(), Some(0));
}

/// With too few descriptors a site began to serve and could do nothing.
#[test]
fn a_site_with_too_few_descriptors_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    for files in [20, 60] {
        let line = format!(r#"ulimit -n {files}; "$@""#);
        let output = shell(folder.path(), &line, DEV)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("error: "), "{said}");
        std::fs::remove_dir_all(folder.path().join("site")).unwrap();
    }
}

/// A site one of whose listeners was dead lived on as if nothing had happened.
#[test]
fn a_site_whose_listener_dies_ends_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, mut said) = Process::heard(&mut shell(folder.path(), r#"exec "$@""#, DEV));
    let start = wait_for(&mut said, "The site is at ");
    let (_, address) = start.split_once("countersign://").unwrap();
    let address: std::net::SocketAddr = address.split_once('#').unwrap().0.parse().unwrap();

    // What breaks a listener from outside: its socket, taken from the process and shut down.
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
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(process.code(), Some(1), "{rest}");
    assert!(rest.contains("error: the session listener ended"), "{rest}");
    assert!(rest.contains("[task_ended]"), "{rest}");
}

/// SIGHUP ended `dev` and left its folder with the site's key in it.
#[test]
fn a_throw_away_site_leaves_nothing_behind_whatever_ends_it() {
    let words: Vec<&str> = DEV
        .iter()
        .copied()
        .filter(|word| !["--data", "site"].contains(word))
        .collect();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        for started in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = shell(folder.path(), r#"exec "$@""#, &words);
            let (mut process, mut said) = Process::heard(command.env("TMPDIR", folder.path()));
            if started {
                wait_for(&mut said, "The site is at ");
            } else {
                // From the moment in which there is something to leave behind.
                while folder.path().read_dir().unwrap().next().is_none() {}
            }
            process.signal(signal);
            let mut rest = String::new();
            said.read_to_string(&mut rest).unwrap();
            assert_eq!(process.code(), Some(0), "{signal:?}: {rest}");
            let left = folder.path().read_dir().unwrap().count();
            assert_eq!(left, 0, "{signal:?}");
        }
    }
}

/// SIGHUP killed `serve` without a goodbye.
#[test]
fn a_site_reads_its_settings_again_on_sighup() {
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
    let (mut process, mut said) = Process::heard(&mut shell(folder.path(), r#"exec "$@""#, &words));
    wait_for(&mut said, "The site is at ");
    let hang_up = || process.signal(Signal::HUP);

    write(
        "[limits]\nunproved = 7\n[log]\nlevel = \"debug\"\n[listen]\npublic_host = \"a.example\"\n",
    );
    hang_up();
    let text = wait_for(&mut said, "need a restart");
    for named in [
        "limits.unproved: default -> 7",
        "log.level: default -> debug",
        "listen.public_host: default -> a.example",
    ] {
        assert!(text.contains(named), "{named}: {text}");
    }
    write("[limits]\nunproved = 0\n");
    hang_up();
    wait_for(&mut said, "the settings were not read again");
    assert!(process.runs());
    process.signal(Signal::TERM);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(process.code(), Some(0), "{rest}");
}

/// The first process of a container could not be stopped while it opened its key: it ignores the signals that it does
/// not catch.
#[test]
fn a_site_can_be_stopped_before_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.pass"), "a long site pass phrase").unwrap();
    let words = [&["serve", "--passphrase-file", "site.pass"], &DEV[1..]].concat();
    let mut process = Process::start(&mut shell(folder.path(), r#"exec "$@""#, &words));
    // The database is there before the key is made, which takes a while.
    while !folder.path().join("site/site.db").exists() {
        assert!(process.runs());
    }
    process.signal(Signal::TERM);
    assert_eq!(process.code(), Some(0));
}
