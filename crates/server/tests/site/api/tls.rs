//! HTTP over TLS, with the certificates of the site and of an operator, and devices as callers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use countersign_crypto::device_key::DeviceIdentity;
use countersign_net::tls::{Connector, TlsStream};
use countersign_server::{HttpTls, Server, StartError};
use countersign_testkit::harness::{ServedSite, TestDevice, TestSite, time};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Program;

/// The site with a second HTTP listener, which has TLS.
struct Secured {
    served: ServedSite,
    server: Server,
}

impl Secured {
    async fn with(tls: HttpTls) -> Self {
        let served = TestSite::builder().maria().serve().await;
        let server = Server::builder(served.site.clone())
            .http(Some("127.0.0.1:0".parse().unwrap()))
            .http_tls(tls)
            .start()
            .await
            .unwrap();
        Self { served, server }
    }

    fn address(&self) -> SocketAddr {
        self.server.http_address().unwrap()
    }

    async fn connect(&self, device: Option<&Arc<DeviceIdentity>>) -> TlsStream<TcpStream> {
        let site = self.served.site.public_key().signing;
        let connector = Connector::new(site, device.cloned()).unwrap();
        let socket = TcpStream::connect(self.address()).await.unwrap();
        connector.connect(socket).await.unwrap()
    }

    /// What curl returns for a path.
    async fn curl(&self, arguments: &[&str], path: &str) -> Output {
        let port = self.address().port();
        let mut program = Command::new("curl");
        program
            .args(["-sS", "--max-time", "60", "--resolve"])
            .arg(format!("localhost:{port}:127.0.0.1"))
            .args(arguments)
            .arg(format!("https://localhost:{port}{path}"));
        let run = tokio::task::spawn_blocking(move || program.output().unwrap());
        run.await.unwrap()
    }

    async fn status(&self) -> Value {
        let status = self.served.admin("site.status", json!({})).await;
        status["listen"]["http_tls"].clone()
    }
}

/// A certificate for `localhost` and its key, as an operator makes them.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let [certificate, key] = ["pem", "key"].map(|end| folder.join(format!("{name}.{end}")));
    let mut program = Command::new("openssl");
    program
        .args(["req", "-x509", "-nodes", "-newkey", "ec", "-days", "7"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=test"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    let made = program.output().unwrap();
    assert!(made.status.success(), "{made:?}");
    (certificate, key)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sends a request and reads the response, which has a length.
async fn call(stream: &mut TlsStream<TcpStream>, path: &str, fields: &str) -> (u16, Value) {
    let request = format!("GET /api/v1{path} HTTP/1.1\r\nhost: site.example\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    (head[9..12].parse().unwrap(), body)
}

#[tokio::test]
async fn curl_calls_the_api_with_the_certificate_of_an_operator() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path(), "own");
    let files = HttpTls::Files {
        certificate: certificate.clone(),
        key,
    };
    let secured = Secured::with(files).await;
    let program = Program::robot(&secured.served, &["self.show"]).await;
    let field = format!("authorization: Bearer {}", program.token);
    let own = certificate.to_str().unwrap();
    for (version, expected) in [("--http1.1", "1.1 200"), ("--http2", "2 200")] {
        let show = "%{http_version} %{http_code}";
        let arguments = [
            version,
            "--cacert",
            own,
            "-H",
            &field,
            "-o",
            "/dev/null",
            "-w",
            show,
        ];
        let output = secured.curl(&arguments, "/api/v1/self").await;
        assert_eq!(text(&output), expected, "{output:?}");
    }
    let arguments = ["--cacert", own, "-D", "-", "-o", "/dev/null"];
    let head = text(&secured.curl(&arguments, "/api/v1/docs").await);
    assert!(
        head.contains("strict-transport-security: max-age=31536000"),
        "{head}"
    );
    // TLS 1.2 gets no connection.
    let old = secured
        .curl(&["--cacert", own, "--tls-max", "1.2"], "/clock")
        .await;
    assert!(!old.status.success());
    assert_eq!(secured.status().await["certificate"], "files");
}

/// Between the writes of a certificate and its key, and after a mistake, the old pair stays in use.
#[tokio::test]
async fn a_changed_certificate_is_used_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (own, own_key) = certificate(folder.path(), "own");
    let kept = folder.path().join("first.pem");
    std::fs::copy(&own, &kept).unwrap();
    let (second, second_key) = certificate(folder.path(), "second");
    let files = HttpTls::Files {
        certificate: own.clone(),
        key: own_key.clone(),
    };
    let secured = Secured::with(files).await;
    let calls = async |ca: &Path| {
        // The files are looked at once a second.
        time::pass(Duration::from_secs(2)).await;
        let arguments = ["--cacert", ca.to_str().unwrap(), "-o", "/dev/null"];
        secured
            .curl(&arguments, "/api/v1/docs")
            .await
            .status
            .success()
    };
    assert!(calls(&kept).await && !calls(&second).await);
    std::fs::copy(&second, &own).unwrap();
    assert!(calls(&kept).await, "the key is still that of the first one");
    let problem = secured.status().await["problem"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(problem.contains("own.pem"), "{problem}");
    std::fs::write(&own_key, "no key").unwrap();
    assert!(calls(&kept).await);
    std::fs::copy(&second_key, &own_key).unwrap();
    assert!(calls(&second).await && !calls(&kept).await);
    assert_eq!(secured.status().await["problem"], Value::Null);
    std::fs::remove_file(&own_key).unwrap();
    assert!(calls(&second).await);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_keeps_the_server_from_starting() {
    let served = TestSite::builder().serve().await;
    let missing = HttpTls::Files {
        certificate: "/nonexistent/own.pem".into(),
        key: "/nonexistent/own.key".into(),
    };
    let http = Some("127.0.0.1:0".parse().unwrap());
    let server = Server::builder(served.site.clone())
        .http(http)
        .http_tls(missing);
    let refused = server.start().await.err();
    assert!(matches!(refused, Some(StartError::Certificate(_))));
}

/// A token that a client sends there can be read on its way.
#[tokio::test]
async fn a_listener_for_other_machines_needs_tls_or_a_proxy() {
    let served = TestSite::builder().serve().await;
    let everywhere = Some("0.0.0.0:0".parse().unwrap());
    let server = || Server::builder(served.site.clone()).http(everywhere);
    let refused = server().start().await.err();
    assert!(matches!(refused, Some(StartError::NoTls { .. })));
    let here = countersign_server::Proxies {
        addresses: vec!["127.0.0.1".parse().unwrap()],
        trust_forwarded: false,
    };
    assert!(server().proxies(here).start().await.is_err());
    let elsewhere = countersign_server::Proxies {
        addresses: vec!["192.0.2.1".parse().unwrap()],
        trust_forwarded: false,
    };
    assert!(server().proxies(elsewhere).start().await.is_ok());
    assert!(server().http_tls(HttpTls::Site).start().await.is_ok());
}

#[tokio::test]
async fn a_client_pins_the_certificate_of_the_site_key() {
    let secured = Secured::with(HttpTls::Site).await;
    let status = secured.status().await;
    let pin = status["pin"].as_str().unwrap();
    let arguments = [
        "-k",
        "--pinnedpubkey",
        pin,
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
    ];
    assert_eq!(text(&secured.curl(&arguments, "/api/v1/docs").await), "200");
    let other = format!("sha256//{}=", "A".repeat(43));
    let arguments = ["-k", "--pinnedpubkey", &other, "-o", "/dev/null"];
    assert!(
        !secured
            .curl(&arguments, "/api/v1/docs")
            .await
            .status
            .success()
    );
    // A sealed site has no key to prove.
    secured.served.admin("site.seal", json!({})).await;
    let sealed = secured.curl(&["-k"], "/api/v1/docs").await;
    assert!(!sealed.status.success());
    secured.served.unseal().await;
    assert!(secured.curl(&["-k"], "/api/v1/docs").await.status.success());
}

/// A phone of the admin `maria`.
async fn phone(secured: &Secured) -> Arc<DeviceIdentity> {
    secured.served.takes_enrolments();
    let device = TestDevice::new();
    let ticket = secured.served.ticket("maria").await;
    let (site, now) = (&secured.served.site, secured.served.now());
    let enrolled = device
        .enrol(site, &ticket.token, "maria@example.org", now)
        .await;
    assert!(enrolled.is_ok());
    Arc::new(device.identity)
}

#[tokio::test]
async fn a_device_calls_the_api_with_its_key_and_has_no_rights_of_a_role() {
    let secured = Secured::with(HttpTls::Site).await;
    let phone = phone(&secured).await;
    let mut stream = secured.connect(Some(&phone)).await;
    let (status, own) = call(&mut stream, "/self", "").await;
    assert_eq!((status, &own["name"]), (200, &json!("maria@example.org")));
    // Not offered to devices, and for others than the own account.
    for path in ["/persons", "/tokens", "/audit/entries", "/lockdown"] {
        let (status, problem) = call(&mut stream, path, "").await;
        assert!(matches!(status, 403 | 404), "{path}: {problem}");
    }
    let (status, listed) = call(&mut stream, "/devices", "").await;
    assert_eq!(
        (status, listed["entries"].as_array().unwrap().len()),
        (200, 1)
    );
    let token = Program::robot(&secured.served, &["self.show"]).await.token;
    let both = format!("authorization: Bearer {token}\r\n");
    let (status, problem) = call(&mut stream, "/self", &both).await;
    assert_eq!((status, &problem["field"]), (400, &json!("authorization")));
    // A page in a browser that has the key.
    for field in [
        "origin: https://page.example",
        "origin: null",
        "sec-fetch-site: cross-site",
    ] {
        let (status, problem) = call(&mut stream, "/self", &format!("{field}\r\n")).await;
        assert_eq!((status, &problem["code"]), (403, &json!("sent_by_a_page")));
    }
    // Another key, and none.
    let other = Arc::new(TestDevice::new().identity);
    let mut unknown = secured.connect(Some(&other)).await;
    assert_eq!(call(&mut unknown, "/self", "").await.0, 401);
    let mut none = secured.connect(None).await;
    assert_eq!(call(&mut none, "/self", "").await.0, 401);
    assert_eq!(call(&mut none, "/self", &both).await.0, 200);
}

#[tokio::test]
async fn a_device_that_is_revoked_is_refused_on_its_open_connections() {
    let secured = Secured::with(HttpTls::Site).await;
    let phone = phone(&secured).await;
    let mut stream = secured.connect(Some(&phone)).await;
    assert_eq!(call(&mut stream, "/self", "").await.0, 200);
    let mut events = secured.connect(Some(&phone)).await;
    let request = "GET /api/v1/events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
    events.write_all(request.as_bytes()).await.unwrap();
    events.flush().await.unwrap();
    let mut begin = [0; 12];
    events.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    time::until(async || secured.served.site.events().streams() == 1).await;
    // Events for admins are not for their devices.
    secured
        .served
        .admin("person.create", json!({ "name": "bob" }))
        .await;
    secured
        .served
        .admin("lockdown.person", json!({ "name": "bob" }))
        .await;
    let listed = secured.served.admin("device.list", json!({})).await;
    let id = listed["entries"][0]["id"].clone();
    secured
        .served
        .admin("device.revoke", json!({ "id": id }))
        .await;
    let mut rest = String::new();
    while !rest.contains("key_revoked") {
        rest.push(char::from(events.read_u8().await.unwrap()));
    }
    assert!(!rest.contains("lockdown.imposed"), "{rest}");
    assert_eq!(call(&mut stream, "/self", "").await.0, 401);
    let mut again = secured.connect(Some(&phone)).await;
    assert_eq!(call(&mut again, "/self", "").await.0, 401);
}

#[tokio::test]
async fn a_device_of_a_locked_person_is_refused_on_its_open_connections() {
    let secured = Secured::with(HttpTls::Site).await;
    let phone = phone(&secured).await;
    let mut stream = secured.connect(Some(&phone)).await;
    assert_eq!(call(&mut stream, "/self", "").await.0, 200);
    secured
        .served
        .admin("person.create", json!({ "name": "op", "role": "admin" }))
        .await;
    secured
        .served
        .admin("person.lock", json!({ "name": "maria" }))
        .await;
    assert_eq!(call(&mut stream, "/self", "").await.0, 401);
    secured
        .served
        .admin("person.unlock", json!({ "name": "maria" }))
        .await;
    assert_eq!(call(&mut stream, "/self", "").await.0, 200);
    secured
        .served
        .admin("lockdown.person", json!({ "name": "maria" }))
        .await;
    let (status, problem) = call(&mut stream, "/self", "").await;
    assert_eq!((status, &problem["code"]), (503, &json!("lockdown")));
}

/// A client that sends HTTP where TLS is expected, or half a handshake, gets no answer.
#[tokio::test]
async fn a_handshake_that_is_malformed_or_late_ends_the_connection() {
    let secured = Secured::with(HttpTls::Site).await;
    let mut plain = TcpStream::connect(secured.address()).await.unwrap();
    let request = b"GET /api/v1/self HTTP/1.1\r\nhost: a\r\n\r\n";
    plain.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    let mut silent = TcpStream::connect(secured.address()).await.unwrap();
    silent.write_all(&[22, 3, 1]).await.unwrap();
    let reading = async {
        let mut answer = Vec::new();
        let _ = silent.read_to_end(&mut answer).await;
    };
    let waiting = async {
        time::settle().await;
        for _ in 0..40 {
            time::pass(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        () = waiting => {}
    }
}
