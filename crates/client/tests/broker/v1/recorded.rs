//! What stands for Serveros in these tests says what Serveros was recorded to say.

use http::Uri;
use serde_json::{Value, json};

use super::node::{self, Node};
use super::world::pem;

const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/flows");

fn step<'a>(flow: &'a Value, kind: &str) -> &'a Value {
    let steps = flow["steps"].as_array().unwrap();
    steps.iter().rfind(|step| step["kind"] == kind).unwrap()
}

/// Says what was recorded, and gives status and body.
async fn say(to: &Uri, step: &Value) -> (u64, String) {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_answers_byte_for_byte_and_the_master_opens_what_was_asked() {
    if !node::is_here() {
        return;
    }
    let mut tried = 0;
    for file in std::fs::read_dir(FLOWS).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("ok-") {
            continue;
        }
        let flow: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let config = |role: &str, key: &str, now: &Value| {
            let lists = &flow["config"][role];
            json!({ "role": role, "now": now, "key": pem(key), "master": pem("master.pub"),
                    "ciphers": lists["ciphers"], "hashes": lists["hashes"] })
        };
        let presented = step(&flow, "ticketPresentation");
        let acknowledged = &presented["decoded"]["response"]["ackPlaintext"];
        let acknowledged: Value = match acknowledged.as_str() {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => acknowledged.clone(),
        };
        let provider = config("provider", "provider.key", &acknowledged["ts"]);
        let (_provider, to) = Node::serve(&provider);
        assert_eq!(say(&to, presented).await, recorded(presented), "{name}");
        let signed = step(&flow, "hawkRequest");
        assert_eq!(say(&to, signed).await, recorded(signed), "{name}");

        let asked = step(&flow, "authRequest");
        let mut master = config("master", "master.key", &asked["atMs"]);
        let mut registry = flow["config"]["registry"].clone();
        for (id, entry) in registry.as_object_mut().unwrap() {
            let key = entry["publicKey"].as_str().unwrap();
            entry["publicKey"] = pem(key.trim_end_matches(".pem")).into();
            entry["id"] = id.as_str().into();
        }
        master["registry"] = registry;
        let (_master, to) = Node::serve(&master);
        let (status, answer) = say(&to, asked).await;
        assert_eq!(status, 200, "{name}: {answer}");
        // The answers differ in what is drawn alone, and so hardly in length.
        assert!(
            answer.len().abs_diff(recorded(asked).1.len()) < 50,
            "{name}"
        );
        tried += 1;
    }
    assert_eq!(tried, 8);
}
