//! Computes the derived values of a dialog from `docs/protocol/broker.md`.

use countersign_crypto::hash::sha256;
use countersign_crypto::kdf::derive;
use countersign_crypto::mac::{MacHash, MacKey};
use countersign_crypto::one_time::OneTimeKey;
use countersign_crypto::sealing::hybrid::HybridKey;
use countersign_crypto::secret::Secret;
use countersign_crypto::sign::Signature;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::Value;

use super::{Member, TicketFile};
use crate::dialogs::form::Named;

/// All derived values.
pub(super) fn explain(file: &TicketFile) -> Vec<Named> {
    let inputs = &file.inputs;
    let mut derived = Vec::new();
    for (name, member) in [
        ("site", &inputs.site),
        ("consumer", &inputs.consumer),
        ("provider", &inputs.provider),
    ] {
        let name = format!("fingerprint of the {name}");
        derived.push(Named::new(&name, sha256(&member.public_keys.0)));
    }
    let response = if file.is_symmetric() {
        json(file.text("auth response"))
    } else {
        let request = json(file.text("auth request"));
        let names = ("auth request", &inputs.consumer, &inputs.site);
        open(file, names, &request, &mut derived);
        let response = json(file.text("auth response"));
        let names = ("auth response", &inputs.site, &inputs.consumer);
        open(file, names, &response, &mut derived)
    };
    let presentation = json(file.text("ticket presentation"));
    let sealed = &presentation["ticket"];
    assert_eq!(*sealed, response["ticket"]);
    let (ticket, received_ticket) = match file.is_symmetric() {
        true => open_symmetric(file, sealed, &mut derived),
        false => {
            let names = ("auth ticket", &inputs.site, &inputs.provider);
            let ticket = open(file, names, sealed, &mut derived);
            let parts = ["sealed", "signature"].map(|part| sha256(&bytes(&sealed[part])));
            (ticket, parts.concat())
        }
    };
    for member in [
        "id",
        "secret",
        "serverNonce",
        "requesterNonce",
        "oneTimeCredentials",
    ] {
        assert_eq!(ticket[member], response[member]);
    }

    let once = &ticket["oneTimeCredentials"];
    let id = bytes(&presentation["id"]);
    let opened = |name: &str,
                  label: &str,
                  iv: &Value,
                  associated_data: &[u8],
                  sealed: &[u8],
                  derived: &mut Vec<Named>| {
        let key = derive::<32>(&bytes(&once["key"]), label, &bytes(iv));
        derived.push(Named::new(&format!("key of the {name}"), key.expose()));
        derived.push(Named::new(
            &format!("associated data of the {name}"),
            associated_data,
        ));
        let text = OneTimeKey::new(&key).open(associated_data, sealed).unwrap();
        derived.push(Named::new(&format!("{name}, opened"), text.expose()));
        serde_json::from_slice::<Value>(text.expose()).unwrap()
    };
    let associated_data = sha256(&received_ticket);
    let object = opened(
        "ID object",
        "broker id object",
        &once["iv"],
        &associated_data,
        &id,
        &mut derived,
    );
    let associated_data = sha256(&[received_ticket, id].concat());
    let sealed = bytes(&json(file.text("acknowledgement"))["message"]);
    let label = "broker acknowledgement";
    let acknowledged = opened(
        "acknowledgement",
        label,
        &object["iv"],
        &associated_data,
        &sealed,
        &mut derived,
    );

    // The consumer's first draw for the presentation is the seed of the ephemeral key.
    let drawn = file.entropy.consumer.iter();
    let mut drawn = drawn.filter(|drawn| drawn.name.starts_with("ticket presentation"));
    let seed = drawn.next().unwrap().bytes.array();
    let ephemeral = HybridKey::from_seed(Secret::from_bytes(seed));
    assert_eq!(
        ephemeral.public().as_bytes()[..],
        bytes(&object["ephemeral"])
    );
    let shared = ephemeral
        .decapsulate(&bytes(&acknowledged["encapsulated"]))
        .unwrap();
    derived.push(Named::new("secret for the ephemeral key", shared.expose()));
    let secrets = [&bytes(&ticket["secret"]), &shared.expose()[..]].concat();
    let all = sha256(&[&associated_data[..], &sealed].concat());
    let secret = derive::<32>(&secrets, "broker shared secret", &all);
    derived.push(Named::new("shared secret", secret.expose()));
    let base = signature_base(&json(file.text("signed request")), secret.expose());
    derived.push(Named::new("signature base of the request", base));
    derived
}

/// The signature base (RFC 9421, section 2.5) of a request. Verifies the request's signature.
fn signature_base(request: &Value, secret: &[u8; 32]) -> String {
    let text = |name: &str| request[name].as_str().unwrap();
    let digest = BASE64.encode(&sha256(text("content").as_bytes()));
    assert_eq!(text("content-digest"), format!("sha-256=:{digest}:"));
    let parameters = text("signature-input")
        .strip_prefix("countersign=")
        .unwrap();
    let base = format!(
        "\"@method\": {}\n\"@authority\": {}\n\"@request-target\": {}\n\"content-digest\": {}\n\
         \"@signature-params\": {parameters}",
        text("method"),
        text("authority"),
        text("target"),
        text("content-digest"),
    );
    let code = MacKey::new(MacHash::Sha256, secret).authenticate(base.as_bytes());
    let code = BASE64.encode(&code);
    assert_eq!(text("signature"), format!("countersign=:{code}:"));
    base
}

/// Verifies and opens a sealed message.
fn open(
    file: &TicketFile,
    (name, from, to): (&str, &Member, &Member),
    message: &Value,
    derived: &mut Vec<Named>,
) -> Value {
    let mut info = b"countersign broker 2\0".to_vec();
    let names = [
        message["type"].as_str().unwrap(),
        &from.id,
        &to.id,
        &file.inputs.suite,
    ];
    names.iter().for_each(|part| lp(&mut info, part));
    info.extend(sha256(&from.public_keys.0));
    info.extend(sha256(&to.public_keys.0));
    if let Some(header) = message.get("header") {
        info.extend(bytes(&header["id"]));
        info.extend(header["expires"].as_u64().unwrap().to_be_bytes());
    }
    let sealed = bytes(&message["sealed"]);
    let signed = [b"countersign broker 2 signature\0", &info[..], &sealed].concat();
    let signature = Signature(bytes(&message["signature"]).try_into().unwrap());
    let verified = from.key().public().signing.verify(&signed, &signature);
    assert_eq!(verified, Ok(()));
    let text = to.key().open(file.inputs.suite(), &info, &sealed).unwrap();
    derived.push(Named::new(&format!("info of the {name}"), &info));
    derived.push(Named::new(&format!("{name}, opened"), text.expose()));
    serde_json::from_slice(text.expose()).unwrap()
}

/// Opens a ticket of the symmetric path. Returns it, and the hashes that represent it in later
/// transcripts.
fn open_symmetric(file: &TicketFile, ticket: &Value, derived: &mut Vec<Named>) -> (Value, Vec<u8>) {
    let secret = &file.inputs.ticket_key.as_ref().unwrap().0;
    let name = derive::<8>(secret, "broker ticket key name", &[]);
    assert_eq!(name.expose()[..], bytes(&ticket["key"]));
    let mut info = b"countersign broker 2 fast ticket\0".to_vec();
    for part in ["from", "to"] {
        lp(&mut info, ticket[part].as_str().unwrap());
    }
    info.extend_from_slice(name.expose());
    info.extend(bytes(&ticket["salt"]));
    let key = derive::<32>(secret, "broker fast ticket", &bytes(&ticket["salt"]));
    let sealed = bytes(&ticket["sealed"]);
    let text = OneTimeKey::new(&key).open(&info, &sealed).unwrap();
    derived.push(Named::new("name of the ticket key", name.expose()));
    derived.push(Named::new("info of the auth ticket", &info));
    derived.push(Named::new("key of the auth ticket", key.expose()));
    derived.push(Named::new("auth ticket, opened", text.expose()));
    let received_ticket = [sha256(&info), sha256(&sealed)].concat();
    (
        serde_json::from_slice(text.expose()).unwrap(),
        received_ticket,
    )
}

fn lp(info: &mut Vec<u8>, part: &str) {
    info.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
    info.extend_from_slice(part.as_bytes());
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD
        .decode(value.as_str().unwrap().as_bytes())
        .unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
