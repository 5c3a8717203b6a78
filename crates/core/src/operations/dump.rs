//! `person dump` and `person load`: a person as JSON, to keep or to bring back.
//!
//! A dump made at the admin socket holds the credential as well, so that the person logs in as before
//! once it is loaded. Over a session it does not: together with the server setup a record lets one
//! guess at the pass phrase, and a record sent out of the site is out of its hands. Whoever has the
//! admin socket has the database anyway.
//!
//! A dump carries a digest, by which any site notices that it was damaged, and a code by which the site
//! that made it knows it again ([`Check`]). A credential is loaded over a session with that code alone:
//! with a credential id of their choice an admin could test guesses at another account's pass phrase.

use countersign_crypto::certificate::Certificate;
use countersign_crypto::hash::sha256;
use countersign_crypto::mac::MacKey;
use countersign_crypto::passphrase::{PassphraseRecord, SetupId};
use countersign_crypto::sealed_identity::SEALED_IDENTITY_LENGTH;
use countersign_proto::name::AccountName;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::json;

use super::account::{self, AccountView, ByName};
use super::delivered::DumpedKey;
use super::person::PersonRole;
use crate::access::{Channel, Role};
use crate::accounts::{
    Account, CredentialId, Kind, PASSPHRASE_VERSION, PassphraseCredential, PassphraseSuite, State,
};
use crate::engine::{Answer, Context, Entry, Refusal, params};
use crate::id::AccountId;
use crate::store::Change;
use crate::text::{Base64Url, Email, FullName};
use crate::timestamp::Timestamp;

/// The longest dump that is read, in bytes: some ten times a full one.
const MAX_DUMP: usize = 64 * 1024;
/// The label of the key under which the site authenticates dumps.
const MAC_LABEL: &str = "person dump";

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("person", "dump")
            .summary(
                "Shows all that is kept of a person, to be loaded again; with the credential at the \
                 admin socket only.",
            )
            .allow(&admin)
            .changes()
            .public_key()
            .example(json!({ "name": "maria" }))
            .handler(dump),
        Entry::new("person", "load")
            .summary("Brings a dumped person back.")
            .allow(&admin)
            .changes()
            .public_key()
            .example(json!({ "dump": "{ \"format\": \"countersign person\", … }" }))
            .handler(load),
    ]
}

/// A dumped person.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dump {
    /// Says what this is.
    format: Format,
    /// The version of this form: 1.
    version: Version,
    /// The account.
    person: DumpedPerson,
    /// What the person logs in with; absent when there is nothing, or when it may not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<DumpedCredential>,
    /// What is delivered of the person; absent as the credential is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivered_key: Option<DumpedKey>,
    /// That the dump is as it was made; absent in one that was written or changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<Check>,
}

/// That a dump is as it was made. Both cover the dump without this member, as compact JSON with its
/// members in the order of this page.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Check {
    /// Its SHA-256: any site notices damage.
    sha256: Base64Url,
    /// Its HMAC-SHA256 under a key of the site that made it, which alone knows it again.
    mac: Base64Url,
}

/// Who vouches for a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// This site made it.
    ThisSite,
    /// It is whole, and another site made it, or it has no check at all.
    Elsewhere { checked: bool },
}

impl Dump {
    /// The same with a check.
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

    /// Verifies the check, if there is one, and takes it out.
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

    /// What the check covers.
    fn text(&self) -> Result<Vec<u8>, Refusal> {
        serde_json::to_vec(self).map_err(|error| Refusal::internal(error.to_string()))
    }
}

fn altered() -> Refusal {
    Refusal::invalid(
        "dump.check",
        "the dump is not as it was made: it was damaged or changed since; load another copy, or, if you \
         changed it yourself, take `check` out of it and load it at the admin socket",
    )
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
enum Format {
    /// A person.
    #[serde(rename = "countersign person")]
    Person,
}

/// The one version so far.
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
                "version {other} is not known here; a newer Countersign made this dump"
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
    /// The name to show.
    full_name: FullName,
    /// Where mail goes.
    email: Email,
    /// What the person may do.
    role: PersonRole,
    /// Whether the person may log in.
    state: State,
    /// When the account was made.
    created: Timestamp,
}

/// The credential in a dump.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DumpedCredential {
    /// What the record was made with.
    suite: PassphraseSuite,
    /// The server setup that it was made under: only the site that has it can use the record.
    setup: Base64Url,
    /// The record's name within OPAQUE.
    credential_id: Base64Url,
    /// OPAQUE's registration record.
    record: Record,
    /// The person's identity, sealed on the person's side.
    sealed_identity: SealedIdentity,
    /// The certificate of that identity, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// When the pass phrase was set.
    changed: Timestamp,
}

/// Bytes that are a record.
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

/// Bytes of the one length that a sealed identity has.
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
                "{} bytes, not {SEALED_IDENTITY_LENGTH}",
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
    let store = context.site().store();
    let (credential, delivered) = match context.caller().channel {
        Channel::AdminSocket => (
            store.passphrase(account.id).await?,
            store.delivered_key(account.id).await?,
        ),
        Channel::Session | Channel::Device | Channel::Http | Channel::Init | Channel::Site => {
            (None, None)
        }
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
        credential,
        delivered_key: delivered.map(DumpedKey::from),
        check: None,
    };
    let key = context.site().expect_open()?.key.mac_key(MAC_LABEL);
    Ok(Answer::new(dump.checked(&key)?))
}

impl From<Account> for DumpedPerson {
    fn from(account: Account) -> Self {
        Self {
            name: account.name,
            // What the store holds was checked when it came in.
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
    /// The dump, as text, so that a fault in it can be told with its line.
    dump: String,
}

async fn load(context: Context, params: Load) -> Result<Answer<AccountView>, Refusal> {
    let mut dump = read(&params.dump)?;
    let key = context.site().expect_open()?.key.mac_key(MAC_LABEL);
    let origin = dump.verify(&key)?;
    let person = dump.person;
    let account = Account {
        id: AccountId::new(context.now(), &mut context.site().entropy()),
        name: context.site().whole_name(person.name),
        kind: Kind::Person,
        role: person.role.into(),
        full_name: person.full_name.into_string(),
        email: person.email.into_string(),
        state: person.state,
        revision: 1,
        created: person.created,
        changed: context.now(),
    };
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
    changes.extend(credential.map(Change::PutPassphrase));
    changes.extend(delivered.map(Change::PutDeliveredKey));
    let target = account.name.to_string();
    context
        .commit(changes, target, details)
        .await
        .map_err(|refusal| match refusal.field() {
            Some("name") => refusal.of_field("dump.person.name"),
            Some("credential_id") => refusal.of_field("dump.credential.credential_id"),
            _ => refusal,
        })?;
    let said = format!("Loaded {}.", account.name);
    Ok(Answer::new(account.into()).saying(said))
}

fn read(text: &str) -> Result<Dump, Refusal> {
    if text.len() > MAX_DUMP {
        return Err(Refusal::invalid(
            "dump",
            format_args!(
                "{} bytes are too long for a dump; at most {MAX_DUMP}",
                text.len()
            ),
        ));
    }
    params::from_text(text).map_err(|fault| {
        let (line, column) = fault.position;
        let field = if fault.path.is_empty() {
            "dump".to_owned()
        } else {
            format!("dump.{}", fault.path)
        };
        Refusal::invalid(
            field,
            format_args!("{} (line {line}, column {column})", fault.problem),
        )
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
        let ours = context.site().expect_open()?.setup.id();
        let setup = <[u8; 8]>::try_from(self.setup.0).map(SetupId::from_bytes);
        if setup != Ok(ours) {
            return Err(Refusal::invalid(
                field("setup"),
                "the record was made under another site's server setup and cannot be used here; \
                 take `credential` and `check` out and set a new pass phrase",
            ));
        }
        match origin {
            Origin::ThisSite => {}
            // Only this site can use the record, so only this site can have made the dump.
            Origin::Elsewhere { checked: true } => return Err(altered()),
            Origin::Elsewhere { checked: false } if !context.caller().channel.is_local() => {
                return Err(Refusal::not_permitted(
                    "over a session a credential is loaded from a dump that is as this site made it",
                    "load it at the admin socket, or take `credential` out and set a new pass phrase",
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
            setup: ours,
            credential_id: CredentialId(credential_id),
            record: self.record.0.0,
            sealed_identity: self.sealed_identity.0.0,
            certificate: certificate.map(|certificate| certificate.der().to_vec()),
            changed: self.changed,
        })
    }
}
