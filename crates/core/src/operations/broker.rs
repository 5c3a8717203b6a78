//! `broker`: the site as the party that introduces applications to each other.

use countersign_crypto::rsa::{RsaKey, RsaKeyError};
use countersign_crypto::secret::SecretText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NoParams;
use crate::access::Role;
use crate::engine::{Answer, Context, Entry, Refusal};

/// The most keys for v1 that are kept: older ones open nothing any more.
const MOST_V1_KEYS: usize = 4;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("broker", "show")
            .summary("Shows the site's id and public keys, which applications have to know.")
            .allow(&Role::ALL)
            .handler(show),
        Entry::new("broker", "new_v1_key")
            .summary("Gives the site a new RSA key for applications of `serveros-v1`, or the one that is given.")
            .allow(&[Role::Admin])
            .computes()
            .changes()
            .example(json!({ "keep": 1 }))
            .handler(new_v1_key),
    ]
}

/// What applications have to know of the site.
#[derive(Debug, Serialize, JsonSchema)]
struct BrokerView {
    /// Its id: the zone.
    id: String,
    /// Its public keys of edition `v2`, in PEM.
    public_key: String,
    /// Its public keys of edition `serveros-v1`, in PEM, the newest first; none until one is made.
    v1_public_keys: Vec<String>,
}

fn view(context: &Context) -> Result<BrokerView, Refusal> {
    let opened = context.site().expect_open()?;
    let keys = &opened.broker;
    let party = keys.party().map(|key| key.public().to_pem());
    Ok(BrokerView {
        id: keys.id().to_owned(),
        public_key: party.unwrap_or_default(),
        v1_public_keys: keys.v1_public(),
    })
}

async fn show(context: Context, _: NoParams) -> Result<Answer<BrokerView>, Refusal> {
    let view = view(&context)?;
    let keys = std::iter::once(&view.public_key).chain(&view.v1_public_keys);
    let said = keys
        .map(|pem| pem.trim_end())
        .collect::<Vec<_>>()
        .join("\n");
    Ok(Answer::new(view).saying(said))
}

/// A new key for v1.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewV1Key {
    /// The private key in PEM, of a master that moves here: unencrypted RSA of 2,048 to 8,192 bits, as PKCS #8 or
    /// PKCS #1. Without it a new one is made. Not over a session: an attacker who knows the key can pose as the site.
    private_key: Option<String>,
    /// How many of the keys before stay beside it, so that applications can change over: at most 3.
    #[serde(default)]
    keep: usize,
}

async fn new_v1_key(context: Context, params: NewV1Key) -> Result<Answer<BrokerView>, Refusal> {
    if params.keep >= MOST_V1_KEYS {
        return Err(Refusal::invalid("keep", "at most 3 older keys are kept"));
    }
    if params.private_key.is_some() && !context.caller().channel.is_local() {
        return Err(Refusal::not_permitted(
            "over a session the site makes its key itself",
            "give it a key at its admin socket, or leave private_key out",
        )
        .of_field("private_key"));
    }
    let site = context.site();
    site.expect_open()?;
    let private = match params.private_key {
        Some(pem) => SecretText::from(pem),
        None => RsaKey::generate().map_err(|error| Refusal::internal(error.to_string()))?,
    };
    let key = RsaKey::from_pem(&private);
    let key = key.map_err(|error: RsaKeyError| Refusal::invalid("private_key", error))?;
    let change = site.add_v1_key(private, params.keep, context.now())?;
    let fingerprint = data_encoding::HEXLOWER.encode(&key.public().thumbprint());
    let details = json!({ "fingerprint": fingerprint, "kept": params.keep });
    context.commit(change, None, details).await?;
    let said = format!("Applications of serveros-v1 seal to {fingerprint} from now on.");
    Ok(Answer::new(view(&context)?).saying(said))
}
