//! `person dump` and `person load`: export a person as JSON and import it again.
//!
//! A dump made at the admin socket contains the credential, so that the person can log in as before
//! once it is loaded. A dump made over a session does not: a record and the server setup together
//! allow offline guessing of the pass phrase, and the site has no control over a record that left
//! it. A user of the admin socket has access to the database anyway.
//!
//! A dump carries a digest, with which any site detects damage, and a MAC, with which the site that
//! made it recognises it ([`Check`]). Over a session the site loads a credential only if this MAC
//! is valid: an admin who could choose the credential id could test guesses of another account's
//! pass phrase.

use countersign_crypto::certificate::Certificate;
use countersign_crypto::hash::sha256;
use countersign_crypto::mac::MacKey;
use countersign_crypto::passphrase::{PassphraseRecord, SetupId};
use countersign_crypto::sealed_identity::SEALED_IDENTITY_LENGTH;
use countersign_proto::name::AccountName;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::json;

use super::super::account::{self, AccountView, ByName};
use super::super::delivered::DumpedKey;
use super::{PersonRole, data};
use crate::access::{Channel, Role};
use crate::accounts::{
    Account, CredentialId, Kind, PASSPHRASE_VERSION, PassphraseCredential, PassphraseSuite,
    PersonData, State,
};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal, params};
use crate::id::AccountId;
use crate::lockdown::OperationKind;
use crate::store::Change;
use crate::text::{Base64Url, Email, FullName};
use crate::timestamp::Timestamp;

/// The maximum length of a dump that is read, in bytes: about twice the length of a full one.
const MAX_DUMP: usize = 128 * 1024;
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

/// A dumped person.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dump {
    /// Identifies the format.
    format: Format,
    /// The version of the format: 1.
    version: Version,
    /// The account.
    person: DumpedPerson,
    /// The further email addresses, the telephone numbers, the postal address, the language and the attributes;
    /// absent when there are none.
    #[serde(default, skip_serializing_if = "PersonData::is_empty")]
    data: PersonData,
    /// The credential that the person logs in with; absent when there is none, and over a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<DumpedCredential>,
    /// The person's delivered key; absent when there is none, and over a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivered_key: Option<DumpedKey>,
    /// Protects the dump against changes; absent in a dump that was written or changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<Check>,
}

/// Protects a dump against changes. Both values cover the dump without this member, as compact JSON
/// with its members in the order of this page.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Check {
    /// The SHA-256 of the dump, with which any site detects damage.
    sha256: Base64Url,
    /// The HMAC-SHA256 of the dump under a key of the site that made it. Only that site can verify
    /// it.
    mac: Base64Url,
}

/// The verified origin of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// This site made it.
    ThisSite,
    /// Another site made it (`checked`: its digest is valid), or it has no check at all.
    Elsewhere { checked: bool },
}

impl Dump {
    /// Returns the dump with a check.
    fn checked(self, key: &MacKey) -> Result<Self, Refusal> {
        let text = self.text()?;
        let check = Check {
            sha256: Base64Url(sha256(&text).to_vec()),
            mac: Base64Url(key.authenticate(&text)),
        };
        Ok(Self {
            check: Some(check),
            ..self
        })
    }

    /// Verifies the check, if there is one, and removes it.
    fn verify(&mut self, key: &MacKey) -> Result<Origin, Refusal> {
        let Some(check) = self.check.take() else {
            return Ok(Origin::Elsewhere { checked: false });
        };
        let text = self.text()?;
        if check.sha256.0 != sha256(&text) {
            return Err(altered());
        }
        Ok(match key.verify(&text, &check.mac.0) {
            Ok(()) => Origin::ThisSite,
            Err(_) => Origin::Elsewhere { checked: true },
        })
    }

    /// Returns the bytes that the check covers.
    fn text(&self) -> Result<Vec<u8>, Refusal> {
        serde_json::to_vec(self).map_err(|error| Refusal::internal(error.to_string()))
    }
}

fn altered() -> Refusal {
    Refusal::invalid(
        "dump.check",
        "the dump was damaged or changed; load another copy, or, if you changed it yourself, remove `check` \
        from it and load it at the admin socket",
    )
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
enum Format {
    /// An exported person.
    #[serde(rename = "countersign person")]
    Person,
}

/// The version of the format. There is one so far.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
struct Version(u16);

impl Version {
    const NOW: Self = Self(1);
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            1 => Ok(Self::NOW),
            other => Err(D::Error::custom(format_args!(
                "version {other} is not supported; a newer Countersign made this dump"
            ))),
        }
    }
}

/// The account in a dump.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DumpedPerson {
    /// `name@zone`.
    #[schemars(with = "String")]
    name: AccountName,
    /// The full name.
    full_name: FullName,
    /// The email address; may be empty.
    #[schemars(with = "String")]
    email: Email,
    /// The person's role.
    role: PersonRole,
    /// Whether the person may log in.
    state: State,
    /// When the account was created.
    created: Timestamp,
}

/// The credential in a dump.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DumpedCredential {
    /// The OPAQUE suite that the record was made with.
    suite: PassphraseSuite,
    /// The id of the server setup that the record was made with. Only the site that has it can use
    /// the record.
    setup: Base64Url,
    /// The credential identifier that OPAQUE uses for the record.
    credential_id: Base64Url,
    /// The OPAQUE registration record.
    record: Record,
    /// The person's identity, sealed by the person's client.
    sealed_identity: SealedIdentity,
    /// The certificate of that identity, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// When the pass phrase was set.
    changed: Timestamp,
}

/// Bytes that are a valid OPAQUE record.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Record(Base64Url);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Base64Url::deserialize(deserializer)?;
        PassphraseRecord::from_bytes(&bytes.0).map_err(D::Error::custom)?;
        Ok(Self(bytes))
    }
}

impl JsonSchema for Record {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Record".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Base64Url::json_schema(generator)
    }
}

/// A sealed identity: bytes of the one valid length.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct SealedIdentity(Base64Url);

impl<'de> Deserialize<'de> for SealedIdentity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Base64Url::deserialize(deserializer)?;
        if bytes.0.len() == SEALED_IDENTITY_LENGTH {
            Ok(Self(bytes))
        } else {
            Err(D::Error::custom(format_args!(
                "has {} bytes; must have {SEALED_IDENTITY_LENGTH}",
                bytes.0.len()
            )))
        }
    }
}

impl JsonSchema for SealedIdentity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SealedIdentity".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Base64Url::json_schema(generator)
    }
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

impl From<Account> for DumpedPerson {
    fn from(account: Account) -> Self {
        Self {
            name: account.name,
            // The store holds only values that passed this check when they were set.
            full_name: account.full_name.try_into().unwrap_or_default(),
            email: account.email.try_into().unwrap_or_default(),
            role: match account.role {
                Role::Admin => PersonRole::Admin,
                Role::Member | Role::Service => PersonRole::Member,
            },
            state: account.state,
            created: account.created,
        }
    }
}

impl TryFrom<PassphraseCredential> for DumpedCredential {
    type Error = Refusal;

    fn try_from(credential: PassphraseCredential) -> Result<Self, Refusal> {
        let certificate = credential
            .certificate
            .map(|der| Certificate::from_der(&der))
            .transpose()
            .map_err(|error| Refusal::internal(format!("the stored certificate: {error}")))?;
        Ok(Self {
            suite: credential.suite,
            setup: Base64Url(credential.setup.as_bytes().to_vec()),
            credential_id: Base64Url(credential.credential_id.0.to_vec()),
            record: Record(Base64Url(credential.record)),
            sealed_identity: SealedIdentity(Base64Url(credential.sealed_identity)),
            certificate: certificate.map(|certificate| certificate.to_pem()),
            changed: credential.changed,
        })
    }
}

/// A dump to load.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Load {
    /// The dump as text; an error names the line and column. A byte order mark is ignored.
    dump: String,
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
    let output = format!("Loaded {}.", account.name);
    Ok(Answer::new(AccountView::of(&context, account)).with_output(output))
}

fn read(text: &str) -> Result<Dump, Refusal> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        let problem = "is empty; give the whole text that `person dump` wrote";
        return Err(Refusal::invalid("dump", problem));
    }
    if text.len() > MAX_DUMP {
        let problem = format!("has {} bytes; a dump has at most {MAX_DUMP}", text.len());
        return Err(Refusal::invalid("dump", problem));
    }
    params::from_text(text).map_err(|fault| {
        let (line, column) = fault.position;
        let field = format!("dump.{}", fault.path);
        let not_json = if fault.is_syntax { "is not JSON: " } else { "" };
        let problem = format!("{not_json}{} (line {line}, column {column})", fault.problem);
        Refusal::invalid(field.trim_end_matches('.'), problem)
    })
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
                remove `credential` and `check` from the dump and set a new pass phrase",
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
                    "load the dump at the admin socket, or remove `credential` from it and set a new pass phrase",
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
