//! Delivered keys: with the encryption option `delivered-key` a site sends a person's certificate
//! and encrypted private key to any client that names the person.

use countersign_crypto::certificate::Certificate;
use countersign_crypto::key_file::DeliveredKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account::{self, ByName};
use super::subject::{Named, Own, Subject};
use super::{Done, NoParams, condition, proof};
use crate::access::Role;
use crate::accounts::{Account, DeliveredKeyCredential, Kind};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::AccountId;
use crate::lockdown::OperationKind;
use crate::store::Change;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let (admin, persons) = ([Role::Admin], [Role::Admin, Role::Member]);
    let example = json!({
        "certificate": "-----BEGIN CERTIFICATE-----\n…",
        "key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\n…",
    });
    let mut of_maria = example.clone();
    if let Some(params) = of_maria.as_object_mut() {
        params.insert("name".to_owned(), "maria".into());
    }
    vec![
        Entry::new("person", "deliver_key")
            .of_kind(OperationKind::Enrols)
            .summary(
                "Stores a person's certificate and encrypted key for the option delivered-key. Cuts the \
                person's sessions that were opened with the previous key.",
            )
            .allow(&admin)
            .disruptive()
            .public_key()
            .rest(RestMethod::Put, "/persons/{name}/delivered-key")
            .example(of_maria)
            .handler(deliver::<Named>),
        Entry::new("person", "withdraw_key")
            .for_programs()
            .summary("Removes a person's delivered key and cuts the sessions that were opened with it.")
            .allow(&admin)
            .disruptive()
            .rest(RestMethod::Delete, "/persons/{name}/delivered-key")
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByName| async move {
                let account = account::find(&context, Kind::Person, &params.name).await?;
                withdraw(&context, account).await
            }),
        Entry::new("self", "deliver_key")
            .for_programs()
            .summary(
                "Stores your certificate and encrypted key for the option delivered-key; needs a fresh proof. \
                Cuts your other sessions that were opened with the previous key.",
            )
            .allow_own(&persons)
            .changes()
            .public_key()
            .no_rest("it needs a fresh proof, which is bound to a session")
            .example(example)
            .handler(deliver::<Own>),
        Entry::new("self", "withdraw_key")
            .for_programs()
            .summary("Removes your delivered key and cuts your other sessions that were opened with it; needs a fresh proof.")
            .allow_own(&persons)
            .changes()
            .no_rest("it needs a fresh proof, which is bound to a session")
            .handler(|context, _: NoParams| async move {
                let account = account::own(&context).await?;
                withdraw(&context, account).await
            }),
    ]
}

/// A key to deliver.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = W::adapt_schema)]
struct Deliver<W: Subject> {
    /// The person's name.
    name: W,
    /// The certificate, in PEM.
    certificate: String,
    /// The encrypted private key, in PEM: the key file that `key new` writes with a pass phrase.
    key: String,
}

/// The key that is delivered from now on.
#[derive(Debug, Serialize, JsonSchema)]
struct Delivered {
    /// The SHA-256 of the certificate, in hexadecimal.
    thumbprint: String,
}

async fn deliver<W: Subject>(
    context: Context,
    params: Deliver<W>,
) -> Result<Answer<Delivered>, Refusal> {
    let context = &context;
    let account = params.name.account(context).await?;
    if account.kind != Kind::Person {
        return Err(Refusal::not_permitted(
            "a service has no delivered key",
            "services log in with a key; see `key add NAME --public-key FILE`",
        ));
    }
    let passphrase = context.site().store().passphrase(account.id).await?;
    proof::require(context, account.id)?;
    let key = read(&params.certificate, &params.key)
        .map_err(|(field, error)| Refusal::invalid(field, error))?;
    let thumbprint = key.certificate().thumbprint().to_string();
    let details = json!({ "thumbprint": thumbprint });
    let credential = DeliveredKeyCredential {
        account: account.id,
        key,
        changed: context.now(),
    };
    proof::consume(context, account.id)?;
    // A new pass phrase deletes the key that the old one opens, and one that comes at that moment must not stay.
    let changes = vec![
        condition::unchanged_account(&account, passphrase.as_ref()),
        Change::PutDeliveredKey(credential),
    ];
    context
        .commit(changes, account.name.to_string(), details)
        .await?;
    let output = format!(
        "WARNING: while delivered-key is enabled, any client that names {} gets this key and can guess its \
        pass phrase offline.",
        account.name
    );
    Ok(Answer::new(Delivered { thumbprint }).with_output(output))
}

async fn withdraw(context: &Context, account: Account) -> Result<Answer<Done>, Refusal> {
    proof::consume(context, account.id)?;
    let change = Change::DeleteDeliveredKey(account.id);
    context
        .commit(vec![change], account.name.to_string(), json!({}))
        .await?;
    Ok(Answer::new(Done {}).with_output(format!(
        "The site no longer delivers a key for {}.",
        account.name
    )))
}

/// The delivered key in the dump of a person.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DumpedKey {
    /// The certificate, in PEM.
    certificate: String,
    /// The encrypted private key, in PEM.
    key: String,
    /// When the key was stored.
    changed: Timestamp,
}

impl From<DeliveredKeyCredential> for DumpedKey {
    fn from(credential: DeliveredKeyCredential) -> Self {
        Self {
            certificate: credential.key.certificate().to_pem(),
            key: credential.key.encrypted_key_pem(),
            changed: credential.changed,
        }
    }
}

impl DumpedKey {
    /// Makes the credential of this account. An error names the field under `path`.
    pub(super) fn of(
        self,
        account: AccountId,
        path: &str,
    ) -> Result<DeliveredKeyCredential, Refusal> {
        Ok(DeliveredKeyCredential {
            account,
            key: read(&self.certificate, &self.key)
                .map_err(|(field, error)| Refusal::invalid(format!("{path}.{field}"), error))?,
            changed: self.changed,
        })
    }
}

/// Reads a certificate and its encrypted key.
///
/// # Errors
/// The field that is wrong, and the problem.
fn read(certificate: &str, key: &str) -> Result<DeliveredKey, (&'static str, String)> {
    let certificate =
        Certificate::from_pem(certificate).map_err(|error| ("certificate", error.to_string()))?;
    DeliveredKey::from_key_file(&certificate, key).map_err(|error| ("key", error.to_string()))
}
