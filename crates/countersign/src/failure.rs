//! Failures as the command line reports them: the cause, what to do, a stable code.

use std::fmt;

use countersign_client::{CallError, ConnectError, CredentialError};
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::session::LoginError;

use crate::escape;
pub(crate) use crate::exit::Exit;
use crate::hint;

/// A failure, ready to be shown.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: String,
    pub(crate) code: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            hint: String::new(),
            code: code.to_owned(),
        }
    }

    /// The same with what to do about it.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = hint.to_string();
        self
    }

    /// The same where the commands that it names are for the site in this folder.
    pub(crate) fn in_folder(mut self, folder: &std::path::Path) -> Self {
        self.hint = hint::in_folder(&self.hint, folder);
        self
    }

    /// A wrong command line.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            std::io::ErrorKind::AlreadyExists => Exit::Conflict,
            _ => Exit::Failure,
        };
        let failure = Self::new(exit, "file", format_args!("{}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => {
                failure.hint("make room there, or name a file elsewhere; nothing was kept of it")
            }
            _ => failure,
        }
    }

    /// Standard output cannot be written. A reader that has seen enough and closed it is no failure.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Exit::Done, "closed", ""),
            _ => Self::new(
                Exit::Failure,
                "output",
                format_args!("standard output: {error}"),
            ),
        }
    }

    /// What a failed result says of itself.
    pub(crate) fn outcome(outcome: &Outcome) -> Self {
        let problem: Option<countersign_client::Problem> =
            serde_json::from_str(outcome.data.get()).ok();
        Self::failed(outcome.code, problem)
    }

    fn failed(code: Code, problem: Option<countersign_client::Problem>) -> Self {
        let exit = match code {
            Code::NOT_PERMITTED | Code::LOCKDOWN => Exit::Refused,
            Code::NOT_FOUND => Exit::NotFound,
            Code::CONFLICT => Exit::Conflict,
            Code::SEALED | Code::BUSY => Exit::Unreachable,
            Code::UNKNOWN_OPERATION | Code::MALFORMED | Code::INVALID_PARAMS => Exit::Usage,
            _ => Exit::Failure,
        };
        match problem {
            // Each on its line, so that none looks like another.
            Some(problem) => Self::new(exit, &problem.code, escape::line(&problem.message))
                .hint(escape::line(&problem.hint.unwrap_or_default())),
            None => Self::new(
                exit,
                &code.to_string(),
                format_args!("the operation failed: {code}"),
            ),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let (exit, code, hint) = match &error {
            ConnectError::Unreachable { .. } | ConnectError::Timeout { .. } => (
                Exit::Unreachable,
                "unreachable",
                "is the site running, and is the address right?",
            ),
            ConnectError::Closed { .. } => (
                Exit::Unreachable,
                "closed",
                "is it a Countersign site's session port?",
            ),
            ConnectError::Login(login) => match login {
                LoginError::NotAuthenticated => (
                    Exit::NotAuthenticated,
                    "not_authenticated",
                    "the site does not say which; an admin sees the account with `countersign person show NAME`",
                ),
                LoginError::WrongSite => (
                    Exit::NotAuthenticated,
                    "wrong_site",
                    "compare the key after # with the one that `countersign site status` shows at the site",
                ),
                LoginError::Sealed => (
                    Exit::Unreachable,
                    "sealed",
                    "open its key with `countersign site unseal` at the site",
                ),
                LoginError::Busy => (Exit::Unreachable, "busy", "try again in a while"),
                LoginError::NoCommonOption(_) => (
                    Exit::Refused,
                    "no_common_option",
                    "accept one of them with --option",
                ),
                LoginError::PacketsTooSmall => (Exit::Usage, "usage", ""),
                LoginError::Ended(_) | LoginError::Protocol(_) => (
                    Exit::Failure,
                    "protocol",
                    "do both ends have the same version?",
                ),
            },
        };
        let warning = match &error {
            ConnectError::Login(LoginError::WrongSite) => "WARNING: ",
            _ => "",
        };
        Self::new(exit, code, format_args!("{warning}{error}")).hint(hint)
    }
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Call(error) => error.into(),
            CredentialError::WrongPassphrase => {
                Self::new(Exit::NotAuthenticated, "not_authenticated", error)
            }
            CredentialError::WrongSite => Self::new(Exit::NotAuthenticated, "wrong_site", error),
            CredentialError::NoPassphrase => Self::new(Exit::Usage, "usage", error),
            CredentialError::InvalidResponse(_) => Self::new(Exit::Failure, "protocol", error)
                .hint("do both ends have the same version?"),
            CredentialError::Opaque(_)
            | CredentialError::Identity(_)
            | CredentialError::Interrupted => Self::new(Exit::Failure, "registration", error),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed { code, problem } => Self::failed(code, problem),
            CallError::Ended(reason) => {
                let exit = match reason.is_decision() {
                    true => Exit::Refused,
                    false => Exit::Unreachable,
                };
                Self::new(exit, "session_ended", error)
            }
            CallError::IncompleteContent => Self::new(Exit::Failure, "broken", error),
            CallError::Lost => Self::new(Exit::Unreachable, "connection_lost", error),
            CallError::Params(_) | CallError::Unexpected(_) => {
                Self::new(Exit::Failure, "protocol", error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_exit_code() {
        let exit = |code| Failure::failed(code, None).exit;
        assert_eq!(exit(Code::NOT_PERMITTED), Exit::Refused);
        assert_eq!(exit(Code::NOT_FOUND), Exit::NotFound);
        assert_eq!(exit(Code::CONFLICT), Exit::Conflict);
        assert_eq!(exit(Code::SEALED), Exit::Unreachable);
        assert_eq!(exit(Code::UNKNOWN_OPERATION), Exit::Usage);
        assert_eq!(exit(Code::INVALID_PARAMS), Exit::Usage);
        let login = |error| Failure::from(ConnectError::Login(error)).exit;
        assert_eq!(login(LoginError::NotAuthenticated), Exit::NotAuthenticated);
        assert_eq!(login(LoginError::WrongSite), Exit::NotAuthenticated);
        assert_eq!(login(LoginError::Sealed), Exit::Unreachable);
    }

    /// Every ended session once had the exit code of one that policy refused, or said that the connection was lost.
    #[test]
    fn a_session_that_was_ended_says_why_and_who_decided_it() {
        use countersign_proto::session::Goodbye;
        let shown = |reason| Failure::from(CallError::Ended(reason));
        let locked = shown(Goodbye::Locked);
        assert_eq!(
            locked.message,
            "the session was ended: the account was locked"
        );
        for reason in Goodbye::ALL {
            let exit = match reason {
                Goodbye::Done | Goodbye::Stopping | Goodbye::Idle | Goodbye::Replaced => {
                    Exit::Unreachable
                }
                _ => Exit::Refused,
            };
            assert_eq!(shown(reason).exit, exit, "{reason:?}");
        }
    }

    #[test]
    fn a_full_disk_is_a_failure_and_a_missing_file_is_not_found() {
        use std::io::ErrorKind;
        let exit = |kind: ErrorKind| Failure::file("x".as_ref(), &kind.into()).exit;
        assert_eq!(exit(ErrorKind::StorageFull), Exit::Failure);
        assert_eq!(exit(ErrorKind::NotFound), Exit::NotFound);
        assert_eq!(exit(ErrorKind::AlreadyExists), Exit::Conflict);
        let output = |kind: ErrorKind| Failure::output(&kind.into()).exit;
        assert_eq!(output(ErrorKind::StorageFull), Exit::Failure);
        assert_eq!(output(ErrorKind::BrokenPipe), Exit::Done);
    }

    #[test]
    fn a_wrong_site_key_is_a_warning_of_an_attack() {
        let failure = Failure::from(ConnectError::Login(LoginError::WrongSite));
        assert!(failure.message.starts_with("WARNING: ") && failure.message.contains("attack"));
    }
}
