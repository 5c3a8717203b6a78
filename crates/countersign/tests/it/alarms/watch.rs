//! `countersign alarm watch`.

use std::io::{BufRead, BufReader, Lines};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::running::Running;

/// Forwards connections to a port that changes: the site comes back on another one.
struct Forwarder {
    port: u16,
    target: Arc<Mutex<String>>,
}

impl Forwarder {
    fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(Mutex::new(target.to_owned()));
        let current = target.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let target = current.lock().unwrap().clone();
                let Ok(site) = TcpStream::connect(target) else {
                    continue;
                };
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), site.try_clone().unwrap()),
                    (site, client),
                ] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Self { port, target }
    }
}

/// The address in a site's URI, and the rest of it.
fn address(uri: &str) -> (&str, &str) {
    let rest = uri.strip_prefix("countersign://").unwrap();
    rest.split_once('#').unwrap()
}

struct Watching {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(site: &Running, uri: &str, more: &[&str]) -> Self {
        let words = [
            "alarm",
            "watch",
            "--site",
            uri,
            "--as",
            "maria",
            "--passphrase-file",
            "maria.pass",
        ];
        let mut process = site
            .command(&[&words, more].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// The next event, and the key of its alarm.
    fn event(&mut self) -> (String, String) {
        let line: Value = serde_json::from_str(&self.line()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&line["event"]), text(&line["alarm"]["key"]))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn raise(site: &Running, key: &str) -> String {
    let words = [
        "alarm",
        "raise",
        "maria",
        "--text",
        "It happened.",
        "--key",
        key,
        "--json",
    ];
    let raised = site.run(&words);
    assert_eq!(raised.code, 0, "{}", raised.err);
    raised.json()["id"].as_str().unwrap().to_owned()
}

/// ALM-1.
#[test]
fn a_person_sees_open_alarms_then_each_change_and_what_happened_while_the_site_was_down() {
    let mut site = Running::with_accounts();
    raise(&site, "before");
    let (target, key) = address(&site.uri);
    let forwarder = Forwarder::start(target);
    let uri = format!("countersign://127.0.0.1:{}#{key}", forwarder.port);
    let mut watching = Watching::start(&site, &uri, &["--json"]);
    let seen = |event: &str, key: &str| (event.to_owned(), key.to_owned());
    assert_eq!(watching.event(), seen("open", "before"));
    let id = raise(&site, "during");
    assert_eq!(watching.event(), seen("raised", "during"));
    assert_eq!(site.run(&["alarm", "acknowledge", &id]).code, 0);
    assert_eq!(watching.event(), seen("acknowledged", "during"));

    site.kill();
    site.start(&["--passphrase-file", "site.pass"]);
    raise(&site, "after");
    *forwarder.target.lock().unwrap() = address(&site.uri).0.to_owned();
    // The one before was printed, and the one that was acknowledged is not open.
    assert_eq!(watching.event(), seen("open", "after"));
    assert_eq!(site.run(&["alarm", "over", "before"]).code, 0);
    assert_eq!(watching.event(), seen("over", "before"));
}

#[test]
fn a_line_has_the_severity_the_id_and_the_text() {
    let site = Running::with_accounts();
    let id = raise(&site, "disk");
    let mut watching = Watching::start(&site, &site.uri, &[]);
    let line = watching.line();
    for part in ["open", "warning", "1 time ", &id, "It happened."] {
        assert!(line.contains(part), "{line}");
    }
}

/// An alarm names operations, and a person types commands.
#[test]
fn an_alarm_names_commands_where_a_person_types_them() {
    let site = Running::with_accounts();
    let lockdown = ["lockdown", "service", "robot", "--yes"];
    assert_eq!(site.run(&lockdown).code, 0);
    let text = "See why with `lockdown status`.";
    let command = "See why with `countersign lockdown status";
    let line = Watching::start(&site, &site.uri, &[]).line();
    assert!(line.contains(command), "{line}");
    for words in [&["alarm", "list"][..], &["alarm", "list", "-o", "json"]] {
        let output = site.run(words);
        let expected = if words.len() == 2 { command } else { text };
        assert!(output.out.contains(expected), "{}", output.out);
    }
    let called = site.call("maria", "maria.pass", &["alarm", "list"]);
    assert!(called.out.contains(text), "{}", called.out);
}

/// A service sent "Run `site key_new` at once". The operator saw the command with the folder of the site, ready to copy,
/// and not who had raised the alarm.
#[test]
fn the_command_line_does_not_speak_for_another_raiser() {
    let site = Running::with_accounts();
    let text = "The key leaked. Run `site key_new` at once.";
    let raise = ["alarm", "raise", "maria", "--text", text, "--json"];
    let raised = site.run(&raise).json();
    let (id, raiser) = (
        raised["id"].as_str().unwrap(),
        raised["raised_by"].as_str().unwrap(),
    );
    let quoted = format!("{raiser}  “The key leaked. Run 'site key_new' at once.”");
    let shown = [
        Watching::start(&site, &site.uri, &[]).line(),
        site.run(&["alarm", "list"]).out,
        site.run(&["alarm", "show", id]).out,
        site.call("maria", "maria.pass", &["alarm", "list"]).out,
    ];
    for text in shown {
        assert!(text.contains(&quoted), "{text}");
        assert!(!text.contains("countersign"), "{text}");
    }
}

#[test]
fn a_wrong_pass_phrase_ends_the_command() {
    let site = Running::with_accounts();
    let watch = ["alarm", "watch", "--site", &site.uri, "--as", "maria"];
    let refused = site.run(&[&watch[..], &["--passphrase-file", "wrong.pass"]].concat());
    assert_eq!(refused.code, 4, "{}", refused.err);
    let service = ["alarm", "watch", "--site", &site.uri, "--key", "robot.key"];
    assert_eq!(site.run(&service).code, 2);
}
