//! Recordings of the reference implementation, and parties registered as there.

use std::fs;

use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_proto::broker::v1::consumer::V1Consumer;
use countersign_proto::broker::v1::provider::V1Provider;
use countersign_proto::broker::v1::site::{V1Application, V1Site};
use serde_json::Value;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros");

pub(super) const A: &str = "Application A";
pub(super) const B: &str = "Application B";
pub(super) const HOUR: u64 = 3_600_000;

pub(super) fn file(name: &str) -> Value {
    let text = fs::read_to_string(format!("{FILES}/{name}")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All recorded dialogs, by name.
pub(super) fn flows() -> Vec<(String, Value)> {
    let mut flows: Vec<_> = fs::read_dir(format!("{FILES}/flows"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| (name.clone(), file(&format!("flows/{name}"))))
        .collect();
    flows.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(flows.len(), 10);
    flows
}

pub(super) fn key(party: &str) -> RsaKey {
    let pem = fs::read_to_string(format!("{FILES}/keys/{party}.key.pem")).unwrap();
    RsaKey::from_pem(&pem.into()).unwrap()
}

pub(super) fn public(party: &str) -> RsaPublicKey {
    let pem = fs::read_to_string(format!("{FILES}/keys/{party}.pub.pem")).unwrap();
    RsaPublicKey::from_pem(&pem).unwrap()
}

/// The supported names of a recorded list.
pub(super) fn ciphers(list: &Value) -> Vec<Cipher> {
    names(list).filter_map(|name| name.parse().ok()).collect()
}

pub(super) fn hashes(list: &Value) -> Vec<RsaHash> {
    names(list).filter_map(|name| name.parse().ok()).collect()
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    let list = list.as_array().unwrap();
    list.iter().map(|name| name.as_str().unwrap())
}

/// Adds SHA-256 to the recorded hashes, since this crate does not sign with SHA-1.
pub(super) fn with_sha256(mut hashes: Vec<RsaHash>) -> Vec<RsaHash> {
    if !hashes.contains(&RsaHash::Sha256) {
        hashes.push(RsaHash::Sha256);
    }
    hashes
}

pub(super) fn master(of: &Value) -> V1Site {
    V1Site {
        keys: vec![key("master")],
        ciphers: ciphers(&of["ciphers"]),
        hashes: hashes(&of["hashes"]),
    }
}

pub(super) fn application(id: &str, party: &str, of: &Value) -> V1Application {
    V1Application {
        id: id.to_owned(),
        keys: vec![public(party)],
        hashes: hashes(&of["hashes"]),
        ciphers: ciphers(&of["ciphers"]),
        keys_last: HOUR,
        auth_data: serde_json::value::to_raw_value(&of["authData"]).ok(),
    }
}

pub(super) fn consumer(of: &Value) -> V1Consumer {
    V1Consumer {
        id: A.to_owned(),
        keys: vec![key("consumer")],
        site_keys: vec![public("master")],
        ciphers: ciphers(&of["ciphers"]),
        hashes: with_sha256(hashes(&of["hashes"])),
    }
}

pub(super) fn provider(of: &Value) -> V1Provider {
    V1Provider {
        id: B.to_owned(),
        keys: vec![key("provider")],
        site_keys: vec![public("master")],
        ciphers: ciphers(&of["ciphers"]),
        hashes: hashes(&of["hashes"]),
    }
}

/// The parameter `authRequest` of a recorded request.
pub(super) fn auth_request(step: &Value) -> Option<String> {
    let path = step["request"]["path"].as_str().unwrap();
    let (_, encoded) = path.split_once("authRequest=")?;
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let [first, after @ ..] = rest {
        (bytes, rest) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                (bytes, after)
            }
            _ => {
                bytes.push(*first);
                (bytes, after)
            }
        };
    }
    Some(String::from_utf8(bytes).unwrap())
}

pub(super) fn at(step: &Value) -> u64 {
    step["atMs"].as_u64().unwrap()
}

pub(super) fn body(of: &Value) -> &str {
    of["body"].as_str().unwrap_or_default()
}

/// Parses JSON that was recorded as text.
pub(super) fn json(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// Entropy that returns the recorded values first, and fresh bytes afterwards.
pub(super) struct Drawn(Vec<Vec<u8>>);

impl Drawn {
    /// The first nonce.
    pub(super) fn nonce(nonce: &Value) -> Self {
        Self(vec![(nonce.as_u64().unwrap() - 1).to_le_bytes().to_vec()])
    }

    /// The bytes after it.
    pub(super) fn then(mut self, bytes: Vec<u8>) -> Self {
        self.0.push(bytes);
        self
    }
}

impl Entropy for Drawn {
    fn fill(&mut self, out: &mut [u8]) {
        match self.0.is_empty() {
            true => SystemEntropy.fill(out),
            false => out.copy_from_slice(&self.0.remove(0)),
        }
    }
}
