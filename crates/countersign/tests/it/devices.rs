//! The whole dialog of a person's device: ticket, enrolment, profile, operations, revocation.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::running::{CommandOutput, Running, command};

/// A device: a user with a folder of profiles.
pub(crate) struct Device<'a> {
    site: &'a Running,
    home: &'static str,
}

impl<'a> Device<'a> {
    pub(crate) fn new(site: &'a Running, home: &'static str) -> Self {
        Self { site, home }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.site.command(words);
        command.env("COUNTERSIGN_CONFIG_HOME", self.site.path(self.home));
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> CommandOutput {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).output().unwrap().into()
    }

    pub(crate) fn enrol(&self, ticket: &str, id: &str, more: &[&str]) -> CommandOutput {
        self.run(&[&["enrol", ticket, "--id", id, "--json"], more].concat())
    }
}

/// A site with the person `ada@local`.
pub(crate) fn site_with_ada() -> Running {
    let site = Running::new();
    let created = site.run(&["person", "create", "ada"]);
    assert_eq!(created.code, 0, "{}", created.err);
    site
}

fn ticket(site: &Running) -> Value {
    let issued = site.run(&["ticket", "issue", "ada", "--json"]);
    assert_eq!(issued.code, 0, "{}", issued.err);
    issued.json()
}

pub(crate) fn uri(site: &Running) -> String {
    ticket(site)["uri"].as_str().unwrap().to_owned()
}

fn mode(site: &Running, file: &str) -> u32 {
    std::fs::metadata(site.path(file))
        .unwrap()
        .permissions()
        .mode()
        & 0o777
}

// DEV-19
#[test]
fn a_device_is_enrolled_uses_its_profile_and_is_revoked() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let uri = uri(&site);
    let enrolled = phone.enrol(&uri, "ada@local", &["--device-name", "Ada's phone"]);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let enrolled = enrolled.json();
    assert_eq!(enrolled["default"], true);
    assert_eq!(mode(&site, "phone/profiles/ada@local.key"), 0o600);
    assert_eq!(mode(&site, "phone/profiles/ada@local.toml"), 0o600);
    assert_eq!(mode(&site, "phone/profiles"), 0o700);

    // Neither address nor key is given. A site in the environment does not stand in the way.
    let mut command = phone.command(&["call", "device", "list", "--json"]);
    let status = site.run(&["site", "status", "--json"]).json();
    command.env("COUNTERSIGN_SITE", status["uri"].as_str().unwrap());
    let listed: CommandOutput = command.output().unwrap().into();
    assert_eq!(listed.code, 0, "{}", listed.err);
    let entry = &listed.json()["entries"][0];
    assert_eq!(entry["id"], enrolled["device"]);
    assert_eq!(entry["name"], "Ada's phone");
    assert_eq!(entry["connected"], true);
    let at_site = site.run(&["device", "list", "ada"]).out;
    assert!(
        at_site.contains("Ada's phone  connected") || at_site.contains("Ada's phone  last"),
        "{at_site}"
    );
    let tickets = site.run(&["ticket", "list", "ada", "--json"]).json();
    assert_eq!(tickets["entries"][0]["state"], "bound");

    // A shell keeps its connection until the device is revoked.
    let mut shell = phone.command(&["shell"]);
    let mut shell = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    let mut output = BufReader::new(shell.stdout.take().unwrap());
    std::io::Write::write_all(&mut input, b"site status\n").unwrap();
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("Countersign"), "{line}");
    let id = enrolled["device"].as_str().unwrap();
    let revoked = site.run(&["device", "revoke", id, "--yes", "--json"]);
    assert_eq!(revoked.json()["sessions"], 1, "{}", revoked.err);
    std::io::Write::write_all(&mut input, b"site status\n").unwrap();
    assert_eq!(shell.wait().unwrap().code(), Some(3));

    let refused = phone.run(&["call", "site", "status"]);
    assert!(
        refused.code == 4 && refused.err.contains("[not_authenticated]"),
        "{}",
        refused.err
    );
}

// DEV-15
#[test]
fn the_same_command_again_repeats_an_enrolment_whose_reply_was_lost() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let uri = uri(&site);
    let first = phone.enrol(&uri, "ada@local", &[]).json();
    // As if the command had ended before it could save what the reply said.
    let file = site.path("phone/profiles/ada@local.toml");
    let profile = std::fs::read_to_string(&file).unwrap();
    let (before, _) = profile.split_once("[enrolled]").unwrap();
    std::fs::write(&file, before).unwrap();
    let not_yet = phone.run(&["call", "site", "status"]);
    assert!(not_yet.err.contains("[not_enrolled]"), "{}", not_yet.err);
    let again = phone.enrol(&uri, "ada@local", &[]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert_eq!(again.json(), first);
    assert_eq!(phone.run(&["call", "site", "status"]).code, 0);

    // Another device gets nothing for the used ticket.
    let thief = Device::new(&site, "thief");
    let refused = thief.enrol(&uri, "ada@local", &[]);
    assert!(
        refused.code == 4 && refused.err.contains("\"not_enrolled\""),
        "{}",
        refused.err
    );
}

// DEV-14
#[test]
fn a_refused_ticket_says_what_may_be_wrong_and_what_to_do() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let uri = uri(&site);
    for id in ["maria@local", "ada@local"] {
        let refused = phone.enrol(&uri, id, &[]);
        assert_eq!(refused.code, 4, "{}", refused.err);
        assert!(
            refused.err.contains("ask for a new ticket"),
            "{}",
            refused.err
        );
    }
    let revoked = ticket(&site);
    let id = revoked["id"].as_str().unwrap();
    assert_eq!(site.run(&["ticket", "revoke", id]).code, 0);
    let revoked = revoked["uri"].as_str().unwrap();
    assert_eq!(phone.enrol(revoked, "ada@local", &[]).code, 4);
    // After all this, a new ticket works.
    let enrolled = phone.enrol(&self::uri(&site), "ada@local", &[]);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let damaged = phone.enrol(&uri.replace("/e#", "/e#A"), "ada@local", &[]);
    assert_eq!(damaged.code, 2, "{}", damaged.err);
}

#[test]
fn a_second_device_does_not_remove_the_first() {
    let site = site_with_ada();
    let (phone, laptop) = (Device::new(&site, "phone"), Device::new(&site, "laptop"));
    for device in [&phone, &laptop] {
        let enrolled = device.enrol(&uri(&site), "ada@local", &["--device-name", device.home]);
        assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    }
    for device in [&phone, &laptop] {
        let status = device.run(&["call", "site", "status"]);
        assert_eq!(status.code, 0, "{}", status.err);
    }
    let listed = site.run(&["device", "list", "ada", "--json"]).json();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 2);
    let id = listed["entries"][0]["id"].as_str().unwrap();
    assert_eq!(site.run(&["device", "rename", id, "old phone"]).code, 0);
    let listed = laptop.run(&["call", "device", "list"]);
    assert!(listed.out.contains("old phone"), "{}", listed.out);
}

#[test]
fn profiles_are_listed_chosen_and_removed() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    for name in ["home", "work"] {
        let enrolled = phone.enrol(&uri(&site), "ada@local", &["--profile", name]);
        assert_eq!(enrolled.code, 0, "{}", enrolled.err);
        assert_eq!(enrolled.json()["default"], name == "home");
    }
    let taken = phone.enrol(&uri(&site), "ada@local", &["--profile", "home"]);
    assert_eq!(taken.code, 7, "{}", taken.err);
    let used = phone.run(&["profile", "use", "work"]);
    assert_eq!(used.code, 0, "{}", used.err);
    let listed = phone.run(&["profile", "list", "--json"]).json();
    let default = |at: usize| {
        (
            &listed["entries"][at]["name"],
            &listed["entries"][at]["default"],
        )
    };
    assert_eq!(default(0), (&json!("home"), &json!(false)));
    assert_eq!(default(1), (&json!("work"), &json!(true)));
    let named = phone.run(&["call", "--profile", "home", "site", "status"]);
    assert_eq!(named.code, 0, "{}", named.err);
    assert_eq!(phone.run(&["profile", "remove", "work"]).code, 2);
    assert_eq!(phone.run(&["profile", "remove", "work", "--yes"]).code, 0);
    assert!(!site.path("phone/profiles/work.key").exists());
    let none = phone.run(&["call", "site", "status"]);
    assert!(
        none.code == 2 && none.err.contains("profile use"),
        "{}",
        none.err
    );
    assert_eq!(phone.run(&["profile", "use", "work"]).code, 6);
}

#[test]
fn a_new_key_is_encrypted_under_a_pass_phrase() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let secret = ["--passphrase", "--passphrase-file", "maria.pass"];
    let enrolled = phone.enrol(&uri(&site), "ada@local", &secret);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let key = std::fs::read_to_string(site.path("phone/profiles/ada@local.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let status = |file| {
        let call = ["call", "site", "status", "--passphrase-file", file];
        phone.run(&call).code
    };
    assert_eq!((status("maria.pass"), status("wrong.pass")), (0, 4));
}

#[test]
fn a_damaged_profile_and_a_key_that_others_can_read_are_reported() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let enrolled = phone.enrol(&uri(&site), "ada@local", &["--profile", "home"]);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let key = site.path("phone/profiles/home.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warned = phone.run(&["call", "site", "status"]);
    assert_eq!(warned.code, 0, "{}", warned.err);
    assert!(warned.err.contains("chmod 600"), "{}", warned.err);

    let file = site.path("phone/profiles/home.toml");
    let profile = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("\u{feff}{}", profile.replace('\n', "\r\n"))).unwrap();
    assert_eq!(phone.run(&["call", "site", "status"]).code, 0);
    std::fs::write(&file, &profile[..profile.len() / 3]).unwrap();
    let damaged = phone.run(&["call", "site", "status"]);
    assert!(
        damaged.code == 1 && damaged.err.contains("[profile]"),
        "{}",
        damaged.err
    );
    let listed = phone.run(&["profile", "list"]);
    assert!(
        listed.code == 0 && listed.out.contains("home  damaged"),
        "{}",
        listed.out
    );
    assert_eq!(phone.run(&["profile", "remove", "home", "--yes"]).code, 0);
    assert!(!key.exists());
}

fn openssl(site: &Running, words: &str) {
    let run = Command::new("openssl")
        .args(words.split_whitespace())
        .current_dir(site.folder.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
}

/// Devices with keys that openssl made: `countersign enrol` registers them, and `openssl s_client`
/// connects.
// DEV-22, DEV-11
#[test]
fn openssl_is_a_device_with_ed25519_and_with_p_256() {
    let site = site_with_ada();
    let status = site.run(&["site", "status", "--json"]).json();
    let address = status["device_address"].as_str().unwrap();
    for (name, algorithm) in [
        ("ed", "-algorithm ed25519"),
        ("ec", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
    ] {
        openssl(&site, &format!("genpkey {algorithm} -out {name}.pem"));
        let certificate = format!("req -x509 -new -key {name}.pem -subj /CN=phone -out {name}.crt");
        openssl(&site, &certificate);
        let phone = Device::new(&site, "phone");
        let file = format!("{name}.pem");
        let more = ["--key", &file, "--profile", name];
        let enrolled = phone.enrol(&uri(&site), "ada@local", &more);
        assert_eq!(enrolled.code, 0, "{}", enrolled.err);
        let called = phone.run(&["call", "--profile", name, "site", "status"]);
        assert_eq!(called.code, 0, "{}", called.err);

        let words = format!("s_client -quiet -connect {address} -cert {name}.crt -key {name}.pem");
        let mut client = Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(site.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = client.stdin.take().unwrap();
        let lines =
            "{\"id\":\"ada@local\"}\n{\"id\":1,\"group\":\"device\",\"command\":\"list\"}\n";
        std::io::Write::write_all(&mut input, lines.as_bytes()).unwrap();
        let mut output = BufReader::new(client.stdout.take().unwrap()).lines();
        let mut next =
            || -> Value { serde_json::from_str(&output.next().unwrap().unwrap()).unwrap() };
        assert!(next()["welcome"]["idle_seconds"].is_u64());
        let outcome = next();
        assert_eq!((&outcome["id"], &outcome["code"]), (&json!(1), &json!(0)));
        client.kill().unwrap();
        client.wait().unwrap();
    }
}

/// The key of one replaced that of the other.
#[test]
fn two_commands_that_enrol_at_once_leave_a_profile_that_connects() {
    let site = site_with_ada();
    let phone = Device::new(&site, "phone");
    let uris = [uri(&site), uri(&site)];
    let started = uris.map(|uri| {
        let mut command = phone.command(&["enrol", &uri, "--id", "ada@local"]);
        command.stderr(Stdio::null()).spawn().unwrap()
    });
    let mut codes = started.map(|mut enrol| enrol.wait().unwrap().code());
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(7)]);
    assert_eq!(phone.run(&["call", "site", "status"]).code, 0);
}

#[test]
fn a_taken_device_port_is_named_with_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = Running::folder();
    let serve = ["serve", "--session-listen", "127.0.0.1:0"];
    let more = [
        "--http-listen",
        "127.0.0.1:0",
        "--passphrase-file",
        "site.pass",
    ];
    let device = ["--device-listen", &address];
    let refused = site.run(&[&serve[..], &more, &device].concat());
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains(&address), "{}", refused.err);
    assert!(
        refused.err.contains("with --device-listen;"),
        "{}",
        refused.err
    );
}

#[test]
fn a_ticket_is_read_from_a_file_and_its_qr_code_is_written() {
    let site = site_with_ada();
    let issue = ["ticket", "issue", "ada", "--expires", "10m"];
    let images = ["--qr", "--png", "code.png", "--svg", "code.svg"];
    let issued = site.run(&[&issue[..], &images].concat());
    assert_eq!(issued.code, 0, "{}", issued.err);
    assert!(issued.out.contains('█'), "{}", issued.out);
    let png = std::fs::read(site.path("code.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG") && mode(&site, "code.png") == 0o600);
    let again = site.run(&[&issue[..], &images].concat());
    assert_eq!(again.code, 7, "{}", again.err);
    let json = ticket(&site)["ticket"].to_string();
    site.write("ticket.json", &format!("\u{feff}{json}\r\n"));
    let enrol = ["enrol", "--ticket-file", "ticket.json", "--id", "ada@local"];
    let phone = Device::new(&site, "phone");
    let enrolled = phone.run(&enrol);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let shown = command(site.folder.path(), &enrol[..3]).output().unwrap();
    assert_eq!(shown.status.code(), Some(2), "an id is required");
}
