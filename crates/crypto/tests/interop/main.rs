//! Logins between this crate and `@serenity-kit/opaque`, run by Node, each as client and as server.
//!
//! The package is another version of `opaque-ke`, compiled for browsers. The test shows only that
//! the primitives agree. The package has no parameter for the context, which binds a login to its
//! session (`docs/protocol/session.md`), and accepts identities only as text, so it cannot log in
//! to a site; a client in a browser needs another build. The test needs `node` and `npm`, which
//! installs the package once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test, whose helpers clippy does not know for such"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::passphrase::{
    ClientLogin, ClientRegistration, Identifiers, Ksf, LoginSuite, PassphraseRecord, ServerLogin,
    ServerSetup,
};
use countersign_crypto::secret::Passphrase;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

const ACCOUNT: &str = "maria";
const PHRASE: &str = "correct horse battery staple \u{1f40e}";

/// A Node process that calls the package's functions.
struct Node {
    process: Child,
    calls: ChildStdin,
    results: BufReader<ChildStdout>,
}

impl Node {
    fn start() -> Self {
        let mut process = Command::new("node")
            .arg("opaque.mjs")
            .current_dir(installed())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs node");
        let calls = process.stdin.take().unwrap();
        let results = BufReader::new(process.stdout.take().unwrap());
        Self {
            process,
            calls,
            results,
        }
    }

    fn call(&mut self, side: &str, name: &str, params: &Value) -> Value {
        writeln!(self.calls, "{}", json!([side, name, params])).unwrap();
        let mut line = String::new();
        self.results.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("the package refused the call")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder in which the package is installed, with the versions of the lock file.
fn installed() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    fs::create_dir_all(&to).unwrap();
    let lock = |folder: &Path| fs::read(folder.join("package-lock.json")).ok();
    let ready = lock(&from) == lock(&to) && to.join("node_modules").exists();
    for file in ["package.json", "package-lock.json", "opaque.mjs"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    if !ready {
        let installed = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&to)
            .stdout(Stdio::null())
            .status()
            .expect("this test needs npm");
        assert!(installed.success(), "npm could not install the package");
    }
    to
}

/// Parameters that client and server have to agree on.
struct Agreed {
    identifiers: Identifiers<'static>,
    ksf: Ksf,
}

impl Agreed {
    /// With and without identities, and with both key stretching functions, for which the package
    /// has other names.
    fn all() -> [Self; 3] {
        let named = Identifiers {
            client: Some(ACCOUNT.as_bytes()),
            server: Some(b"the site"),
        };
        let agreed = |identifiers, ksf| Self { identifiers, ksf };
        [
            agreed(named, Ksf::Recommended),
            agreed(named, Ksf::Trivial),
            agreed(Identifiers::default(), Ksf::Trivial),
        ]
    }

    /// Adds the agreed parameters to `params` in the package's form.
    fn with(&self, mut params: Value) -> Value {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        params["identifiers"] = json!({
            "client": self.identifiers.client.map(text),
            "server": self.identifiers.server.map(text),
        });
        params["keyStretching"] = match self.ksf {
            Ksf::Recommended => json!("memory-constrained"),
            Ksf::Trivial => {
                json!({ "argon2id-custom": { "iterations": 1, "memory": 64, "parallelism": 1 } })
            }
        };
        params
    }
}

fn encode(bytes: &[u8]) -> Value {
    BASE64URL_NOPAD.encode(bytes).into()
}

fn decode(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("a text");
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

#[test]
fn logins_between_this_crate_and_the_package_succeed() {
    let mut node = Node::start();
    for agreed in Agreed::all() {
        their_client_with_our_server(&mut node, &agreed);
        our_client_with_their_server(&mut node, &agreed);
    }
}

fn their_client_with_our_server(node: &mut Node, agreed: &Agreed) {
    let setup = ServerSetup::generate(&mut SystemEntropy);

    let started = node.call(
        "client",
        "startRegistration",
        &json!({ "password": PHRASE }),
    );
    let request = decode(&started["registrationRequest"]);
    let response = setup
        .registration_response(ACCOUNT.as_bytes(), &request)
        .unwrap();
    let registered = node.call(
        "client",
        "finishRegistration",
        &agreed.with(json!({
            "password": PHRASE,
            "clientRegistrationState": started["clientRegistrationState"],
            "registrationResponse": encode(&response),
        })),
    );
    let record = decode(&registered["registrationRecord"]);
    let record = PassphraseRecord::from_bytes(&record).unwrap();

    let started = node.call("client", "startLogin", &json!({ "password": PHRASE }));
    let (server, ke2) = ServerLogin::start(
        LoginSuite::Classical,
        &setup,
        Some(&record),
        ACCOUNT.as_bytes(),
        &decode(&started["startLoginRequest"]),
        b"",
        agreed.identifiers,
        &mut SystemEntropy,
    )
    .unwrap();
    let finished = node.call(
        "client",
        "finishLogin",
        &agreed.with(json!({
            "password": PHRASE,
            "clientLoginState": started["clientLoginState"],
            "loginResponse": encode(&ke2),
        })),
    );
    let session_key = server
        .finish(&decode(&finished["finishLoginRequest"]))
        .unwrap();
    assert_eq!(session_key.expose(), &decode(&finished["sessionKey"])[..]);
    assert_eq!(finished["exportKey"], registered["exportKey"]);
}

fn our_client_with_their_server(node: &mut Node, agreed: &Agreed) {
    let phrase = Passphrase::from(PHRASE.to_owned());
    let setup = node.call("server", "createSetup", &Value::Null);

    let (client, request) = ClientRegistration::start(&phrase, &mut SystemEntropy).unwrap();
    let answered = node.call(
        "server",
        "createRegistrationResponse",
        &json!({
            "serverSetup": setup,
            "userIdentifier": ACCOUNT,
            "registrationRequest": encode(&request),
        }),
    );
    let (record, export_key) = client
        .with_ksf(agreed.ksf)
        .finish(
            &phrase,
            &decode(&answered["registrationResponse"]),
            agreed.identifiers,
            &mut SystemEntropy,
        )
        .unwrap();

    let (client, ke1) =
        ClientLogin::start(LoginSuite::Classical, &phrase, &mut SystemEntropy).unwrap();
    let answered = node.call(
        "server",
        "startLogin",
        &agreed.with(json!({
            "serverSetup": setup,
            "userIdentifier": ACCOUNT,
            "registrationRecord": encode(record.as_bytes()),
            "startLoginRequest": encode(&ke1),
        })),
    );
    let done = client
        .with_ksf(agreed.ksf)
        .finish(
            &phrase,
            &decode(&answered["loginResponse"]),
            b"",
            agreed.identifiers,
            &mut SystemEntropy,
        )
        .unwrap();
    let finished = node.call(
        "server",
        "finishLogin",
        &agreed.with(json!({
            "serverLoginState": answered["serverLoginState"],
            "finishLoginRequest": encode(&done.ke3),
        })),
    );
    assert_eq!(
        done.session_key.expose(),
        &decode(&finished["sessionKey"])[..]
    );
    assert_eq!(done.export_key, export_key);
}
