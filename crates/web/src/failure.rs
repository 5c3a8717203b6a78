//! Errors for JavaScript: an `Error` with the members `kind`, `code` and, if there are any, `hint`,
//! `field` and `retryAfterMs`.

use std::fmt::Display;

use countersign_client::passphrase_ticket::PassphraseTicketError;
use countersign_client::{CallError, ConnectError, CredentialError};
use countersign_proto::enrolment::passphrase::client::RegistrationError;
use countersign_proto::session::LoginError;
use js_sys::{Error, Reflect};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What every function of this module throws. */
export interface CountersignError extends Error {
  name: "CountersignError";
  /** `usage`: an argument. `connection`: the site was not reached. `login`: no session was opened,
   *  or no ticket was sent, because of the site. `ticket`: the site did not accept a ticket.
   *  `operation`: the site refused the operation. `session`: the session has ended. */
  kind: "usage" | "connection" | "login" | "ticket" | "operation" | "session";
  /** A stable name of the cause. */
  code: string;
  hint?: string;
  field?: string;
  retryAfterMs?: number;
}
"#;

/// Makes an error.
struct Failure(Error);

impl Failure {
    fn new(kind: &str, code: &str, message: &impl Display) -> Self {
        let error = Error::new(&message.to_string());
        error.set_name("CountersignError");
        Self(error)
            .with("kind", &kind.into())
            .with("code", &code.into())
    }

    fn with(self, member: &str, value: &JsValue) -> Self {
        // It fails only for an object that is frozen.
        let _ = Reflect::set(&self.0, &member.into(), value);
        self
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        failure.0.into()
    }
}

/// An argument is wrong.
pub(crate) fn usage(message: &impl Display) -> JsValue {
    Failure::new("usage", "usage", message).into()
}

/// The argument of this name is wrong.
pub(crate) fn usage_of(argument: &str, message: &impl Display) -> JsValue {
    let failure = Failure::new("usage", "usage", message);
    failure.with("field", &argument.into()).into()
}

/// No session was opened.
pub(crate) fn of_connecting(error: &ConnectError) -> JsValue {
    let (kind, code) = match error {
        ConnectError::Unreachable { .. } => ("connection", "unreachable"),
        ConnectError::Timeout { .. } => ("connection", "timeout"),
        ConnectError::Closed { .. } => ("connection", "closed"),
        ConnectError::Login(error) => ("login", code_of_login(error)),
    };
    Failure::new(kind, code, error).into()
}

const fn code_of_login(error: &LoginError) -> &'static str {
    match error {
        LoginError::NotAuthenticated => "not_authenticated",
        LoginError::WrongSite => "wrong_site",
        LoginError::KeyEvents(_) => "key_events",
        LoginError::Sealed => "sealed",
        LoginError::Lockdown => "lockdown",
        LoginError::Busy => "busy",
        LoginError::Ended(_) => "ended",
        LoginError::NoCommonOption(_) => "no_common_option",
        LoginError::PacketsTooSmall => "packets_too_small",
        LoginError::Protocol(_) => "protocol",
    }
}

/// A pass phrase was not set with a ticket.
pub(crate) fn of_ticket(error: &PassphraseTicketError) -> JsValue {
    let dialog = match error {
        PassphraseTicketError::Channel(error) => return of_connecting(error),
        PassphraseTicketError::Opaque(_) => return usage(error),
        PassphraseTicketError::Dialog(dialog) => dialog,
        _ => return Failure::new("ticket", "credential", error).into(),
    };
    let (kind, code) = match dialog {
        RegistrationError::WrongKind(_) => return usage(error),
        RegistrationError::Refused => ("ticket", "refused"),
        RegistrationError::Broken => ("connection", "broken"),
        RegistrationError::AnotherSite => ("login", "wrong_site"),
        _ => ("ticket", "protocol"),
    };
    Failure::new(kind, code, error).into()
}

/// An operation has no result, or a failed one.
pub(crate) fn of_call(error: &CallError) -> JsValue {
    match error {
        CallError::Failed { code, problem } => {
            let name = code.to_string();
            let problem = problem.as_ref();
            let code = problem.map_or(name.as_str(), |problem| &problem.code);
            let mut failure = Failure::new("operation", code, error);
            if let Some(hint) = problem.and_then(|problem| problem.hint.as_deref()) {
                failure = failure.with("hint", &hint.into());
            }
            if let Some(field) = problem.and_then(|problem| problem.field.as_deref()) {
                failure = failure.with("field", &field.into());
            }
            if let Some(wait) = problem.and_then(|problem| problem.retry_after_ms) {
                // JavaScript has no greater whole numbers than 2^53; the site waits for minutes.
                let wait = u32::try_from(wait).unwrap_or(u32::MAX);
                failure = failure.with("retryAfterMs", &wait.into());
            }
            failure.into()
        }
        CallError::Params(_) | CallError::TooLong { .. } => usage(error),
        CallError::Unexpected(_) => Failure::new("operation", "unexpected", error).into(),
        CallError::Ended(reason) => Failure::new("session", reason.as_str(), error).into(),
        CallError::IncompleteContent => {
            Failure::new("operation", "incomplete_content", error).into()
        }
        CallError::Lost => Failure::new("session", "lost", error).into(),
    }
}

/// A pass phrase was not changed.
pub(crate) fn of_credential(error: &CredentialError) -> JsValue {
    match error {
        CredentialError::Call(error) => of_call(error),
        CredentialError::Connection(error) => of_connecting(error),
        CredentialError::WrongPassphrase => {
            Failure::new("operation", "wrong_passphrase", error).into()
        }
        CredentialError::Opaque(_) => usage(error),
        _ => Failure::new("operation", "credential", error).into(),
    }
}
