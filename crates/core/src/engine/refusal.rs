//! What a caller gets instead of what was asked for: a stable code, what went wrong, what to do.

use std::borrow::Cow;
use std::fmt;

use countersign_proto::operation::{Code, Outcome};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::audit::AuditOutcome;
use crate::content::ContentBroken;
use crate::store::{StoreError, Thing, Unique};

/// Why an operation was not done.
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
}

impl Refusal {
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
        }
    }

    /// An embedding application's own refusal: `kind` is [`Code::FIRST_OF_APPLICATION`] or above,
    /// `code` its stable name.
    #[must_use]
    pub fn of_application(kind: Code, code: &'static str, message: String, hint: String) -> Self {
        Self {
            code: code.into(),
            ..Self::new(kind, message, hint)
        }
    }

    /// It is no operation at all.
    #[must_use]
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(
            Code::MALFORMED,
            message.into(),
            "an operation is {\"id\", \"group\", \"command\", \"params\"}",
        )
    }

    /// No operation has that name.
    #[must_use]
    pub fn unknown_operation(message: String, hint: String) -> Self {
        Self::new(Code::UNKNOWN_OPERATION, message, hint)
    }

    /// A parameter is not what it must be. `field` is its path, such as `person.email`.
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
            ..Self::new(
                Code::INVALID_PARAMS,
                message,
                "`operation list` shows the parameters of every operation",
            )
        }
    }

    /// The operation needs content and none came.
    #[must_use]
    pub fn no_content() -> Self {
        Self::new(
            Code::INVALID_PARAMS,
            "content has to come with this operation".to_owned(),
            "send it along, for instance with `--content FILE`",
        )
    }

    /// Content came that the operation has no use for, or through a door that carries none.
    #[must_use]
    pub fn stray_content(message: impl Into<String>) -> Self {
        Self::new(
            Code::INVALID_PARAMS,
            message.into(),
            "`operation list` shows which operations take or give content",
        )
    }

    /// The caller may not do this.
    #[must_use]
    pub fn not_permitted(message: impl Into<String>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NOT_PERMITTED, message.into(), hint)
    }

    /// What it is about does not exist, or the caller may not know that it does.
    #[must_use]
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        let message = format!("there is no {what} {name}");
        Self::new(
            Code::NOT_FOUND,
            message,
            "check the spelling; names are listed by the group's `list`",
        )
    }

    /// It cannot be done as things are.
    #[must_use]
    pub fn conflict(message: impl Into<String>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::CONFLICT, message.into(), hint)
    }

    /// Whether it cannot be done as things are.
    pub(crate) fn is_conflict(&self) -> bool {
        self.kind == Code::CONFLICT
    }

    /// The site key was not opened.
    #[must_use]
    pub fn sealed() -> Self {
        Self::new(
            Code::SEALED,
            "the site is sealed: its key has not been opened".to_owned(),
            "open it with `site unseal` at the admin socket",
        )
    }

    /// The site has too much to do just now.
    #[must_use]
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(
            Code::BUSY,
            message.into(),
            "repeat it when something else is done",
        )
    }

    /// It is too early: repeat it after so many milliseconds.
    #[must_use]
    pub fn busy_for(message: impl fmt::Display, milliseconds: u64) -> Self {
        let seconds = milliseconds.div_ceil(1_000);
        Self {
            retry_after_ms: Some(milliseconds),
            ..Self::new(
                Code::BUSY,
                message.to_string(),
                format!("repeat it in {seconds} s"),
            )
        }
    }

    /// The site itself failed.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(
            Code::INTERNAL,
            message.into(),
            "this is the site's fault; its log may say more",
        )
    }

    /// The same refusal, of that field.
    #[must_use]
    pub fn of_field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// The same refusal, audited as a failure: a secret or a key that the caller showed was wrong.
    #[must_use]
    pub const fn audited_as_failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// The same refusal, of which the operation has written an audit entry itself: it is not counted besides.
    #[must_use]
    pub const fn audited_already(mut self) -> Self {
        self.audited = true;
        self
    }

    /// What the audit log is yet to say of it; `None` when it is not audited, or was already.
    #[must_use]
    pub fn audited_as(&self) -> Option<AuditOutcome> {
        match (self.failed, self.kind) {
            _ if self.audited => None,
            (true, _) => Some(AuditOutcome::Failed),
            (false, Code::NOT_PERMITTED) => Some(AuditOutcome::NotPermitted),
            (false, _) => None,
        }
    }

    /// The kind of refusal.
    #[must_use]
    pub const fn kind(&self) -> Code {
        self.kind
    }

    /// What went wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do; may be empty.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// The parameter that is wrong.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// After how many milliseconds it may be repeated, where that is known.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// The result that carries it.
    #[must_use]
    pub fn outcome(&self, id: u64) -> Outcome {
        let data = serde_json::value::to_raw_value(self);
        Outcome {
            id,
            code: self.kind,
            // Texts alone cannot fail to be written.
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
            "nothing that came counts; send it again",
        )
    }
}

impl From<serde_json::Error> for Refusal {
    /// What this program writes as JSON is its own.
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Conflict { what: Unique::Name } => Self::conflict(
                "the name is taken",
                "choose another name; persons and services share their names",
            )
            .of_field("name"),
            StoreError::Conflict { what: Unique::Key } => Self::conflict(
                "an account has this key already",
                "make a new key with `countersign key new --out FILE`; one key serves one account",
            )
            .of_field("certificate"),
            StoreError::Conflict {
                what: Unique::RemovedKey,
            } => Self::conflict(
                "this key was taken away from an account",
                "make a new key with `countersign key new --out FILE`; a key that was removed is not accepted again",
            )
            .of_field("certificate"),
            StoreError::Conflict {
                what: Unique::ApplicationKey,
            } => Self::conflict(
                "an application has this public key, or had it before",
                "make a new key with `countersign key new --out FILE`; one key serves one application, once",
            )
            .of_field("public_keys"),
            StoreError::Conflict {
                what: Unique::Application,
            } => Self::conflict(message, "choose another id").of_field("id"),
            StoreError::Conflict {
                what: Unique::CredentialId,
            } => Self::conflict(
                "another account has this credential id",
                "no two accounts share one; set a new pass phrase",
            )
            .of_field("credential_id"),
            StoreError::Conflict {
                what: Unique::AccountId,
            } => Self::conflict(message, "repeat the operation"),
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
                "end alarms whose cause is gone with `alarm over`",
            ),
            StoreError::Stale { .. } => Self::conflict(
                message,
                "somebody else was faster; look at it again and repeat",
            ),
            StoreError::NotFound { what } => Self::new(
                Code::NOT_FOUND,
                message,
                match what {
                    Thing::Account => "somebody may have deleted it just now",
                    Thing::Key => "somebody may have revoked it just now",
                    Thing::Application => "somebody may have deleted it just now",
                    Thing::Alarm | Thing::Delivery => "newer alarms take the place of old ones",
                    Thing::Setting | Thing::Preferences => "",
                },
            ),
            StoreError::Unavailable { .. } => Self {
                hint:
                    "nothing was changed; is there room on that disk, and may the site write there?"
                        .into(),
                ..Self::internal(message)
            },
            StoreError::Damaged { .. } => Self::internal(message),
        }
    }
}
