//! The whole walk of an alarm: the person has no connection, learns of it by e-mail and by text, starts
//! the client, looks, and acknowledges.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use countersign_testkit::harness::python::{PythonServer, interpreter};
use serde_json::Value;

use super::{Receiver, SERVE};
use crate::faults::clock::{set_clock, with_clock};
use crate::running::Running;

/// A mail server in another language, which prints what it receives.
fn mail_server() -> PythonServer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/site/delivery");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mail-server");
    let python = interpreter(&to, &folder.join("requirements.txt"));
    PythonServer::start(&python, &folder.join("mail_server.py"), &[])
}

fn configured(site: &Running, mail: u16, receiver: &Receiver) {
    let url = &receiver.url;
    site.write(
        "countersign.toml",
        &format!(
            "version = 1\n[listen]\npublic_url = \"https://auth.example.org\"\n\
             [mail]\nserver = \"127.0.0.1\"\nport = {mail}\ntls = \"none\"\n\
             [webhook]\nurl = \"{url}\"\nbody_format = \"text\"\nbody = \"{{{{to}}}} {{{{text}}}}\"\n"
        ),
    );
}

#[test]
fn a_person_without_a_connection_learns_of_an_alarm_connects_and_acknowledges_it() {
    let receiver = Receiver::start();
    let mut mail = mail_server();
    let mut site = Running::folder();
    configured(&site, mail.port, &receiver);
    set_clock(site.folder.path(), "+0s");
    let serve = with_clock(site.command(&["serve"]), site.folder.path());
    site.start_as(serve, &SERVE);

    let at_site = |words: &[&str]| {
        let done = site.run(words);
        assert_eq!(done.code, 0, "{words:?}: {}", done.err);
        done
    };
    at_site(&["person", "create", "ada", "--email", "ada@example.org"]);
    at_site(&["alarm", "preferences", "ada", "--text-to", "+491701234567"]);
    let issued = at_site(&["ticket", "issue", "ada", "--json"]).json();
    let ticket = issued["uri"].as_str().unwrap().to_owned();
    let on_phone = |words: &[&str]| {
        let mut command = site.command(words);
        command.env("COUNTERSIGN_CONFIG_HOME", site.path("phone"));
        let done: crate::running::CommandOutput = command.output().unwrap().into();
        assert_eq!(done.code, 0, "{words:?}: {}", done.err);
        done
    };
    on_phone(&["enrol", &ticket, "--id", "ada@local"]);

    let raise = [
        &[
            "alarm",
            "raise",
            "ada",
            "--severity",
            "critical",
            "--key",
            "disk",
        ][..],
        &["--text", "The disk is full."],
    ];
    at_site(&raise.concat());
    let received: Value = receiver.runtime.block_on(mail.next());
    assert_eq!(received["to"], serde_json::json!(["ada@example.org"]));
    let text = received["parts"]["text/plain"].as_str().unwrap();
    assert!(text.contains("The disk is full."), "{text}");
    assert!(text.contains("https://auth.example.org"), "{text}");

    // Ada does not react. Five minutes later the next channel follows; the repetition lets the site look
    // at its clock.
    set_clock(site.folder.path(), "+6m");
    at_site(&raise.concat());
    let text = receiver.next();
    assert!(text.starts_with("+491701234567 "), "{text}");
    assert!(text.contains("The disk is full."), "{text}");

    // The client needs neither address nor key.
    let status = on_phone(&["call", "site", "status"]);
    assert!(status.out.contains("Countersign"), "{}", status.out);
    let open = on_phone(&["call", "alarm", "list", "state=open", "--json"]).json();
    let alarm = &open["entries"][0];
    assert_eq!(
        (&alarm["text"], &alarm["count"]),
        (&"The disk is full.".into(), &2.into())
    );
    let mut watch = site.command(&["alarm", "watch"]);
    watch.env("COUNTERSIGN_CONFIG_HOME", site.path("phone"));
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("The disk is full."), "{line}");
    watch.kill().unwrap();
    watch.wait().unwrap();
    let id = format!("id={}", alarm["id"].as_str().unwrap());
    on_phone(&["call", "alarm", "acknowledge", &id]);
    let acknowledged = at_site(&["alarm", "list", "--state", "acknowledged", "--json"]).json();
    let entry = &acknowledged["entries"][0];
    assert_eq!(entry["acknowledged"]["by"], "ada@local", "{entry}");
    let waiting = at_site(&["alarm", "deliveries", "--state", "waiting", "--json"]).json();
    assert_eq!(waiting["entries"], serde_json::json!([]));
}
