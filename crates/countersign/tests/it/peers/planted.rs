//! A full run of two sites as processes, with a secret of each kind: their databases, write-ahead logs
//! and backups contain none of them.

use std::collections::BTreeSet;
use std::process::Stdio;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::RecoveryCode;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::peer::PeerTicket;
use countersign_testkit::planted::Planted;
use data_encoding::BASE64;
use serde_json::Value;

use crate::backup::sql;
use crate::running::{Running, SITE_PASSPHRASE};

/// What the database has in the clear: the control that the search finds what is there.
const CONTROL: &str = "planted-id-of-an-application";
const AUTH_DATA: &str = "PLANTED-data-about-an-application";
const NEW_PASSPHRASE: &str = "PLANTED-new-pass-phrase-of-the-site";

/// What a run leaves. The log exists because the site is killed.
const FILES: [&str; 3] = ["site/site.db", "site/site.db-wal", "plain.backup"];

/// One of two sites, and the secrets of both.
struct Side<'a> {
    site: Running,
    person: &'static str,
    planted: &'a mut Planted,
}

impl<'a> Side<'a> {
    fn start(zone: &str, person: &'static str, port: u16, planted: &'a mut Planted) -> Self {
        let mut site = Running::folder();
        let code = RecoveryCode::generate(&mut SystemEntropy).to_text();
        let code = planted.plant("recovery code", code.expose());
        site.write("recovery.code", code);
        site.write("new.pass", planted.plant("new pass phrase", NEW_PASSPHRASE));
        planted.plant("pass phrase of the site", SITE_PASSPHRASE);
        let key = planted.plant("webhook's key", b"PLANTED-key-of-the-webhook-here!");
        site.write("hook.key", &BASE64.encode(key));
        // Nothing listens there, so that the message waits in the outbox.
        let hook = "version = 1\n[webhook]\nurl = \"http://127.0.0.1:9/\"\n\
                    body_format = \"text\"\nbody = \"{{text}}\"\nsecret_file = \"hook.key\"\n";
        site.write("countersign.toml", hook);
        let mut serve = site.command(&["serve"]);
        serve.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
        let peer = Running::peer_address(port);
        let config = ["--config", "countersign.toml", "--peer-listen", &peer];
        let words = ["--passphrase-file", "site.pass", "--zone", zone];
        site.start_as(serve, &[&words[..], &config].concat());
        let side = Self {
            site,
            person,
            planted,
        };
        side.does(&["person", "create", person]);
        side.does(&["peer", "start"]);
        side
    }

    fn does(&self, words: &[&str]) -> Value {
        let mut command = self.site.command(&[words, &["--json"]].concat());
        command.env("COUNTERSIGN_RECOVERY_CODE_FILE", "recovery.code");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {problem}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Accounts with their credentials.
    fn accounts(&mut self) {
        let phrase = self
            .planted
            .plant("pass phrase of a person", "PLANTED-pass-phrase-of-ada");
        self.site.write("ada.pass", phrase);
        self.does(&[
            "person",
            "passphrase",
            self.person,
            "--passphrase-file",
            "ada.pass",
        ]);
        self.site.create_robot();
        let robot = private_key(&self.read("robot.key"));
        self.planted.plant("key of a service", robot);
        let issued = self.does(&["ticket", "issue", self.person]);
        let ticket: EnrolmentTicket = issued["uri"].as_str().unwrap().parse().unwrap();
        self.planted
            .plant("enrolment token", ticket.token().expose());
        for call in [
            self.site.call_as_robot(&["self", "show"]),
            self.site.call(self.person, "ada.pass", &["self", "show"]),
        ] {
            assert_eq!(call.code, 0, "{}", call.err);
        }
    }

    /// Applications, and the key of a previous master.
    fn applications(&mut self) {
        self.does(&["key", "new", "--out", "app.key"]);
        self.does(&["key", "party", "app.key", "--out", "app.party"]);
        self.planted.plant("control", CONTROL);
        let data = self.planted.plant("auth_data", AUTH_DATA);
        let data = format!("{{\"password\":\"{data}\"}}");
        let create = ["app", "create", CONTROL, "--public-key", "app.party"];
        self.does(&[&create[..], &["--auth-data", &data]].concat());
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/keys");
        let pem = std::fs::read_to_string(format!("{keys}/master.key.pem")).unwrap();
        // A part of the primes, whatever form the key has.
        let key = private_key(&pem);
        self.planted
            .plant("key of the broker", &key[key.len() - 300..][..48]);
        self.site.write("master.pem", &pem);
        self.does(&["broker", "new-v1-key", "--private-key", "master.pem"]);
        self.does(&["broker", "key", "new"]);
    }

    /// An alarm whose message waits.
    fn alarms(&self) {
        self.does(&["alarm", "preferences", self.person, "--text-to", "555-0100"]);
        let raise = ["alarm", "raise", self.person, "--severity", "critical"];
        self.does(&[&raise[..], &["--text", "The disk is full."]].concat());
    }

    fn join(&mut self, other: &Running, other_person: &str) {
        let uri = other.peer_ticket(other_person);
        let ticket: PeerTicket = uri.parse().unwrap();
        self.planted.plant("peer token", ticket.token().expose());
        let output = self.site.join(&uri, self.person).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// A new site key and a new OPAQUE setup.
    fn rotate(&mut self) {
        self.does(&["site", "key", "slots", "add", "--slot-file", "own.slot"]);
        let slot = self.read("own.slot");
        self.planted.plant("slot file", slot.trim());
        self.does(&["site", "setup", "new"]);
        let new = ["site", "key", "new", "--yes", "--passphrase-file"];
        self.does(&[&new[..], &["new.pass"]].concat());
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.site.path(name)).unwrap()
    }
}

/// The bytes of a private key in PEM.
fn private_key(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    BASE64.decode(lines.collect::<String>().as_bytes()).unwrap()
}

/// Sends a message and waits until it has arrived.
fn send(from: &mut Side<'_>, to: &Running, person: &str, zone: &str) {
    let text = format!("PLANTED-message-to-{person}");
    let text = from.planted.plant("message", text);
    let to_person = format!("{person}@{zone}");
    from.does(&["peer", "send", "--from", from.person, &to_person, &text]);
    let received = || {
        let inbox = to.inbox(person);
        inbox
            .first()
            .is_some_and(|message| message["text"] == text.as_str())
    };
    // Each look runs a program, so that it does not spin.
    while !received() {}
}

fn found<'a>(planted: &'a Planted, site: &Running, file: &str) -> BTreeSet<&'a str> {
    planted.found(&std::fs::read(site.path(file)).unwrap())
}

#[test]
fn after_a_full_run_of_two_sites_no_file_contains_a_planted_secret() {
    let (mut planted, mut other) = (Planted::default(), Planted::default());
    let mut ada = Side::start("a.example", "ada", 4753, &mut planted);
    let mut bob = Side::start("b.example", "bob", 4754, &mut other);
    ada.accounts();
    ada.applications();
    ada.alarms();
    ada.join(&bob.site, "bob");
    send(&mut ada, &bob.site, "bob", "b.example");
    send(&mut bob, &ada.site, "ada", "a.example");
    // One that waits.
    bob.does(&["peer", "suspend", "a.example", "--yes"]);
    let waits = ada.planted.plant("waiting message", "PLANTED-that-waits");
    ada.does(&["peer", "send", "--from", "ada", "bob@b.example", waits]);
    for side in [&mut ada, &mut bob] {
        side.rotate();
        side.does(&["backup", "create", "plain.backup", "--plain"]);
        side.site.kill();
    }

    let (ada, bob) = (ada.site, bob.site);
    let control = BTreeSet::from(["control"]);
    assert_eq!(found(&planted, &ada, FILES[0]), control);
    assert_eq!(found(&planted, &ada, FILES[2]), control);
    for file in FILES {
        for (site, secrets) in [
            (&ada, &planted),
            (&ada, &other),
            (&bob, &planted),
            (&bob, &other),
        ] {
            let found = found(secrets, site, file);
            assert!(found.is_subset(&control), "{file}: {found:?}");
        }
    }
    // The same search finds what an earlier version stored.
    let database = ada.path(FILES[0]);
    sql(
        &database,
        &[
            "UPDATE application SET document = json_set(document, '$.auth_data', \
           'PLANTED-data-about-an-application')",
        ],
    );
    let unsealed = BTreeSet::from(["auth_data", "control"]);
    assert_eq!(found(&planted, &ada, FILES[0]), unsealed);
}
