//! The web console: links to it, and `countersign console`. A program without the console is tested too: which one
//! this is depends on whether `console/dist` was built before.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::dev::{DEV, Process, wait_for};
use crate::devices::{Device, site_with_ada, uri};
use crate::running::{Running, command};

/// Whether this program was built with the console.
fn has_console() -> bool {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console/dist");
    let manifest = std::fs::read_to_string(dist.join("manifest.json"));
    manifest.is_ok_and(|manifest| manifest.contains("\"client\": true"))
}

/// The head of the response to a request for a URL.
fn head_of(url: &str) -> String {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    // A name below `localhost` is this machine.
    let port = host.rsplit_once(':').unwrap().1;
    let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().0.to_owned()
}

/// The first value of the JSON lines on standard output that has this field.
fn field(output: &mut impl BufRead, name: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "no {name}");
        let line: Value = serde_json::from_str(&line).unwrap();
        if let Some(value) = line[name].as_str() {
            return value.to_owned();
        }
    }
}

/// The parts of a link after `#/`, decoded.
fn parts(link: &str) -> Vec<String> {
    let (_, fragment) = link.split_once("#/").unwrap();
    let decoded = |part: &str| {
        let part = percent_encoding::percent_decode_str(part);
        part.decode_utf8().unwrap().into_owned()
    };
    fragment.split('/').map(decoded).collect()
}

#[test]
fn dev_prints_a_link_that_logs_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = command(folder.path(), DEV);
    dev.arg("--json")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let (mut site, mut log) = Process::with_stderr(&mut dev);
    if has_console() {
        let link = field(&mut site.output(), "console");
        let (page, _) = link.split_once('#').unwrap();
        assert!(head_of(page).starts_with("HTTP/1.1 200 "));
        let [path, name, passphrase] = &parts(&link)[..] else {
            panic!("{link}")
        };
        assert_eq!((path.as_str(), name.as_str()), ("login", "dev"));
        std::fs::write(folder.path().join("dev.pass"), passphrase).unwrap();
    }
    let uri = wait_for(&mut log, "The site is at ");
    let uri = uri.rsplit_once("The site is at ").unwrap().1.trim();
    if has_console() {
        let login = [
            "call",
            "--site",
            uri,
            "--as",
            "dev",
            "--passphrase-file",
            "dev.pass",
        ];
        let words = [&login[..], &["self", "show", "--json"]].concat();
        let output = command(folder.path(), &words).output().unwrap();
        let me: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(me["role"], "admin");
    }
    site.signal(Signal::TERM);
    assert_eq!(site.code(), Some(0));
}

#[test]
fn a_ticket_for_a_pass_phrase_comes_with_a_link() {
    let site = Running::with_accounts();
    let issue = |words: &[&str]| {
        let output = site.run(&[&["ticket", "issue", "maria"], words].concat());
        assert_eq!(output.code, 0, "{}", output.err);
        output
    };
    let issued = issue(&["--kind", "passphrase", "--json"]).json();
    match has_console() {
        true => {
            let link = issued["console"].as_str().unwrap();
            assert!(link.starts_with(&format!("http://{}/console/#/", site.http())));
            let ticket = issued["uri"].as_str().unwrap();
            assert_eq!(parts(link), ["ticket", ticket]);
            let text = issue(&["--kind", "passphrase"]).out;
            assert!(text.contains("Or open in a browser:\n  http://"), "{text}");
        }
        false => assert_eq!(issued["console"], Value::Null),
    }
    // A device does not enrol in a browser.
    assert_eq!(issue(&["--json"]).json()["console"], Value::Null);
}

/// With `--http-tls site` each link began with `http://`, and the listener closed the connection. No browser accepts
/// the certificate of the site key, so that `https://` alone would not do either.
#[test]
fn a_site_with_tls_of_its_key_shows_the_command_that_serves_its_console() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = command(
        folder.path(),
        &[DEV, &["--http-tls", "site", "--json"][..]].concat(),
    );
    dev.stdin(Stdio::null()).stdout(Stdio::piped());
    let (mut site, mut log) = Process::with_stderr(&mut dev);
    let mut output = site.output();
    let shown = has_console().then(|| field(&mut output, "console_command"));
    wait_for(&mut log, "The site is at ");
    let run = |words: &[&str]| {
        let output = command(folder.path(), words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["person", "create", "maria"]);
    let ticket = run(&["ticket", "issue", "maria", "--kind", "passphrase"]);
    assert!(!ticket.contains("http://"), "{ticket}");
    let Some(shown) = shown else {
        return;
    };
    assert!(ticket.contains(&format!("\n  {shown}\n")), "{ticket}");
    let words: Vec<&str> = shown.split(' ').skip(1).chain(["--json"]).collect();
    let mut console = command(folder.path(), &words);
    console.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut console = Process::start(&mut console);
    let output = console.output();
    let mut shown = serde_json::Deserializer::from_reader(output).into_iter::<Value>();
    let shown = shown.next().unwrap().unwrap();
    assert!(
        shown["http"]
            .as_str()
            .unwrap()
            .starts_with("https://127.0.0.1:")
    );
    let head = head_of(shown["url"].as_str().unwrap());
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    site.signal(Signal::TERM);
    assert_eq!(site.code(), Some(0));
}

#[test]
fn the_console_on_this_machine_is_served_until_a_signal() {
    let site = Running::with_accounts();
    let console = ["console", "--site", &site.uri, "--json"];
    if !has_console() {
        let refused = site.run(&console);
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains("no_console"), "{}", refused.err);
        return;
    }
    let mut console = site.command(&console);
    console.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut console = Process::start(&mut console);
    let mut output = console.output();
    let mut shown = serde_json::Deserializer::from_reader(&mut output).into_iter::<Value>();
    let shown = shown.next().unwrap().unwrap();
    assert_eq!(shown["site"], site.uri);
    for url in ["url", "address_url"] {
        let head = head_of(shown[url].as_str().unwrap());
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-security-policy: default-src 'none'"));
    }
    console.signal(Signal::INT);
    assert_eq!(console.code(), Some(0));

    let elsewhere = ["console", "--site", &site.uri, "--listen", "0.0.0.0:0"];
    let refused = site.run(&elsewhere);
    assert_eq!(refused.code, 2, "{}", refused.err);
    // Without a site and without a profile.
    assert_eq!(site.run(&["console"]).code, 2);
}

#[test]
fn the_console_of_a_profile_is_that_of_its_site() {
    if !has_console() {
        return;
    }
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    assert_eq!(phone.enrol(&uri(&site), "ada@local", &[]).code, 0);
    let mut console = phone.command(&["console", "--json"]);
    console.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut console = Process::start(&mut console);
    let output = console.output();
    let mut shown = serde_json::Deserializer::from_reader(output).into_iter::<Value>();
    assert_eq!(shown.next().unwrap().unwrap()["site"], site.uri);
}

#[test]
fn the_console_may_be_switched_off() {
    let mut site = Running::folder();
    site.write("off.toml", "version = 1\n[listen]\nconsole = false\n");
    site.start(&["--config", "off.toml", "--passphrase-file", "site.pass"]);
    let head = head_of(&format!("http://{}/console/", site.http()));
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert!(head.contains("application/problem+json"), "{head}");
}
