//! What a dump of a person has: JSON with a digest and a MAC.

use countersign_crypto::certificate::Certificate;
use countersign_crypto::hash::sha256;
use countersign_crypto::mac::MacKey;
use countersign_crypto::passphrase::PassphraseRecord;
use countersign_crypto::sealed_identity::SEALED_IDENTITY_LENGTH;
use countersign_proto::name::AccountName;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::super::super::delivered::DumpedKey;
use super::super::PersonRole;
use crate::access::Role;
use crate::accounts::{Account, PassphraseCredential, PassphraseSuite, PersonData, State};
use crate::engine::{Refusal, params};
use crate::text::{Base64Url, Email, FullName};
use crate::timestamp::Timestamp;

/// The maximum length of a dump that is read, in bytes: about twice the length of a full one.
const MAX_DUMP: usize = 128 * 1024;

/// A dumped person.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dump {
    /// Identifies the format.
    pub(super) format: Format,
    /// The version of the format: 1.
    pub(super) version: Version,
    /// The account.
    pub(super) person: DumpedPerson,
    /// The further email addresses, the telephone numbers, the postal address, the language and the attributes;
    /// absent when there are none.
    #[serde(default, skip_serializing_if = "PersonData::is_empty")]
    pub(super) data: PersonData,
    /// The credential that the person logs in with; absent when there is none, and over a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) credential: Option<DumpedCredential>,
    /// The person's delivered key; absent when there is none, and over a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delivered_key: Option<DumpedKey>,
    /// Protects the dump against changes; absent in a dump that was written or changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) check: Option<Check>,
}

/// Protects a dump against changes. Both values cover the dump without this member, as compact JSON
/// with its members in the order of this page.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DumpCheck")]
pub(super) struct Check {
    /// The SHA-256 of the dump, with which any site detects damage.
    sha256: Base64Url,
    /// The HMAC-SHA256 of the dump under a key of the site that made it. Only that site can verify
    /// it.
    mac: Base64Url,
}

/// The verified origin of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This site made it.
    ThisSite,
    /// Another site made it (`checked`: its digest is valid), or it has no check at all.
    Elsewhere { checked: bool },
}

impl Dump {
    /// Returns the dump with a check.
    pub(super) fn checked(self, key: &MacKey) -> Result<Self, Refusal> {
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
    pub(super) fn verify(&mut self, key: &MacKey) -> Result<Origin, Refusal> {
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

pub(super) fn altered() -> Refusal {
    Refusal::invalid(
        "dump.check",
        "the dump was damaged or changed; load another copy, or, if you changed it yourself, remove `check` \
        from it and load it at the admin socket",
    )
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(super) enum Format {
    /// An exported person.
    #[serde(rename = "countersign person")]
    Person,
}

/// The version of the format. There is one so far.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(super) struct Version(u16);

impl Version {
    pub(super) const NOW: Self = Self(1);
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
pub(super) struct DumpedPerson {
    /// `name@zone`.
    #[schemars(with = "String")]
    pub(super) name: AccountName,
    /// The full name.
    pub(super) full_name: FullName,
    /// The email address; may be empty.
    #[schemars(with = "String")]
    pub(super) email: Email,
    /// The person's role.
    pub(super) role: PersonRole,
    /// Whether the person may log in.
    pub(super) state: State,
    /// When the account was created.
    pub(super) created: Timestamp,
}

/// The credential in a dump.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DumpedCredential {
    /// The OPAQUE suite that the record was made with.
    pub(super) suite: PassphraseSuite,
    /// The id of the server setup that the record was made with. Only the site that has it can use
    /// the record.
    pub(super) setup: Base64Url,
    /// The credential identifier that OPAQUE uses for the record.
    pub(super) credential_id: Base64Url,
    /// The OPAQUE registration record.
    pub(super) record: Record,
    /// The person's identity, sealed by the person's client.
    pub(super) sealed_identity: SealedIdentity,
    /// The certificate of that identity, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<String>,
    /// When the pass phrase was set.
    pub(super) changed: Timestamp,
}

/// Bytes that are a valid OPAQUE record.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Record(pub(super) Base64Url);

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
pub(super) struct SealedIdentity(pub(super) Base64Url);

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

pub(super) fn read(text: &str) -> Result<Dump, Refusal> {
    // Editors put a byte order mark before the text of a file.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        let problem = "is empty; give the whole text of the dump";
        return Err(Refusal::invalid("dump", problem));
    }
    if text.len() > MAX_DUMP {
        return Err(Refusal::invalid(
            "dump",
            format_args!("has {} bytes; a dump has at most {MAX_DUMP}", text.len()),
        ));
    }
    params::from_text(text).map_err(|fault| {
        let (line, column) = fault.position;
        let path = Some(fault.path).filter(|path| !path.is_empty());
        let field = path.map_or_else(|| "dump".to_owned(), |path| format!("dump.{path}"));
        let not_json = if fault.is_syntax { "is not JSON: " } else { "" };
        let problem = fault.problem;
        let place = format!("line {line}, column {column}");
        Refusal::invalid(field, format_args!("{not_json}{problem} ({place})"))
    })
}
