//! `person dump` and `person load`: export a person as JSON and import it again.
//!
//! A dump made at the admin socket contains the credential, so that the person can log in as before
//! once it is loaded. A dump made over a session does not: a record and the server setup together
//! allow offline guessing of the pass phrase, and the site has no control over a record that left
//! it. A user of the admin socket has access to the database anyway.
//!
//! A dump carries a digest, with which any site detects damage, and a MAC, with which the site that
//! made it recognises it ([`format`]). Over a session the site loads a credential only if this MAC
//! is valid: an admin who could choose the credential id could test guesses of another account's
//! pass phrase.

mod format;

use countersign_crypto::certificate::Certificate;
use countersign_crypto::passphrase::SetupId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use self::format::{Dump, DumpedCredential, DumpedPerson, Format, Origin, Version, altered, read};
use super::super::account::{self, AccountView, ByName};
use super::super::delivered::DumpedKey;
use super::data;
use crate::access::{Channel, Role};
use crate::accounts::{Account, CredentialId, Kind, PASSPHRASE_VERSION, PassphraseCredential};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::AccountId;
use crate::lockdown::OperationKind;
use crate::store::Change;

/// The label of the key under which the site authenticates dumps.
const MAC_LABEL: &str = "person dump";

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("person", "dump")
            .summary(
                "Exports a person so that it can be loaded again. The export contains the credential at the \
                admin socket only.",
            )
            .allow(&admin)
            .changes()
            .public_key()
            .rest(RestMethod::Post, "/persons/{name}/dump")
            .example(json!({ "name": "maria" }))
            .handler(dump),
        Entry::new("person", "load")
            .of_kind(OperationKind::Enrols)
            .summary("Imports a dumped person.")
            .allow(&admin)
            .changes()
            .public_key()
            .rest_creates("/person-dumps", "/persons/{name}")
            .example(json!({ "dump": "{ \"format\": \"countersign person\", … }" }))
            .handler(load),
    ]
}

async fn dump(context: Context, params: ByName) -> Result<Answer<Dump>, Refusal> {
    let account = account::find(&context, Kind::Person, &params.name).await?;
    let (account, stored) = data::of(&context, account.id).await?;
    let store = context.site().store();
    let (credential, delivered) = match context.caller().channel {
        Channel::AdminSocket => (
            store.passphrase(account.id).await?,
            store.delivered_key(account.id).await?,
        ),
        Channel::Session
        | Channel::Device
        | Channel::Peer
        | Channel::Http
        | Channel::Application
        | Channel::Init
        | Channel::Site => (None, None),
    };
    let target = account.name.to_string();
    let details = json!({
        "credential": credential.is_some(),
        "delivered_key": delivered.is_some(),
    });
    context.commit(Vec::new(), target, details).await?;
    let credential = credential.map(DumpedCredential::try_from).transpose()?;
    let dump = Dump {
        format: Format::Person,
        version: Version::NOW,
        person: DumpedPerson::from(account),
        data: stored,
        credential,
        delivered_key: delivered.map(DumpedKey::from),
        check: None,
    };
    let key = context.site().expect_unsealed()?.root.mac_key(MAC_LABEL);
    Ok(Answer::new(dump.checked(&key)?))
}

/// A dump to load.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Load {
    /// The dump as text, so that an error can name the line and column. A byte order mark before it
    /// is ignored.
    dump: String,
    /// Whether the pass phrase in the dump is left out, as for the dump of another site, which no
    /// other site can use, and the delivered key, which is encrypted under it. The person then needs new
    /// ones.
    #[serde(default)]
    without_passphrase: bool,
}

async fn load(context: Context, params: Load) -> Result<Answer<AccountView>, Refusal> {
    let mut dump = read(&params.dump)?;
    let key = context.site().expect_unsealed()?.root.mac_key(MAC_LABEL);
    let origin = dump.verify(&key)?;
    let person = dump.person;
    let account = Account {
        id: AccountId::new(context.now(), &mut context.site().entropy()),
        name: context.site().qualified_name(person.name),
        kind: Kind::Person,
        role: person.role.into(),
        full_name: person.full_name.into_string(),
        email: person.email.into_string(),
        state: person.state,
        revision: 1,
        created: person.created,
        changed: context.now(),
    };
    let data = data::check(&account, dump.data).map_err(|refusal| {
        let field = refusal.field().unwrap_or_default().to_owned();
        refusal.of_field(&format!("dump.data.{field}"))
    })?;
    let mut left_out = Vec::new();
    if params.without_passphrase {
        let credential = dump.credential.take().map(|_| "the pass phrase");
        let delivered = dump.delivered_key.take().map(|_| "the delivered key");
        left_out.extend(credential.into_iter().chain(delivered));
    }
    let credential = dump
        .credential
        .map(|credential| credential.of(&context, &account, origin))
        .transpose()?;
    let delivered = dump
        .delivered_key
        .map(|key| key.of(account.id, "dump.delivered_key"))
        .transpose()?;
    let details = json!({
        "id": account.id,
        "role": account.role,
        "state": account.state,
        "credential": credential.is_some(),
        "delivered_key": delivered.is_some(),
    });
    let mut changes = vec![Change::InsertAccount(account.clone())];
    if !data.is_empty() {
        changes.push(Change::PutPersonData {
            account: account.id,
            data: Box::new(data),
        });
    }
    changes.extend(credential.map(Change::PutPassphrase));
    changes.extend(delivered.map(Change::PutDeliveredKey));
    let target = account.name.to_string();
    context
        .commit(changes, target, details)
        .await
        .map_err(|refusal| match refusal.field() {
            Some("name") => refusal
                .with_hint("rename or delete the account that has it; the dump has the name")
                .of_field("dump.person.name"),
            Some("credential_id") => refusal.of_field("dump.credential.credential_id"),
            _ => refusal,
        })?;
    let mut output = format!("Loaded {}.", account.name);
    if !left_out.is_empty() {
        output.push_str(&format!(" Left out: {}.", left_out.join(" and ")));
    }
    Ok(Answer::new(AccountView::of(&context, account)).with_output(output))
}

impl DumpedCredential {
    fn of(
        self,
        context: &Context,
        account: &Account,
        origin: Origin,
    ) -> Result<PassphraseCredential, Refusal> {
        let field = |name: &str| format!("dump.credential.{name}");
        let opened = context.site().expect_unsealed()?;
        let setup = <[u8; 8]>::try_from(self.setup.0).map(SetupId::from_bytes);
        let ours = setup.ok().filter(|setup| opened.setup_of(*setup).is_some());
        let Some(setup) = ours else {
            return Err(Refusal::invalid(
                field("setup"),
                "the record was made with another site's server setup and cannot be used here; \
                load the dump without the pass phrase and set a new one",
            ));
        };
        match origin {
            Origin::ThisSite => {}
            // The record belongs to this site's setup, so a valid digest without a valid MAC shows
            // a change.
            Origin::Elsewhere { checked: true } => return Err(altered()),
            Origin::Elsewhere { checked: false } if !context.caller().channel.is_local() => {
                return Err(Refusal::not_permitted(
                    "over a session a credential can only be loaded from an unchanged dump that this site made",
                    "load the dump at the admin socket, or load it without the pass phrase and set a new one",
                )
                .of_field("dump.check"));
            }
            Origin::Elsewhere { checked: false } => {}
        }
        let credential_id = <[u8; 16]>::try_from(self.credential_id.0)
            .map_err(|_| Refusal::invalid(field("credential_id"), "it must have 16 bytes"))?;
        let certificate = self
            .certificate
            .map(|pem| Certificate::from_pem(&pem))
            .transpose()
            .map_err(|error| Refusal::invalid(field("certificate"), error))?;
        Ok(PassphraseCredential {
            account: account.id,
            version: PASSPHRASE_VERSION,
            suite: self.suite,
            setup,
            credential_id: CredentialId(credential_id),
            record: self.record.0.0,
            sealed_identity: self.sealed_identity.0.0,
            certificate: certificate.map(|certificate| certificate.der().to_vec()),
            changed: self.changed,
        })
    }
}
