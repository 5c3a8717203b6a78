//! A device connection by WebSocket, with the client library `websockets` of Python.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::tls_certificate;
use countersign_testkit::harness::python::interpreter;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Devices;

/// A Python interpreter that has the library. The first run needs the package index.
fn python() -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("websockets");
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site/python");
    interpreter(&to, &site.join("web_socket_requirements.txt"))
}

// DEV-48
#[tokio::test]
async fn a_library_of_python_is_a_device_by_web_socket() {
    let devices = Devices::new().await;
    let phone = Arc::new(DeviceIdentity::generate(&mut SystemEntropy));
    let ticket = devices.ticket().await;
    let reply = devices.enrol(ticket.token(), &phone).await.unwrap();
    let path = |name: &str| devices.served.folder().join(name);
    std::fs::write(path("key.pem"), phone.to_pem().expose()).unwrap();
    let certificate = tls_certificate::of_device(&phone);
    let base64 = data_encoding::BASE64_MIME.encode(&certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}-----END CERTIFICATE-----\n");
    std::fs::write(path("certificate.pem"), pem).unwrap();
    let address = devices.server.device_address().unwrap();
    let client =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site/python/web_socket_client.py");
    let mut process = Command::new(python())
        .arg(client)
        .args([address.ip().to_string(), address.port().to_string()])
        .args([path("certificate.pem"), path("key.pem")])
        .arg("ada%40example.org")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let (sender, mut arrived) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .for_each(|line| drop(sender.send(line)));
    });
    let mut next = async || -> Value {
        let line = arrived.recv().await.expect("the client ended");
        serde_json::from_str(&line).unwrap()
    };
    let first = next().await;
    assert_eq!(first["subprotocol"], "countersign.device.1");
    assert_eq!(first["welcome"]["welcome"]["line_bytes"], 1 << 20);
    assert_eq!(next().await, json!({ "ids": [1, 2], "codes": [0, 0] }));
    assert_eq!(next().await, json!({ "binary": 1003 }));
    assert_eq!(next().await, json!({ "long": 1009 }));
    assert_eq!(next().await, json!({ "malformed": 1002 }));
    assert_eq!(next().await, json!({ "ready": true }));
    let revoke = json!({ "id": reply.device() });
    devices.served.admin("device.revoke", revoke).await;
    assert_eq!(next().await, json!({ "revoked": 1008 }));
    assert_eq!(next().await, json!({ "again": false }));
    assert!(process.wait().unwrap().success());
}
