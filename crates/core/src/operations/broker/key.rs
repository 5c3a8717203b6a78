//! `broker key_new`, `broker key_list` and `broker key_retire`: the site's keys as broker, which
//! overlap while applications change to a new one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::{Done, NoParams};
use crate::access::Role;
use crate::applications::Edition;
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::site_key::{MAX_V2_KEYS, UnsealedKeys, V2Key};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let operation = |command| Entry::new("broker", command).allow(&[Role::Admin]);
    vec![
        operation("key_new")
            .command_line("broker key new")
            .summary("Adds a key of edition `v2`. The site signs with the oldest key until that is retired, and opens requests to any.")
            .changes()
            .public_key()
            .rest(RestMethod::Post, "/broker/keys")
            .handler(new),
        operation("key_list")
            .command_line("broker key list")
            .summary("Lists the site's keys as broker, newest first.")
            .rest(RestMethod::Get, "/broker/keys")
            .handler(list),
        operation("key_retire")
            .command_line("broker key retire")
            .summary("Retires a key of either edition. Applications that know no newer one get no tickets any more.")
            .disruptive()
            .rest(RestMethod::Delete, "/broker/keys/{fingerprint}")
            .example(json!({ "fingerprint": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }))
            .handler(retire),
    ]
}

/// The site's keys as broker.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyList {
    /// The keys, those of edition `v2` first, newest first.
    keys: Vec<BrokerKeyView>,
}

/// A key of the broker.
#[derive(Debug, Serialize, JsonSchema)]
struct BrokerKeyView {
    /// The edition.
    edition: Edition,
    /// The fingerprint, in hexadecimal.
    fingerprint: String,
    /// When it was added.
    added: Timestamp,
    /// Whether the site signs with it whatever a request was sealed to: the oldest key of edition `v2`. In
    /// edition v1 the key that opened a request signs the response.
    signs: bool,
}

impl KeyList {
    fn of(opened: &UnsealedKeys) -> Self {
        let (keys, stored) = (&opened.broker, &opened.stored_broker_keys);
        let view = |edition| {
            move |(fingerprint, added)| BrokerKeyView {
                edition,
                fingerprint,
                added,
                signs: false,
            }
        };
        let v2 = stored.v2.iter().map(|key| key.added);
        let v1 = stored.v1.iter().map(|key| key.added);
        let v2 = keys.v2_fingerprints().zip(v2).map(view(Edition::V2));
        let v1 = keys
            .v1_fingerprints()
            .zip(v1)
            .map(view(Edition::ServerosV1));
        let mut keys: Vec<_> = v2.collect();
        if let Some(oldest) = keys.last_mut() {
            oldest.signs = true;
        }
        keys.extend(v1);
        Self { keys }
    }

    fn text(&self) -> String {
        let line = |key: &BrokerKeyView| {
            let edition = key.edition.as_str();
            let signs = if key.signs { "  signs" } else { "" };
            format!("{}  {edition}  {}{signs}", key.fingerprint, key.added)
        };
        self.keys.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

async fn new(context: Context, _: NoParams) -> Result<Answer<KeyList>, Refusal> {
    let site = context.site();
    let opened = site.expect_unsealed()?;
    if opened.stored_broker_keys.v2.len() >= MAX_V2_KEYS {
        return Err(Refusal::conflict(
            format!("the site has {MAX_V2_KEYS} keys of edition v2 already"),
            "retire the oldest with `broker key_retire FINGERPRINT`",
        ));
    }
    let new = V2Key::generate(context.now(), &mut site.entropy());
    let change = site.change_broker_keys(|_, keys| {
        keys.v2.insert(0, new);
        Ok(())
    })?;
    context.commit(change, None, json!({})).await?;
    let listed = KeyList::of(&*site.expect_unsealed()?);
    let output = listed.text();
    Ok(Answer::new(listed).with_output(output))
}

async fn list(context: Context, _: NoParams) -> Result<Answer<KeyList>, Refusal> {
    let listed = KeyList::of(&*context.site().expect_unsealed()?);
    let output = listed.text();
    Ok(Answer::new(listed).with_output(output))
}

/// The key to retire.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RetiredKey {
    /// Its fingerprint, in hexadecimal.
    fingerprint: String,
}

async fn retire(context: Context, params: RetiredKey) -> Result<Answer<Done>, Refusal> {
    let fingerprint = params.fingerprint;
    let change = context.site().change_broker_keys(|keys, stored| {
        let v2 = keys.v2_fingerprints().position(|of| of == fingerprint);
        let v1 = keys.v1_fingerprints().position(|of| of == fingerprint);
        match (v2, v1) {
            (Some(0), _) | (_, Some(0)) => Err(Refusal::conflict(
                "this is the newest key of its edition",
                "make another one first, with `broker key_new` or `broker new_v1_key`",
            )),
            (Some(at), _) => {
                stored.v2.remove(at);
                Ok(())
            }
            (None, Some(at)) => {
                stored.v1.remove(at);
                Ok(())
            }
            (None, None) => {
                let unknown = Refusal::not_found("key of the broker", &fingerprint);
                Err(unknown.of_field("fingerprint"))
            }
        }
    })?;
    let details = json!({ "fingerprint": fingerprint });
    context.commit(change, None, details).await?;
    Ok(Answer::new(Done {}).with_output(format!("Retired the key {fingerprint}.")))
}
