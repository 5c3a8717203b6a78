//! The npm package `bindings/node` in Node, against a site.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use countersign_client::{Client, LoginAs};
use countersign_core::access::Role;
use countersign_core::content::Content;
use countersign_core::engine::{Answer, Entry};
use countersign_core::sessions::Audience;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::operation::Event;
use countersign_proto::uri::SiteUri;
use countersign_testkit::harness::{PASSPHRASE, ServedSite, TestSite};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The pass phrase that `client.mjs` registers.
const REGISTERED: &str = "Zo\u{eb}’s 한국 horse, registered";

fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// The folder of the package, which is built if it is not; `None` without Node.
fn package() -> Option<PathBuf> {
    let node = Command::new("node").arg("--version").output();
    if !node.is_ok_and(|output| output.status.success()) {
        let is_complete = std::env::var_os("CI").is_none();
        assert!(is_complete, "there is no node here: scripts/install test");
        return None;
    }
    let package = repository().join("bindings/node");
    if !package.join("dist/countersign_bg.wasm").exists() {
        let built = Command::new(repository().join("scripts/build-web")).status();
        assert!(built.unwrap().success(), "scripts/build-web failed");
    }
    Some(package)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pieces {
    /// How many pieces of 1 KiB.
    #[serde(default)]
    pieces: u64,
}

/// Operations with content.
fn own() -> Vec<Entry> {
    let entry = |command| {
        Entry::new("test", command)
            .summary("Moves content.")
            .allow(&Role::ALL)
    };
    vec![
        entry("give")
            .gives_content()
            .handler(|_, params: Pieces| async move {
                let pieces = futures_util::stream::iter(0..params.pieces);
                let pieces = pieces.map(|_| Ok(vec![7; 1024]));
                Ok(Answer::new(params.pieces).with(Content::new(pieces)))
            }),
        entry("take")
            .takes_content()
            .handler(|context, _: Pieces| async move {
                let mut content = context.content()?;
                let mut bytes = 0;
                while let Some(piece) = content.next().await {
                    bytes += piece?.len() as u64;
                }
                Ok(Answer::new(bytes))
            }),
    ]
}

/// A proxy in front of the HTTP listener that records both directions and can cut its connections.
struct Recorder {
    port: u16,
    recorded: Arc<Mutex<Vec<u8>>>,
    cut: watch::Sender<()>,
}

impl Recorder {
    async fn before(served: &ServedSite) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = served.server.http_address().unwrap();
        let recorded = Arc::new(Mutex::new(Vec::new()));
        let cut = watch::Sender::new(());
        let (record, cuts) = (recorded.clone(), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (record, mut cut) = (record.clone(), cuts.subscribe());
                tokio::spawn(async move {
                    let site = TcpStream::connect(address).await.unwrap();
                    let (from_client, to_client) = client.into_split();
                    let (from_site, to_site) = site.into_split();
                    tokio::select! {
                        () = pass_on(from_client, to_site, &record) => {}
                        () = pass_on(from_site, to_client, &record) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self {
            port,
            recorded,
            cut,
        }
    }
}

async fn pass_on(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    record: &Mutex<Vec<u8>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        record.lock().unwrap().extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// A program in Node.
struct Program {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(script: &Path, words: &[&str]) -> Self {
        let mut process = Command::new("node")
            .arg(script)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    /// The value of the next step, which has this name.
    fn step(&mut self, name: &str) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let step: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{name}: {line:?}"));
        assert_eq!(step["step"], name, "{step}");
        step["value"].clone()
    }

    fn tell(&mut self) {
        writeln!(self.input).unwrap();
    }

    fn ends_well(mut self) {
        drop(self.input);
        assert!(self.process.wait().unwrap().success());
    }
}

fn failure(kind: &str, code: &str) -> Value {
    json!({ "name": "CountersignError", "kind": kind, "code": code })
}

// SES-87
#[test]
fn a_program_in_node_has_a_session_by_web_socket() {
    let Some(package) = package() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (served, recorder) = runtime.block_on(async {
        let served = TestSite::builder().maria().operations(own).serve().await;
        served.takes_enrolments();
        served
            .admin("person.create", json!({ "name": "ada" }))
            .await;
        let recorder = Recorder::before(&served).await;
        (served, recorder)
    });
    let url = format!("ws://127.0.0.1:{}/session", recorder.port);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/web/client.mjs");
    let index = package.join("index.js");
    let another = SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy)).public();
    let elsewhere = SiteUri::new("127.0.0.1", 4747, another).unwrap();
    let (uri, elsewhere) = (served.uri.to_string(), elsewhere.to_string());
    let params = json!({ "person": "ada", "kind": "passphrase" });
    let issued = runtime.block_on(served.admin("ticket.issue", params));
    let ticket: EnrolmentTicket = issued["uri"].as_str().unwrap().parse().unwrap();
    let other = EnrolmentTicket::new(
        ticket.kind(),
        ticket.host(),
        ticket.port(),
        ticket.token().clone(),
        another.signing,
    );
    let (ticket, other) = (ticket.to_uri(), other.unwrap().to_uri());
    let words = [
        index.to_str().unwrap(),
        &url,
        &uri,
        &elsewhere,
        ticket.expose(),
        other.expose(),
    ];
    let mut program = Program::start(&script, &words);

    assert_eq!(program.step("known before"), Value::Null);
    let refused = failure("login", "not_authenticated");
    assert_eq!(program.step("wrong"), refused);
    assert_eq!(program.step("unknown"), refused);
    let misused = |field: &str| {
        let mut failure = failure("usage", "usage");
        failure["field"] = field.into();
        failure
    };
    assert_eq!(program.step("usage"), misused("name"));
    assert_eq!(program.step("wrong site"), failure("login", "wrong_site"));
    let unreachable = failure("connection", "unreachable");
    assert_eq!(program.step("unreachable"), unreachable);

    assert_eq!(program.step("account"), "maria@example.org");
    assert_eq!(program.step("known"), "string");
    assert_eq!(program.step("me"), "maria@example.org");
    assert_eq!(program.step("parameters"), "maria@example.org");
    let unknown = failure("operation", "unknown_operation");
    assert_eq!(program.step("no operation"), unknown);
    assert_eq!(program.step("bad parameters")["code"], "invalid_params");
    assert_eq!(program.step("many"), 100);

    program.step("listens");
    let event = Arc::new(Event {
        group: "test".to_owned(),
        event: "told".to_owned(),
        data: RawValue::from_string(r#"{"n":1}"#.to_owned()).unwrap(),
    });
    assert_eq!(served.site.events().publish(&Audience::All, &event), 1);
    let expected = json!({ "group": "test", "event": "told", "data": { "n": 1 } });
    assert_eq!(program.step("event"), expected);

    assert_eq!(program.step("taken"), 70_007);
    assert_eq!(program.step("given"), 40 * 1024);
    program.step("cut");
    recorder.cut.send_replace(());
    program.tell();
    assert_eq!(program.step("resumed"), json!({ "same": true }));
    let reloaded = json!({ "same": true, "wiped": true });
    assert_eq!(program.step("reloaded"), reloaded);
    assert_eq!(program.step("replaced"), "replaced");

    assert_eq!(program.step("not proved"), "not_permitted");
    let wrong = failure("operation", "wrong_passphrase");
    assert_eq!(program.step("wrong proof"), wrong);
    assert_eq!(program.step("proved"), json!({ "wiped": true }));
    assert_eq!(program.step("token"), "string");
    assert_eq!(
        program.step("wrong present"),
        failure("operation", "wrong_passphrase")
    );
    assert_eq!(program.step("changed"), json!({ "wiped": true }));
    assert_eq!(program.step("old"), refused);
    assert_eq!(program.step("new"), "maria@example.org");
    assert_eq!(program.step("after")["kind"], "session");
    program.step("done");

    assert_eq!(program.step("no ticket"), misused("ticket"));
    assert_eq!(program.step("other site"), failure("login", "wrong_site"));
    assert_eq!(program.step("private use"), failure("usage", "usage"));
    assert_eq!(program.step("registered"), json!({ "wiped": true }));
    assert_eq!(program.step("spent"), failure("ticket", "refused"));
    assert_eq!(program.step("ada"), "ada@example.org");
    program.ends_well();
    // A native program prepares the text to the same pass phrase.
    runtime.block_on(async {
        let passphrase = Passphrase::from(REGISTERED.to_owned());
        let login = LoginAs::person("ada".parse().unwrap(), passphrase);
        let ada = Client::connect(&served.uri, login).await.unwrap();
        ada.close().await.unwrap();
    });

    // No pass phrase was sent, in any encoding that leaves its words.
    let recorded = recorder.recorded.lock().unwrap();
    assert!(recorded.len() > 100_000);
    for words in [
        PASSPHRASE,
        "another horse, another staple",
        REGISTERED,
        "Zoe\u{308}’s\u{3000}\u{1112}\u{1161}\u{11ab}국\u{a0}horse, registered",
    ] {
        for secret in encodings(words) {
            let found = recorded.windows(secret.len()).any(|part| part == secret);
            assert!(!found, "the pass phrase was sent");
        }
    }
    drop(recorded);
    runtime.block_on(served.stop());
}

/// A text as it is, in UTF-16, and in Base64 at each offset.
fn encodings(text: &str) -> Vec<Vec<u8>> {
    let mut encodings = vec![text.as_bytes().to_vec()];
    encodings.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    encodings.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    for offset in 0..3 {
        let padded = [&vec![0; offset][..], text.as_bytes()].concat();
        let encoded = data_encoding::BASE64.encode(&padded);
        // Without the characters that depend on the bytes around it.
        encodings.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
    }
    encodings
}

/// The module in WebAssembly has no Unicode tables of its own.
// SES-70, SES-71
#[test]
fn a_javascript_engine_prepares_every_pass_phrase_like_a_native_program() {
    if package().is_none() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/web/unicode.mjs");
    let output = Command::new("node").arg(&script).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let bytes = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let is_known = |character: char| {
        let refused = Passphrase::from(character.to_string()).check_new();
        !refused.is_err_and(|error| error.to_string().contains("without a public meaning"))
    };
    let (mut compared, mut newer) = (0, 0);
    for line in lines.lines() {
        let [code, text, prepared] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let character = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
        if !is_known(character.unwrap()) {
            // The engine has a newer version of Unicode.
            newer += 1;
            continue;
        }
        let native = Passphrase::from(String::from_utf8(bytes(text)).unwrap());
        assert_eq!(native.as_bytes(), bytes(prepared), "U+{code}");
        compared += 1;
    }
    // Unicode 15, without private use.
    assert!(compared > 149_000, "{compared} characters");
    assert!(
        newer < 20_000,
        "native programs do not know {newer} characters"
    );
}

#[test]
fn the_lines_of_the_readme_run_as_they_are_written() {
    let Some(package) = package() else { return };
    let readme = std::fs::read_to_string(package.join("README.md")).unwrap();
    // The first call, the first pass phrase, and content. Others are types, which `npm test` checks.
    let blocks = readme.split("```js\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").unwrap().0);
    let code: Vec<&str> = blocks.collect();
    assert!(
        code[0].trim().lines().count() <= 10,
        "ten lines to the first call"
    );
    let code = code.concat();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (served, issued) = runtime.block_on(async {
        let served = TestSite::builder().maria().serve().await;
        served.takes_enrolments();
        let ada = json!({ "name": "ada" });
        served.admin("person.create", ada).await;
        let params = json!({ "person": "ada", "kind": "passphrase" });
        let issued = served.admin("ticket.issue", params).await;
        (served, issued)
    });
    let ticket = issued["uri"].as_str().unwrap();
    let address = served.server.http_address().unwrap();
    let index = package.join("index.js");
    let code = code
        .replace("'countersign'", &format!("'{}'", index.display()))
        .replace(
            "wss://site.example/session",
            &format!("ws://{address}/session"),
        )
        .replace(
            "countersign://site.example:4747#AbCd…",
            &served.uri.to_string(),
        )
        .replace("countersign://site.example:4748/e#…", ticket);
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("first.mjs");
    std::fs::write(&script, code).unwrap();
    let output = Command::new("node").arg(&script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("maria@example.org"), "{text}");
    assert!(text.contains("ada@example.org"), "{text}");
    assert!(text.contains(" bytes of the audit log"), "{text}");
    runtime.block_on(served.stop());
}
