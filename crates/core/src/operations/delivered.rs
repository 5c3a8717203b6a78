//! Delivered keys: what a site hands to whoever names a person, with the encryption option `delivered-key`.

use countersign_crypto::certificate::Certificate;
use countersign_crypto::key_file::DeliveredKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account::{self, ByName};
use super::whose::{Named, Own, Whose};
use super::{Done, NoParams, proof};
use crate::access::Role;
use crate::accounts::{Account, DeliveredKeyCredential, Kind};
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::AccountId;
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
            .summary(
                "Keeps a person's certificate and encrypted key, for the option delivered-key. Cuts the \
                 person's sessions that were opened with the one before.",
            )
            .allow(&admin)
            .disruptive()
            .public_key()
            .example(of_maria)
            .handler(deliver::<Named>),
        Entry::new("person", "withdraw_key")
            .summary("Takes a person's delivered key away and cuts the sessions opened with it.")
            .allow(&admin)
            .disruptive()
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByName| async move {
                let account = account::find(&context, Kind::Person, &params.name).await?;
                withdraw(&context, account).await
            }),
        Entry::new("self", "deliver_key")
            .summary(
                "Keeps your certificate and encrypted key, for the option delivered-key; spends a fresh proof. \
                 Cuts your other sessions that were opened with the one before.",
            )
            .allow_own(&persons)
            .changes()
            .public_key()
            .example(example)
            .handler(deliver::<Own>),
        Entry::new("self", "withdraw_key")
            .summary("Takes your delivered key away, which spends a fresh proof; cuts your other sessions opened with it.")
            .allow_own(&persons)
            .changes()
            .handler(|context, _: NoParams| async move {
                let account = account::own(&context).await?;
                withdraw(&context, account).await
            }),
    ]
}

/// A key that is delivered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = W::shape)]
struct Deliver<W: Whose> {
    /// The person.
    name: W,
    /// The certificate, in PEM.
    certificate: String,
    /// The encrypted private key, in PEM: what `key new` makes with a pass phrase.
    key: String,
}

/// What is delivered from now on.
#[derive(Debug, Serialize, JsonSchema)]
struct Delivered {
    /// The SHA-256 of the certificate, in hexadecimal.
    thumbprint: String,
}

async fn deliver<W: Whose>(
    context: Context,
    params: Deliver<W>,
) -> Result<Answer<Delivered>, Refusal> {
    let context = &context;
    let account = params.name.account(context).await?;
    if account.kind != Kind::Person {
        return Err(Refusal::not_permitted(
            "a service has its key itself",
            "services log in with a key; see `key add`",
        ));
    }
    proof::expect(context, account.id)?;
    let key = read(&params.certificate, &params.key)
        .map_err(|(field, error)| Refusal::invalid(field, error))?;
    let thumbprint = key.certificate().thumbprint().to_string();
    let details = json!({ "thumbprint": thumbprint });
    let credential = DeliveredKeyCredential {
        account: account.id,
        key,
        changed: context.now(),
    };
    proof::spend(context, account.id)?;
    let change = Change::PutDeliveredKey(credential);
    context
        .commit(vec![change], account.name.to_string(), details)
        .await?;
    let said = format!(
        "WARNING: while delivered-key is on offer, whoever names {} gets this key and can guess at its \
         pass phrase.",
        account.name
    );
    Ok(Answer::new(Delivered { thumbprint }).saying(said))
}

async fn withdraw(context: &Context, account: Account) -> Result<Answer<Done>, Refusal> {
    proof::spend(context, account.id)?;
    let change = Change::DeleteDeliveredKey(account.id);
    context
        .commit(vec![change], account.name.to_string(), json!({}))
        .await?;
    Ok(Answer::new(Done {}).saying(format!(
        "Nothing is delivered of {} any more.",
        account.name
    )))
}

/// A delivered key in a dump of its person.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DumpedKey {
    /// The certificate, in PEM.
    certificate: String,
    /// The encrypted private key, in PEM.
    key: String,
    /// When it was given.
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
    /// The credential of that account. A fault in it is named by its field under `path`.
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

/// Reads a certificate and the key file that goes with it; the field at fault, and what is wrong.
fn read(certificate: &str, key: &str) -> Result<DeliveredKey, (&'static str, String)> {
    let certificate =
        Certificate::from_pem(certificate).map_err(|error| ("certificate", error.to_string()))?;
    DeliveredKey::from_key_file(&certificate, key).map_err(|error| ("key", error.to_string()))
}
