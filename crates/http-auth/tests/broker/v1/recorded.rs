//! Replays recorded dialogs of Serveros against our provider and against the test script that
//! stands for Serveros.

use countersign_http_auth::{Provider, V1Site};
use http::Uri;
use serde_json::{Value, json};

use super::super::wire::serve;
use super::node::{self, Node};
use super::world::{application, pem, public, routes};

const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/flows");

fn step<'a>(flow: &'a Value, kind: &str) -> &'a Value {
    let steps = flow["steps"].as_array().unwrap();
    steps.iter().rfind(|step| step["kind"] == kind).unwrap()
}

/// Sends a recorded request and returns status and body.
async fn send(to: &Uri, step: &Value) -> (u64, String) {
    let request = &step["request"];
    let method = request["method"].as_str().unwrap().parse().unwrap();
    let address = to.to_string();
    let address = address.trim_end_matches('/').to_owned() + request["path"].as_str().unwrap();
    let mut saying = reqwest::Client::new().request(method, address);
    for field in request["headers"].as_array().unwrap() {
        let (name, value) = (field[0].as_str().unwrap(), field[1].as_str().unwrap());
        if ["host", "authorization", "content-type"].contains(&&*name.to_lowercase()) {
            saying = saying.header(name, value);
        }
    }
    if let Some(body) = request["body"].as_str() {
        saying = saying.body(body.to_owned());
    }
    let answer = saying.send().await.unwrap();
    (
        answer.status().as_u16().into(),
        answer.text().await.unwrap(),
    )
}

fn recorded(step: &Value) -> (u64, String) {
    let response = &step["response"];
    let body = response["body"].as_str().unwrap().to_owned();
    (response["status"].as_u64().unwrap(), body)
}

fn flows() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(FLOWS).unwrap();
    let flows = files.map(|file| {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let flow = serde_json::from_slice(&std::fs::read(&file).unwrap());
        (name, flow.unwrap())
    });
    let flows: Vec<(String, Value)> = flows.filter(|(name, _)| name.starts_with("ok-")).collect();
    assert_eq!(flows.len(), 8);
    flows
}

/// The time of the recorded acknowledgement, the only variable part of it.
fn acknowledged(flow: &Value) -> u64 {
    let decoded = &step(flow, "ticketPresentation")["decoded"]["response"];
    let nonces: Value = serde_json::from_str(decoded["ackPlaintext"].as_str().unwrap()).unwrap();
    nonces["ts"].as_u64().unwrap()
}

// BRK-20 BRK-26 BRK-27
#[tokio::test]
async fn our_provider_responds_byte_for_byte_as_recorded() {
    for (name, flow) in flows() {
        let now = acknowledged(&flow);
        let site = V1Site {
            url: Uri::from_static("http://127.0.0.1"),
            keys: vec![public("master")],
        };
        let provider = Provider::builder(application("Application B", "provider"), site);
        // It started two minutes before.
        let began = std::sync::atomic::AtomicBool::new(false);
        let clock = move || match began.swap(true, std::sync::atomic::Ordering::Relaxed) {
            false => now - 120_000,
            true => now,
        };
        let served = serve(routes(&provider.clock(clock).build())).await;
        let presented = step(&flow, "ticketPresentation");
        let (status, body) = send(&served.url("/"), presented).await;
        if name.ends_with("sha1") {
            assert_eq!(status, 490, "{name}");
            continue;
        }
        assert_eq!((status, body), recorded(presented), "{name}");
        let mut signed = step(&flow, "hawkRequest").clone();
        // It is accepted, and this service has no such path.
        assert_eq!(send(&served.url("/"), &signed).await.0, 404, "{name}");
        signed["request"]["path"] = "/test?x=2".into();
        assert_eq!(send(&served.url("/"), &signed).await.0, 401, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_serveros_script_responds_as_recorded() {
    if !node::is_here() {
        return;
    }
    for (name, flow) in flows() {
        let config = |role: &str, now: u64| {
            let lists = &flow["config"][role];
            json!({ "role": role, "now": now, "key": pem(&format!("{role}.key")),
                    "master": pem("master.pub"), "ciphers": lists["ciphers"], "hashes": lists["hashes"] })
        };
        let (_provider, to) = Node::serve(&config("provider", acknowledged(&flow)));
        for kind in ["ticketPresentation", "hawkRequest"] {
            let step = step(&flow, kind);
            assert_eq!(send(&to, step).await, recorded(step), "{name}");
        }

        let asked = step(&flow, "authRequest");
        let mut master = config("master", asked["atMs"].as_u64().unwrap());
        let mut registry = flow["config"]["registry"].clone();
        for (id, entry) in registry.as_object_mut().unwrap() {
            let key = entry["publicKey"].as_str().unwrap();
            entry["publicKey"] = pem(key.trim_end_matches(".pem")).into();
            entry["id"] = id.as_str().into();
        }
        master["registry"] = registry;
        let (_master, to) = Node::serve(&master);
        let (status, answer) = send(&to, asked).await;
        assert_eq!(status, 200, "{name}: {answer}");
        // The responses differ only in random values, and so hardly in length.
        let length = recorded(asked).1.len();
        assert!(answer.len().abs_diff(length) < 50, "{name}");
    }
}
