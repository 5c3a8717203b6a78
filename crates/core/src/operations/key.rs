//! `key`: the keys that a service logs in with. The site stores only their public halves.

use countersign_crypto::certificate::{Certificate, Thumbprint};
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account::{self, ByName};
use super::{Done, Listing, proof};
use crate::access::Role;
use crate::accounts::{KeyCredential, Kind};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::AccountId;
use crate::lockdown::OperationKind;
use crate::store::{Change, KEYS_PER_ACCOUNT};
use crate::text::Label;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    let thumbprint = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    vec![
        Entry::new("key", "add")
            .command_line("service key add")
            .of_kind(OperationKind::Enrols)
            .summary("Adds a key to a service. Its other keys stay valid.")
            .allow(&admin)
            .changes()
            .public_key()
            .rest(RestMethod::Post, "/services/{name}/keys")
            .example(json!({ "name": "mailer", "certificate": "-----BEGIN CERTIFICATE-----\n…" }))
            .handler(add),
        Entry::new("key", "list")
            .command_line("service key list")
            .summary("Lists the keys of a service, oldest first.")
            .allow(&admin)
            .allow_own(&[Role::Service])
            .rest(RestMethod::Get, "/services/{name}/keys")
            .example(json!({ "name": "mailer" }))
            .handler(list),
        Entry::new("key", "revoke")
            .command_line("service key revoke")
            .summary("Removes a key from a service and cuts the sessions that were opened with it.")
            .allow(&admin)
            .disruptive()
            .rest(RestMethod::Delete, "/services/{name}/keys/{thumbprint}")
            .example(json!({ "name": "mailer", "thumbprint": thumbprint }))
            .handler(revoke),
    ]
}

/// A new key for a service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// The name of the service.
    #[schemars(with = "String")]
    name: AccountName,
    /// The certificate of the key, in PEM (the `.pub` file of `key new`).
    certificate: String,
    /// A label for the key.
    #[serde(default)]
    label: Label,
}

/// A key of a service.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServiceKeyView")]
pub(super) struct KeyView {
    /// The SHA-256 of the certificate, in hexadecimal.
    thumbprint: String,
    /// The key's label; may be empty.
    label: String,
    /// When the key was added.
    added: Timestamp,
}

impl From<KeyCredential> for KeyView {
    fn from(key: KeyCredential) -> Self {
        Self {
            thumbprint: key.thumbprint.to_string(),
            label: key.label,
            added: key.added,
        }
    }
}

/// Reads the certificate of a new key.
pub(super) fn read(
    context: &Context,
    account: AccountId,
    pem: &str,
    label: Label,
) -> Result<KeyCredential, Refusal> {
    let certificate =
        Certificate::from_pem(pem).map_err(|error| Refusal::invalid("certificate", error))?;
    Ok(KeyCredential {
        account,
        thumbprint: certificate.thumbprint(),
        certificate: certificate.der().to_vec(),
        agreement: certificate.agreement(),
        label: label.into_string(),
        added: context.now(),
    })
}

async fn add(context: Context, params: Add) -> Result<Answer<KeyView>, Refusal> {
    let account = account::find(&context, Kind::Service, &params.name).await?;
    let key = read(&context, account.id, &params.certificate, params.label)?;
    if context.site().store().keys_of(account.id).await?.len() >= KEYS_PER_ACCOUNT {
        return Err(Refusal::conflict(
            format!("{} has {KEYS_PER_ACCOUNT} keys already", account.name),
            "revoke a key that is no longer used",
        ));
    }
    proof::consume(&context, account.id)?;
    let details = json!({ "thumbprint": key.thumbprint.to_string(), "label": key.label });
    let target = account.name.to_string();
    context
        .commit(vec![Change::InsertKey(key.clone())], target, details)
        .await?;
    let output = format!("Added the key {} to {}.", key.thumbprint, account.name);
    Ok(Answer::new(key.into()).with_output(output))
}

async fn list(context: Context, params: ByName) -> Result<Answer<Listing<KeyView>>, Refusal> {
    let account = account::find(&context, Kind::Service, &params.name).await?;
    let keys = context.site().store().keys_of(account.id).await?;
    let listing = Listing {
        entries: keys.into_iter().map(KeyView::from).collect(),
        next: None,
    };
    let text = listing.lines(|key| format!("{}  {}  {}", key.thumbprint, key.added, key.label));
    Ok(Answer::new(listing).with_output(text))
}

/// Names the key to revoke.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Revoke {
    /// The name of the service.
    #[schemars(with = "String")]
    name: AccountName,
    /// The key's thumbprint, in hexadecimal.
    #[schemars(with = "String")]
    thumbprint: Thumbprint,
}

async fn revoke(context: Context, params: Revoke) -> Result<Answer<Done>, Refusal> {
    let account = account::find(&context, Kind::Service, &params.name).await?;
    proof::consume(&context, account.id)?;
    let thumbprint = params.thumbprint;
    let change = Change::DeleteKey {
        account: account.id,
        thumbprint,
    };
    let target = account.name.to_string();
    let details = json!({ "thumbprint": thumbprint.to_string() });
    context
        .commit(change, target, details)
        .await
        .map_err(|refusal| refusal.of_field("thumbprint"))?;
    Ok(Answer::new(Done {}).with_output(format!("Revoked the key {thumbprint}.")))
}
