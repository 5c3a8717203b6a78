//! Recorded dialogs, with our consumer, site or provider in the place of the recorded one.

use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::broker::v1::V1Refusal;
use countersign_proto::broker::v1::consumer::{
    ResponseAction, V1Consumer, V1IssuedTicket, V1PendingRequest,
};
use data_encoding::BASE64;
use serde_json::Value;

use super::recorded::{
    A, B, Drawn, HOUR, application, at, auth_request, body, consumer, flows, json, master,
    provider, public,
};

fn steps<'a>(flow: &'a Value, kind: &str) -> Vec<&'a Value> {
    let steps = flow["steps"].as_array().unwrap();
    steps.iter().filter(|step| step["kind"] == kind).collect()
}

/// Our consumer with the nonce of a recorded request.
fn asked(consumer: &V1Consumer, step: &Value) -> V1PendingRequest {
    let plain = json(&step["decoded"]["request"]["plaintext"]);
    let mut drawn = Drawn::nonce(&plain["nonce"]);
    consumer.ask(B, at(step), &mut drawn).unwrap().0
}

fn granted(
    consumer: &V1Consumer,
    asked: V1PendingRequest,
    body: &str,
    now: u64,
) -> Box<V1IssuedTicket> {
    let answered = consumer.read_response(asked, 200, body.as_bytes(), now, &mut SystemEntropy);
    match answered.unwrap() {
        ResponseAction::Granted(granted) => granted,
        ResponseAction::Again(..) => panic!("asked again"),
    }
}

// [BRK-26]
#[test]
fn the_site_accepts_recorded_requests_and_its_responses_are_accepted() {
    for (name, flow) in flows() {
        let config = &flow["config"];
        let site = master(&config["master"]);
        let first = application(A, "consumer", &config["registry"][A]);
        let second = application(B, "provider", &config["registry"][B]);
        for step in steps(&flow, "authRequest") {
            let now = at(step);
            let request = auth_request(step).unwrap();
            let status = step["response"]["status"].as_u64().unwrap();
            let verified = site
                .open(&request)
                .and_then(|opened| opened.verify(&site, Some(&first), &public("consumer2"), now));
            let verified = match verified {
                Ok(verified) => verified,
                Err(refusal) => {
                    assert_eq!(u64::from(refusal.status()), status, "{name}");
                    let recorded: Value = serde_json::from_str(body(&step["response"])).unwrap();
                    let ours: Value = serde_json::from_str(&refusal.body()).unwrap();
                    assert_eq!(ours["message"], recorded["message"], "{name}");
                    // Algorithms that this crate does not know are not supported.
                    let of = |body: &Value| body["additionalInformation"]["requested"].clone();
                    assert_eq!(of(&ours), of(&recorded), "{name}");
                    continue;
                }
            };
            assert_eq!((verified.replay_key().0, verified.requested()), (A, B));
            let answer = verified.answer(&site, &first, Some(&second), now, &mut SystemEntropy);
            if name.contains("sha1") {
                // They support SHA-1 only, which is verified but not used to sign.
                assert_eq!(answer, Err(V1Refusal::NoCommonHash), "{name}");
                continue;
            }
            let answer = serde_json::to_string(&answer.unwrap()).unwrap();
            let ours = consumer(&config["consumer"]);
            let granted = granted(&ours, asked(&ours, step), &answer, now);

            let recorded = json(&step["decoded"]["response"]["plaintext"]);
            let response = granted.response();
            let once = &recorded["oneTimeCredentials"];
            assert_eq!(response.requester, recorded["requester"], "{name}");
            assert_eq!(response.requested, recorded["requested"], "{name}");
            assert_eq!(
                response.requester_nonce, recorded["requesterNonce"],
                "{name}"
            );
            assert_eq!(response.id.len(), recorded["id"].as_str().unwrap().len());
            let length = recorded["secret"].as_str().unwrap().len();
            assert_eq!(response.secret.expose().len(), length);
            assert_eq!(
                response.one_time_credentials.cipher, once["cipher"],
                "{name}"
            );
            let key = response.one_time_credentials.key.expose();
            assert_eq!(key.len(), once["key"].as_str().unwrap().len(), "{name}");
            assert_eq!(response.expires, now + HOUR);
            let (presenting, presentation) = granted.present(now, &mut SystemEntropy).unwrap();
            let mut there = provider(&config["provider"]);
            there.hashes = super::recorded::with_sha256(there.hashes);
            let presented = there.accept(presentation.as_bytes(), now).unwrap();
            let accepted = presented.acknowledge();
            let told = accepted.auth_data.unwrap();
            assert_eq!(told.get(), config["registry"][A]["authData"].to_string());
            let here = presenting
                .read_acknowledgement(200, accepted.answer.as_bytes())
                .unwrap();
            assert_eq!(here.key.expose(), accepted.credentials.key.expose());
            assert_eq!(
                (here.id, here.hash),
                (accepted.credentials.id, accepted.credentials.hash)
            );
            assert_eq!(
                (
                    accepted.credentials.application.as_str(),
                    here.application.as_str()
                ),
                (A, B)
            );
        }
    }
}

#[test]
fn the_consumer_accepts_recorded_responses_and_acknowledgements() {
    let mut through = 0;
    for (name, flow) in flows() {
        let ours = consumer(&flow["config"]["consumer"]);
        let asks = steps(&flow, "authRequest");
        let step = asks.last().unwrap();
        let granted = granted(&ours, asked(&ours, step), body(&step["response"]), at(step));
        let presentations = steps(&flow, "ticketPresentation");
        let step = presentations.last().unwrap();
        let id = json(&step["decoded"]["request"]["idPlaintext"]);
        let iv = BASE64
            .decode(id["iv"].as_str().unwrap().as_bytes())
            .unwrap();
        let mut drawn = Drawn::nonce(&id["finalNonce"]).then(iv);
        let (presenting, _) = granted.present(at(step), &mut drawn).unwrap();
        let shared = presenting
            .read_acknowledgement(200, body(&step["response"]).as_bytes())
            .unwrap();
        let recorded = &flow["consumerCredentials"];
        assert_eq!(shared.application, recorded["application"], "{name}");
        assert_eq!(shared.id, recorded["id"], "{name}");
        assert_eq!(shared.key.expose(), recorded["key"], "{name}");
        assert_eq!(shared.hash.name(), recorded["algorithm"], "{name}");
        assert_eq!(shared.expires, recorded["expires"], "{name}");
        through += 1;
    }
    assert_eq!(through, 10);
}

#[test]
fn the_provider_accepts_recorded_presentations_and_its_acknowledgements_are_accepted() {
    for (name, flow) in flows() {
        let there = provider(&flow["config"]["provider"]);
        for step in steps(&flow, "ticketPresentation") {
            let presented = there.accept(body(&step["request"]).as_bytes(), at(step));
            let accepted = presented.unwrap().acknowledge();
            assert_eq!(accepted.credentials.application, A, "{name}");
            assert_eq!(
                accepted.credentials.key.expose(),
                flow["consumerCredentials"]["key"]
            );
            // The response uses the recorded key and initialisation vector.
            let request = &step["decoded"]["request"];
            let decode = |text: &Value| BASE64.decode(text.as_str().unwrap().as_bytes()).unwrap();
            let cipher: countersign_crypto::legacy::Cipher =
                request["idCipher"].as_str().unwrap().parse().unwrap();
            let answer: Value = serde_json::from_str(&accepted.answer).unwrap();
            let iv = decode(&step["decoded"]["response"]["ackIv"]);
            let text = cipher
                .decrypt(&decode(&request["idKey"]), &iv, &decode(&answer["message"]))
                .unwrap();
            let mut said: Value = serde_json::from_slice(text.expose()).unwrap();
            let mut recorded = json(&step["decoded"]["response"]["ackPlaintext"]);
            assert!(said["ts"].take().is_u64() && recorded["ts"].take().is_u64());
            assert_eq!(said, recorded, "{name}");
        }
    }
}
