//! The error of an operation: a stable code, what happened, and what to do about it.

use std::borrow::Cow;
use std::fmt;

use countersign_proto::operation::{Code, Outcome};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::audit::AuditOutcome;
use crate::content::ContentBroken;
use crate::entity_tag::EntityTag;
use crate::lockdown::{LockdownLevel, TooManyLockdowns};
use crate::store::{StoreError, Thing, Unique};

/// Why an operation was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    #[serde(skip)]
    kind: Code,
    code: Cow<'static, str>,
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip)]
    failed: bool,
    #[serde(skip)]
    audited: bool,
    #[serde(skip)]
    stale: bool,
}

impl Refusal {
    /// The hint for parameters that have not the form of the operation. Where parameters are described depends
    /// on the channel: over HTTP this hint is replaced.
    pub const PARAMETERS: &str = "`operation list` shows the parameters of every operation";

    fn new(kind: Code, message: String, hint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            code: kind.name().unwrap_or("unnamed").into(),
            message,
            hint: hint.into(),
            field: None,
            retry_after_ms: None,
            failed: false,
            audited: false,
            stale: false,
        }
    }

    /// Makes a refusal of an embedding application. `kind` is [`Code::FIRST_OF_APPLICATION`] or
    /// above, `code` its stable name.
    #[must_use]
    pub fn of_application(kind: Code, code: &'static str, message: String, hint: String) -> Self {
        Self {
            code: code.into(),
            ..Self::new(kind, message, hint)
        }
    }

    /// The envelope is not a valid operation.
    #[must_use]
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(
            Code::MALFORMED,
            message.into(),
            "an operation is {\"id\", \"group\", \"command\", \"params\"}",
        )
    }

    /// No operation has this name.
    #[must_use]
    pub fn unknown_operation(message: String, hint: String) -> Self {
        Self::new(Code::UNKNOWN_OPERATION, message, hint)
    }

    /// A parameter is invalid. `field` is its path, such as `person.email`; empty for the whole.
    #[must_use]
    pub fn invalid(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        let field = field.into();
        let message = if field.is_empty() {
            problem.to_string()
        } else {
            format!("{field}: {problem}")
        };
        Self {
            field: (!field.is_empty()).then_some(field),
            ..Self::new(Code::INVALID_PARAMS, message, "")
        }
    }

    /// The parameters have not the form that the operation takes. `field` is as in [`Refusal::invalid`].
    #[must_use]
    pub fn malformed_params(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self::invalid(field, problem).with_hint(Self::PARAMETERS)
    }

    /// The operation needs content, and the request has none.
    #[must_use]
    pub fn no_content() -> Self {
        Self::new(
            Code::INVALID_PARAMS,
            "this operation needs content".to_owned(),
            "send content with it, for instance with `--content FILE`",
        )
    }

    /// The request has content that the operation does not take or the channel cannot carry.
    #[must_use]
    pub fn stray_content(message: impl Into<String>) -> Self {
        Self::new(
            Code::INVALID_PARAMS,
            message.into(),
            "`operation list` shows which operations take or return content",
        )
    }

    /// The caller is not permitted to do this.
    #[must_use]
    pub fn not_permitted(message: impl Into<String>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NOT_PERMITTED, message.into(), hint)
    }

    /// The object does not exist, or the caller is not permitted to know that it exists.
    #[must_use]
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        let message = format!("there is no {what} {name}");
        let hint = match what {
            "access token" => "check the spelling; `token list` shows the tokens that exist",
            "alarm" => "check the spelling; `alarm list` shows the alarms that exist",
            "application" => "check the spelling; `app list` shows the applications that exist",
            "device" => "check the spelling; `device list` shows the devices that exist",
            "open session" => "check the spelling; `session list` shows the sessions that are open",
            "peer" => "check the spelling; `peer list` shows the peers",
            "person" => "check the spelling; `person list` shows the persons that exist",
            "service" => "check the spelling; `service list` shows the services that exist",
            "ticket" => "check the spelling; `ticket list` shows the tickets that exist",
            _ => "check the spelling",
        };
        Self::new(Code::NOT_FOUND, message, hint)
    }

    /// The operation conflicts with the current state of the site.
    #[must_use]
    pub fn conflict(message: impl Into<String>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::CONFLICT, message.into(), hint)
    }

    /// The object of the operation has another entity tag than the caller expects; `None` if it cannot
    /// be read.
    pub(crate) fn precondition_failed(tag: Option<EntityTag>) -> Self {
        let message = match tag {
            Some(tag) => {
                format!("it was changed or replaced meanwhile: its entity tag is {tag} now")
            }
            None => "it cannot be read, so it has no entity tag".to_owned(),
        };
        Self {
            code: "precondition_failed".into(),
            ..Self::new(
                Code::CONFLICT,
                message,
                "read it again, and decide whether the change is still right",
            )
        }
    }

    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// An object that does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == Code::NOT_FOUND
    }

    /// A conflict with the state of the site, or with another change.
    pub(crate) fn is_conflict(&self) -> bool {
        self.kind == Code::CONFLICT
    }

    /// Another change came first: what the operation read was no longer so when it was to be written.
    pub(crate) const fn is_stale(&self) -> bool {
        self.stale
    }

    /// The site is sealed.
    #[must_use]
    pub fn sealed() -> Self {
        Self::new(
            Code::SEALED,
            "the site is sealed, so its key cannot be used".to_owned(),
            "unseal it with `site unseal` at the admin socket",
        )
    }

    /// A lockdown of the site at this level refuses it.
    #[must_use]
    pub fn lockdown(level: LockdownLevel) -> Self {
        Self::new(
            Code::LOCKDOWN,
            format!("the site is in lockdown at the level `{level}`, which refuses this"),
            "an admin sees the reason with `lockdown status`; it is lifted at the site's local admin socket",
        )
    }

    /// A lockdown of the caller's account refuses it.
    #[must_use]
    pub fn account_lockdown() -> Self {
        Self::new(
            Code::LOCKDOWN,
            "your account is in lockdown".to_owned(),
            "ask an admin, who sees it with `lockdown status` and can lift it",
        )
    }

    /// The site is at the limit of concurrent work.
    #[must_use]
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(Code::BUSY, message.into(), "repeat it later")
    }

    /// The caller is over a rate limit. The operation can be repeated after this many milliseconds.
    #[must_use]
    pub fn busy_for(message: impl fmt::Display, milliseconds: u64) -> Self {
        let seconds = milliseconds.div_ceil(1_000);
        Self {
            retry_after_ms: Some(milliseconds),
            ..Self::new(
                Code::BUSY,
                message.to_string(),
                format!("repeat it after {seconds} s"),
            )
        }
    }

    /// The site itself failed.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(
            Code::INTERNAL,
            message.into(),
            "this is a fault of the site; its log may contain details",
        )
    }

    /// Returns the refusal with this field marked as the cause.
    #[must_use]
    pub fn of_field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// Returns the refusal with this hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Returns the refusal marked to be audited as a failure: the caller presented a wrong secret
    /// or key.
    #[must_use]
    pub const fn audited_as_failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// Returns the refusal marked as already audited by the operation itself.
    #[must_use]
    pub const fn audited_already(mut self) -> Self {
        self.audited = true;
        self
    }

    /// Returns the outcome under which the refusal must still be audited; `None` if it is not
    /// audited or was already.
    #[must_use]
    pub fn audited_as(&self) -> Option<AuditOutcome> {
        match (self.failed, self.kind) {
            _ if self.audited => None,
            (true, _) => Some(AuditOutcome::Failed),
            (false, Code::NOT_PERMITTED) => Some(AuditOutcome::NotPermitted),
            (false, Code::LOCKDOWN) => Some(AuditOutcome::Lockdown),
            (false, _) => None,
        }
    }

    /// Returns the kind of refusal.
    #[must_use]
    pub const fn kind(&self) -> Code {
        self.kind
    }

    /// Returns what happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do about it; may be empty.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Returns the path of the parameter that is invalid.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Returns after how many milliseconds the operation can be repeated, if that is known.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// Returns the result envelope for the operation with this id.
    #[must_use]
    pub fn outcome(&self, id: u64) -> Outcome {
        let data = serde_json::value::to_raw_value(self);
        Outcome {
            id,
            code: self.kind,
            // Serialising strings and numbers cannot fail.
            data: data.unwrap_or_else(|_| RawValue::NULL.to_owned()),
            output: String::new(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.hint.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.hint)
        }
    }
}

impl std::error::Error for Refusal {}

impl From<ContentBroken> for Refusal {
    fn from(broken: ContentBroken) -> Self {
        Self::new(
            Code::MALFORMED,
            broken.to_string(),
            "the content was incomplete and was discarded; send it again",
        )
    }
}

impl From<TooManyLockdowns> for Refusal {
    fn from(error: TooManyLockdowns) -> Self {
        Self::conflict(
            error.to_string(),
            "impose a lockdown of the site with `lockdown site`, or lift some",
        )
    }
}

impl From<serde_json::Error> for Refusal {
    /// The program serialises only its own types, so a failure is a fault of the program.
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Conflict { what: Unique::Name } => Self::conflict(
                "the name is already in use",
                "choose another name; persons and services share one set of names",
            )
            .of_field("name"),
            StoreError::Conflict { what: Unique::Key } => Self::conflict(
                "an account already has this key",
                "generate a new key with `countersign key new --out FILE`; a key can belong to one account only",
            )
            .of_field("certificate"),
            StoreError::Conflict {
                what: Unique::RemovedKey,
            } => Self::conflict(
                "this key was removed from an account",
                "generate a new key with `countersign key new --out FILE`; a removed key is not accepted again",
            )
            .of_field("certificate"),
            StoreError::Conflict {
                what: Unique::ApplicationKey,
            } => Self::conflict(
                "an application has this public key or had it before",
                "generate a new key with `countersign key new --out FILE`; a key can belong to one application only",
            )
            .of_field("public_keys"),
            StoreError::Conflict {
                what: Unique::Application,
            } => Self::conflict(message, "choose another id").of_field("id"),
            StoreError::Conflict {
                what: Unique::CredentialId,
            } => Self::conflict(
                "another account has this credential id",
                "credential ids are unique; set a new pass phrase",
            )
            .of_field("credential_id"),
            StoreError::Conflict {
                what: Unique::AccountId | Unique::Ticket | Unique::Device | Unique::AccessToken,
            } => Self::conflict(message, "repeat the operation"),
            StoreError::Conflict {
                what: Unique::AccessTokenRoom,
            } => Self::conflict(
                "the account has as many access tokens as it may have",
                "revoke one with `token revoke ID`",
            ),
            StoreError::Conflict {
                what: Unique::CompletedRequest,
            } => Self::conflict(
                "a request with this idempotency key was carried out before",
                "look at the result of that request; use a new key for another request",
            ),
            StoreError::Conflict {
                what: Unique::DeviceKey,
            } => Self::conflict(
                "a device has this key, or had it before",
                "make a new key on the device; one key serves one device, once",
            ),
            StoreError::Conflict { what: Unique::Peer } => {
                Self::conflict("the site is a peer, or was one", "`peer list` shows its state")
            }
            StoreError::Conflict {
                what: Unique::PeerZone,
            } => Self::conflict(
                "another peer has this zone",
                "ask both operators which site has the zone; `peer list` shows the peers",
            ),
            StoreError::Conflict {
                what: Unique::Alarm,
            } => Self::conflict(
                "the same alarm was raised by another caller meanwhile",
                "repeat the operation",
            ),
            StoreError::Conflict {
                what: Unique::AlarmRoom,
            } => Self::conflict(
                "there is no room for another alarm",
                "end alarms whose cause is gone with `alarm over KEY`",
            ),
            StoreError::Stale { .. } => Self {
                stale: true,
                ..Self::conflict(
                    message,
                    "the object was changed at the same time; look at it again and repeat the operation",
                )
            },
            StoreError::NotFound { what } => Self::new(
                Code::NOT_FOUND,
                message,
                match what {
                    Thing::Account | Thing::Application => "it may have just been deleted",
                    Thing::Key => "it may have just been revoked",
                    Thing::Ticket => "its account may have just been deleted",
                    Thing::Device | Thing::AccessToken => "it may have just been revoked",
                    Thing::Peer => "an admin may have just forgotten it",
                    Thing::Message => "it may have just been discarded",
                    Thing::Alarm | Thing::Delivery => "newer alarms replace old ones",
                    Thing::Setting | Thing::Preferences | Thing::AuditHead => "",
                },
            ),
            StoreError::Unavailable { .. } => Self {
                hint:
                    "nothing was changed; check that the disk has space and that the site may write to it"
                        .into(),
                ..Self::internal(message)
            },
            StoreError::Damaged { .. } => Self::internal(message),
        }
    }
}
