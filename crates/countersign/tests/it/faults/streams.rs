//! Standard output and standard error (the log) that are closed, without a reader, full, or not read.

use std::fs::OpenOptions;
use std::io::{ErrorKind, PipeReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;

use super::Table;
use crate::dev::{Process, Site, shell};
use crate::running::Running;

const OUT: &str = "standard output";
const ERR: &str = "standard error";
const STREAMS: [&str; 2] = [OUT, ERR];
const STATES: [&str; 4] = ["closed", "without a reader", "full", "not read"];

/// A command with one stream in that state, and the reader that does not read.
fn faulty(
    folder: &Path,
    words: &[&str],
    stream: &str,
    state: &str,
) -> (Command, Option<PipeReader>) {
    let closed = match (state, stream) {
        ("closed", OUT) => ">&-",
        ("closed", _) => "2>&-",
        _ => "",
    };
    let mut command = shell(folder, &format!(r#"exec "$@" {closed}"#), words);
    command.env("COUNTERSIGN_LOG", "trace");
    let (to, reader): (Stdio, _) = match state {
        "closed" => return (command, None),
        "full" => {
            let full = OpenOptions::new().write(true).open("/dev/full");
            (full.unwrap().into(), None)
        }
        "without a reader" => (std::io::pipe().unwrap().1.into(), None),
        _ => {
            let (reader, writer) = full_pipe();
            (writer, Some(reader))
        }
    };
    match stream {
        OUT => command.stdout(to),
        _ => command.stderr(to),
    };
    (command, reader)
}

/// A full pipe.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    let full = loop {
        if let Err(error) = writer.write(&[0; 4_096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer.into())
}

/// A running site with one of its streams in that state. Its other stream is written to a file.
struct Served {
    process: Process,
    /// Keeps a pipe that is not read open.
    _reader: Option<PipeReader>,
}

impl Served {
    fn start(site: &mut Running, stream: &str, state: &str) -> Self {
        let words = [
            "serve",
            "--session-listen",
            "127.0.0.1:0",
            "--http-listen",
            "127.0.0.1:0",
            "--device-listen",
            "127.0.0.1:0",
            "--passphrase-file",
            "site.pass",
        ];
        let (mut command, _reader) = faulty(site.folder.path(), &words, stream, state);
        let other = std::fs::File::create(site.path("other")).unwrap();
        match stream {
            OUT => command.stderr(other),
            _ => command.stdout(other),
        };
        let mut process = Process::start(&mut command);
        site.uri = loop {
            assert!(process.runs(), "{stream} {state}");
            let status = site.run(&["site", "status", "--json"]);
            let uri = (status.code == 0).then(|| status.json()["uri"].clone());
            if let Some(uri) = uri.as_ref().and_then(|uri| uri.as_str()) {
                break uri.to_owned();
            }
        };
        Self { process, _reader }
    }

    fn stop(mut self) -> Option<i32> {
        self.process.signal(Signal::TERM);
        self.process.code()
    }
}

/// A full pipe that was not read blocked the start of a site and the report of a failure. A recovery code
/// that no reader got was lost without a warning.
#[test]
fn a_site_starts_and_serves_with_streams_in_any_state() {
    let mut table = Table::under("The streams of a site");
    for stream in STREAMS {
        for state in STATES {
            let mut site = Running::folder();
            let first = Served::start(&mut site, stream, state);
            site.create_accounts();
            // The site writes everything before it stops.
            table.ended(&[stream, state, "first launch"], first.stop());
            let other = std::fs::read_to_string(site.path("other")).unwrap();
            let named = match stream {
                OUT => "recovery code could not be shown",
                _ => "RECOVERY CODE",
            };
            assert!(other.contains(named), "{stream} {state}: {other}");

            let again = Served::start(&mut site, stream, state);
            let login = site.call_as_robot(&["self", "show"]);
            table.ended(&[stream, state, "login"], Some(login.code));
            let created = site.call("maria", "maria.pass", &["person", "create", "name=ada"]);
            table.ended(&[stream, state, "operation"], Some(created.code));
            table.ended(&[stream, state, "start"], again.stop());

            let words = ["serve", "--config", "missing.toml"];
            let (mut command, _reader) = faulty(site.folder.path(), &words, stream, state);
            let code = Process::start(&mut command).code();
            table.ended(
                &[stream, state, "start without its configuration file"],
                code,
            );
        }
    }
    table.assert_complete();
}

/// Other commands, one that succeeds and one that fails: they wait for a slow reader and lose no output.
#[test]
fn other_commands_end_with_their_exit_code_with_streams_in_any_state() {
    let mut table = Table::under("The streams of other commands");
    let site = Running::with_accounts();
    for stream in STREAMS {
        for (number, state) in STATES.into_iter().enumerate() {
            let name = format!("name=p{number}-{}", stream.len());
            let succeeds = [
                "call",
                "--site",
                &site.uri,
                "--as",
                "maria",
                "--passphrase-file",
                "maria.pass",
                "person",
                "create",
                &name,
            ];
            let fails = ["person", "show", "unknown"];
            for (words, which) in [
                (&succeeds[..], "one that succeeds"),
                (&fails, "one that fails"),
            ] {
                let (mut command, reader) = faulty(site.folder.path(), words, stream, state);
                let mut process = Process::start(&mut command);
                drop(command);
                let output =
                    reader.map(|reader| read_once_it_waits(reader, &mut process, &site, &name));
                table.ended(&[stream, state, which], process.code());
                let output = output.unwrap_or_default();
                match (stream, state, which) {
                    (OUT, "not read", "one that succeeds") => {
                        assert!(output.contains("Created"), "{output}");
                    }
                    (ERR, "not read", "one that fails") => {
                        assert!(output.contains("error: "), "{output}");
                    }
                    _ => assert_eq!(output, ""),
                }
            }
            let shown = site.run(&["person", "show", &name[5..]]);
            assert_eq!(shown.code, 0, "the operation was done: {}", shown.err);
        }
    }
    table.assert_complete();
}

/// Reads the output of a command after its operation was done.
fn read_once_it_waits(
    mut reader: PipeReader,
    process: &mut Process,
    site: &Running,
    name: &str,
) -> String {
    loop {
        let runs = process.runs();
        if site.run(&["person", "show", &name[5..]]).code == 0 {
            break;
        }
        assert!(runs);
    }
    let mut output = Vec::new();
    reader.read_to_end(&mut output).unwrap();
    String::from_utf8_lossy(&output)
        .trim_start_matches('\0')
        .to_owned()
}

/// With `serve 2>&1 | head -3`, a log on a full disk, or a closed standard error, every login failed, because
/// writing the log line panicked.
#[test]
fn logins_work_when_the_log_cannot_be_written() {
    for line in [
        r#"exec "$@" 2>/dev/full"#,
        r#"exec "$@" 2>&-"#,
        // The reader ends after the first line.
        r#"exec "$@" 2> pipe"#,
    ] {
        let line = match line.contains("pipe") {
            true => format!("mkfifo pipe; head -1 pipe >/dev/null & {line}"),
            false => line.to_owned(),
        };
        let site = Site::start(&line);
        for _ in 0..3 {
            let output = site.log_in();
            assert_eq!((output.code, output.err.as_str()), (0, ""), "{line}");
        }
        assert_eq!(site.stop(), Some(0), "{line}");
    }
}

/// A reader that reads nothing: the log fills the pipe, and logins work.
#[test]
fn logins_work_when_the_log_is_not_read() {
    // A pipe with room for the first lines: 8 KiB of 64 KiB.
    let line = r#"mkfifo pipe; exec 3<> pipe; head -c 57344 /dev/zero >&3
        COUNTERSIGN_LOG=trace exec "$@" 2>&3"#;
    let site = Site::start(line);
    for _ in 0..40 {
        assert_eq!(site.log_in().code, 0);
    }
    assert_eq!(site.stop(), Some(0));
}
