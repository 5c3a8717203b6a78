//! `broker`: the site's id and keys in its role as broker between applications.

mod foreign;
mod key;
mod ticket;

use countersign_crypto::party::PartyPublic;
use countersign_crypto::rsa::{RsaKey, RsaKeyError};
use countersign_crypto::secret::SecretText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NoParams;
use crate::access::Role;
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::site_key::V1Key;

/// The maximum number of v1 keys that the site stores, the newest included. Messages sealed to an
/// older key can no longer be opened.
const MAX_V1_KEYS: usize = 4;
/// The previous v1 keys that stay valid by default: applications know the newest of them.
const KEPT_V1_KEYS: usize = 1;

pub(super) fn entries() -> Vec<Entry> {
    let mut entries = vec![
        Entry::new("broker", "show")
            .summary("Shows the site's id and public keys, which applications need.")
            .allow(&Role::ALL)
            .rest(RestMethod::Get, "/broker")
            .handler(show),
        Entry::new("broker", "new_v1_key")
            .summary("Adds an RSA key for applications of edition `serveros-v1`: a new one, or the given one.")
            .allow(&[Role::Admin])
            .computes()
            .changes()
            .rest(RestMethod::Post, "/broker/v1-key")
            .example(json!({ "keep": 1 }))
            .handler(new_v1_key),
    ];
    entries.extend(key::entries());
    entries.extend(ticket::entries());
    entries.extend(foreign::entries());
    entries
}

/// The broker's public identity.
#[derive(Debug, Serialize, JsonSchema)]
struct BrokerView {
    /// The broker's id: the site's zone.
    id: String,
    /// The broker's newest public key of edition `v2`, in PEM.
    public_key: String,
    /// All of the broker's public keys of edition `v2`, in PEM, newest first. Applications need all.
    public_keys: Vec<String>,
    /// The broker's public keys of edition `serveros-v1`, in PEM, newest first; empty until one is
    /// created.
    v1_public_keys: Vec<String>,
}

fn view(context: &Context) -> Result<BrokerView, Refusal> {
    let opened = context.site().expect_unsealed()?;
    let keys = &opened.broker;
    let party = keys.party().map(|key| key.public().to_pem());
    Ok(BrokerView {
        id: keys.id().to_owned(),
        public_key: party.unwrap_or_default(),
        public_keys: keys.parties().iter().map(PartyPublic::to_pem).collect(),
        v1_public_keys: keys.v1_public(),
    })
}

async fn show(context: Context, _: NoParams) -> Result<Answer<BrokerView>, Refusal> {
    let view = view(&context)?;
    let keys = view.public_keys.iter().chain(&view.v1_public_keys);
    let output = keys
        .map(|pem| pem.trim_end())
        .collect::<Vec<_>>()
        .join("\n");
    Ok(Answer::new(view).with_output(output))
}

/// A new key of edition v1.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewV1Key {
    /// An existing private key in PEM, to migrate from another master: unencrypted RSA of 2,048 to
    /// 8,192 bits, as PKCS #8 or PKCS #1. Without it the site generates a key. Accepted at the
    /// admin socket only, because an attacker who knows the key can pose as the site.
    private_key: Option<String>,
    /// How many previous keys to keep, so that applications can change over: 0 to 3, default 1.
    /// After a theft of the key, use 0.
    #[serde(default = "kept_v1_keys")]
    keep: usize,
}

const fn kept_v1_keys() -> usize {
    KEPT_V1_KEYS
}

async fn new_v1_key(context: Context, params: NewV1Key) -> Result<Answer<BrokerView>, Refusal> {
    if params.keep >= MAX_V1_KEYS {
        return Err(Refusal::invalid("keep", "must be at most 3"));
    }
    if params.private_key.is_some() && !context.caller().channel.is_local() {
        return Err(Refusal::not_permitted(
            "a private key cannot be given over a session",
            "give the key at the site's admin socket, or leave `private_key` out to have the site generate one",
        )
        .of_field("private_key"));
    }
    let site = context.site();
    site.expect_unsealed()?;
    let private = match params.private_key {
        Some(pem) => SecretText::from(pem),
        None => RsaKey::generate().map_err(|error| Refusal::internal(error.to_string()))?,
    };
    let key = RsaKey::from_pem(&private);
    let key = key.map_err(|error: RsaKeyError| Refusal::invalid("private_key", error))?;
    let (keep, added) = (params.keep, context.now());
    let change = site.change_broker_keys(|_, keys| {
        keys.v1.truncate(keep);
        keys.v1.insert(0, V1Key { private, added });
        Ok(())
    })?;
    let fingerprint = data_encoding::HEXLOWER.encode(&key.public().thumbprint());
    let details = json!({ "fingerprint": fingerprint, "kept": params.keep });
    context.commit(change, None, details).await?;
    let output =
        format!("Applications of edition serveros-v1 use the key {fingerprint} from now on.");
    Ok(Answer::new(view(&context)?).with_output(output))
}
