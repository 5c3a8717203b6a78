//! Hostile input, one fault each, with the stage that refuses it.

use countersign_crypto::device_key::DeviceKeyError;
use countersign_crypto::sign::BadSignature;
use countersign_proto::enrolment::server::{AwaitingRequest, RequestRefused, RequestStep};
use countersign_proto::enrolment::{BadProof, BadRequest};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{EXPORTER, identities, request};

/// Where a request is refused. All but the last two cost the site no public-key work.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// It has no line end within the bytes that are read.
    TooLong,
    /// It ends without a line end.
    Closed,
    /// The line is not JSON of the right members.
    Json,
    /// The id is no name.
    Id,
    /// The key is none of a device.
    Key(DeviceKeyError),
    /// The signature is another.
    Proof,
}

/// Where these bytes are refused; `None` if they are not.
fn stage(bytes: &[u8]) -> Option<Stage> {
    let request = match AwaitingRequest::new().receive(bytes) {
        Ok(RequestStep::Request(request)) => request,
        Ok(RequestStep::More(_)) => return Some(Stage::Closed),
        Ok(RequestStep::Registration(_) | RequestStep::KeyEvents(..)) => {
            panic!("each line enrols a device, or is refused")
        }
        Err(RequestRefused::TooLong | RequestRefused::Malformed(BadRequest::TooLong)) => {
            return Some(Stage::TooLong);
        }
        Err(RequestRefused::Malformed(BadRequest::Id(_))) => return Some(Stage::Id),
        Err(_) => return Some(Stage::Json),
    };
    match request.verify(&EXPORTER) {
        Ok(_) => None,
        Err(BadProof::Key(error)) => Some(Stage::Key(error)),
        Err(BadProof::Signature(BadSignature)) => Some(Stage::Proof),
        Err(BadProof::NotEd25519) => panic!("a device may have a P-256 key"),
    }
}

/// The members of a good request.
fn good() -> Value {
    let line = request(&identities()[1]).to_line();
    serde_json::from_slice(line.expose()).unwrap()
}

fn text(bytes: &[u8]) -> Value {
    BASE64URL_NOPAD.encode(bytes).into()
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD
        .decode(value.as_str().unwrap().as_bytes())
        .unwrap()
}

/// The good request with one member changed.
fn with(name: &str, value: Value) -> String {
    let mut request = good();
    request[name] = value;
    format!("{request}\n")
}

/// The good request with a change of its text.
fn changed(change: impl Fn(String) -> String) -> String {
    change(format!("{}\n", good()))
}

/// The good request with a change of a member's bytes.
fn member(name: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    let mut content = bytes(&good()[name]);
    change(&mut content);
    with(name, text(&content))
}

// DEV-9, DEV-10, DEV-11, DEV-12
#[test]
fn each_hostile_request_is_refused_at_its_stage() {
    assert_eq!(
        stage(with("device", json!("another phone")).as_bytes()),
        None
    );
    let x25519 = |key: &mut Vec<u8>| {
        *key = [
            &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0][..],
            &[9; 32],
        ]
        .concat();
    };
    let compressed = |key: &mut Vec<u8>| {
        key.truncate(26 + 33);
        (key[1], key[24], key[26]) = (0x39, 0x22, 3);
    };
    let cases: Vec<(&str, String, Stage)> = vec![
        // The line.
        ("nothing but a line end", "\n".to_owned(), Stage::Json),
        (
            "no line end",
            changed(|line| line.replace('\n', "")),
            Stage::Closed,
        ),
        (
            "8,192 bytes without a line end",
            "a".repeat(8_192),
            Stage::TooLong,
        ),
        (
            "a line of 8,193 bytes",
            changed(|line| format!("{}{line}", " ".repeat(8_193 - line.len()))),
            Stage::TooLong,
        ),
        ("a TLS record", "\u{16}\u{3}\u{1}\n".to_owned(), Stage::Json),
        (
            "an HTTP request",
            "GET / HTTP/1.1\r\n".to_owned(),
            Stage::Json,
        ),
        (
            "deep nesting",
            format!("{}\n", "[".repeat(8_000)),
            Stage::Json,
        ),
        (
            "a byte order mark",
            changed(|line| format!("\u{feff}{line}")),
            Stage::Json,
        ),
        (
            "two objects",
            changed(|line| line.replace('\n', "{}\n")),
            Stage::Json,
        ),
        (
            "an array of the members' values",
            changed(|line| {
                let value: Value = serde_json::from_str(&line).unwrap();
                let names = ["token", "id", "key", "device", "proof"];
                format!("{}\n", json!(names.map(|name| value[name].clone())))
            }),
            Stage::Json,
        ),
        // Members.
        ("a member more", with("role", json!("admin")), Stage::Json),
        (
            "a member twice",
            changed(|line| line.replacen('{', "{\"id\":\"bob@example.org\",", 1)),
            Stage::Json,
        ),
        (
            "a member less",
            changed(|line| line.replacen("\"device\":\"Ada's phone\",", "", 1)),
            Stage::Json,
        ),
        (
            "a member of another type",
            with("id", json!(["ada"])),
            Stage::Json,
        ),
        ("a null", with("proof", Value::Null), Stage::Json),
        // The token.
        (
            "a token of 15 bytes",
            with("token", text(&[2; 15])),
            Stage::Json,
        ),
        (
            "a token of 17 bytes",
            with("token", text(&[2; 17])),
            Stage::Json,
        ),
        (
            "a token in other base64",
            with("token", json!("+/+/+/+/+/+/+/+/+/+/+w")),
            Stage::Json,
        ),
        (
            "a token with padding",
            with("token", json!("AgICAgICAgICAgICAgICAg==")),
            Stage::Json,
        ),
        (
            "a token with bits behind it",
            with("token", json!("AgICAgICAgICAgICAgICAh")),
            Stage::Json,
        ),
        ("another token", with("token", text(&[3; 16])), Stage::Proof),
        // The id.
        ("no id", with("id", json!("")), Stage::Id),
        (
            "an id with a NUL",
            with("id", json!("ada\0@example.org")),
            Stage::Id,
        ),
        (
            "an id of two lines",
            with("id", json!("ada\n@example.org")),
            Stage::Id,
        ),
        (
            "an id of 65 characters",
            with("id", json!(format!("{}@example.org", "a".repeat(65)))),
            Stage::Id,
        ),
        // A Cyrillic letter.
        (
            "an id that looks like another",
            with("id", json!("\u{430}da@example.org")),
            Stage::Id,
        ),
        (
            "another's id",
            with("id", json!("bob@example.org")),
            Stage::Proof,
        ),
        // The name.
        (
            "a name that clears the screen",
            with("device", json!("\u{1b}[2J")),
            Stage::Json,
        ),
        (
            "a name written backwards",
            with("device", json!("\u{202e}enohp")),
            Stage::Json,
        ),
        (
            "a name of 65 characters",
            with("device", json!("a".repeat(65))),
            Stage::Json,
        ),
        // The key.
        (
            "no key",
            with("key", json!("")),
            Stage::Key(DeviceKeyError::NotSpki),
        ),
        (
            "a key of 513 bytes",
            with("key", text(&[0x30; 513])),
            Stage::Json,
        ),
        (
            "a key with a byte behind it",
            member("key", |key| key.push(0)),
            Stage::Key(DeviceKeyError::NotSpki),
        ),
        (
            "a point off the curve",
            member("key", |key| key[90] ^= 1),
            Stage::Key(DeviceKeyError::BadPoint),
        ),
        (
            "a compressed point",
            member("key", compressed),
            Stage::Key(DeviceKeyError::NotCanonical),
        ),
        (
            "a key of another curve",
            member("key", |key| key[22] = 6),
            Stage::Key(DeviceKeyError::Unsupported),
        ),
        (
            "a key that cannot sign",
            member("key", x25519),
            Stage::Key(DeviceKeyError::Unsupported),
        ),
        // The proof.
        ("no proof", with("proof", json!("")), Stage::Proof),
        (
            "a proof of 73 bytes",
            with("proof", text(&[0x30; 73])),
            Stage::Json,
        ),
        (
            "a proof that lacks a byte",
            member("proof", |proof| {
                let whole = proof.len();
                proof.truncate(whole - 1);
            }),
            Stage::Proof,
        ),
        (
            "a proof of zeros",
            with("proof", text(&[0x30, 6, 2, 1, 0, 2, 1, 0])),
            Stage::Proof,
        ),
    ];
    assert!(cases.len() >= 25);
    for (what, line, expected) in cases {
        assert_eq!(stage(line.as_bytes()), Some(expected), "{what}");
    }
}

/// JSON is text in UTF-8.
// DEV-9
#[test]
fn bytes_that_are_no_text_are_refused_as_json() {
    let mut line = with("device", json!("phone_"));
    let at = line.find('_').unwrap();
    let mut line = std::mem::take(&mut line).into_bytes();
    for byte in [0xff, 0xc0, 0x80, 0] {
        line[at] = byte;
        assert_eq!(stage(&line), Some(Stage::Json), "{byte}");
    }
}
