//! Failures of commands: exit code, stable code, message and hint.

use std::fmt;

use countersign_client::device::DeviceError;
use countersign_client::passphrase_ticket::PassphraseTicketError;
use countersign_client::{CallError, ConnectError, CredentialError};
use countersign_proto::enrolment::passphrase::client::RegistrationError;
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::session::LoginError;

use crate::escape;
pub(crate) use crate::exit::Exit;
use crate::hint;

/// A failure to report: what happened (`message`), what to do (`hint`) and a stable `code`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: String,
    /// Whether a site wrote the hint.
    pub(crate) is_of_site: bool,
    pub(crate) code: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            hint: String::new(),
            is_of_site: false,
            code: code.to_owned(),
        }
    }

    /// Adds a hint: what to do.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = hint.to_string();
        self.is_of_site = false;
        self
    }

    /// Adds `--data` to the commands in the hint, for the site in this folder. The hint of a site has it where
    /// it belongs: its other commands run elsewhere.
    pub(crate) fn in_folder(mut self, folder: &std::path::Path) -> Self {
        if !self.is_of_site {
            self.hint = hint::in_folder(&self.hint, folder);
        }
        self
    }

    /// An error in the command line.
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
            | std::io::ErrorKind::FileTooLarge => failure.hint(
                "free some space, or name a file on another disk; the incomplete file was removed",
            ),
            _ => failure,
        }
    }

    /// Standard output cannot be written. If its reader closed it, that is not an error.
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

    /// The failure of an operation.
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
            // Message and hint stay on a line each, so that the site's text cannot look like another line.
            Some(problem) => Self {
                hint: escape::line(&problem.hint.unwrap_or_default()),
                is_of_site: true,
                ..Self::new(exit, &problem.code, escape::line(&problem.message))
            },
            None => Self::new(
                exit,
                &code.to_string(),
                format_args!("the operation failed: {code}"),
            ),
        }
    }
}

impl From<PassphraseTicketError> for Failure {
    fn from(error: PassphraseTicketError) -> Self {
        use RegistrationError as Dialog;
        let (exit, code, hint) = match &error {
            PassphraseTicketError::Connection(DeviceError::KeyEvents(_))
            | PassphraseTicketError::Channel(ConnectError::Login(LoginError::KeyEvents(_))) => {
                (Exit::NotAuthenticated, "key_events", KEY_EVENTS_HINT)
            }
            PassphraseTicketError::Connection(DeviceError::WrongSite { .. })
            | PassphraseTicketError::Channel(ConnectError::Login(_))
            | PassphraseTicketError::Dialog(Dialog::AnotherSite) => (
                Exit::NotAuthenticated,
                "wrong_site",
                "ask the admin whether the ticket is genuine",
            ),
            PassphraseTicketError::Dialog(Dialog::Refused) => (
                Exit::NotAuthenticated,
                "ticket_refused",
                "check the id, and ask an admin for a new ticket of kind passphrase",
            ),
            PassphraseTicketError::Dialog(Dialog::Broken) => (
                Exit::Unreachable,
                "closed",
                "log in with the new pass phrase; if that fails, run the same command again",
            ),
            PassphraseTicketError::Dialog(Dialog::WrongKind(_)) => (Exit::Usage, "usage", ""),
            PassphraseTicketError::Dialog(_) => (
                Exit::Failure,
                "protocol",
                "check that client and site have the same version",
            ),
            PassphraseTicketError::Connection(_) | PassphraseTicketError::Channel(_) => (
                Exit::Unreachable,
                "unreachable",
                "check that the site is running and that the ticket is complete",
            ),
            PassphraseTicketError::Opaque(_)
            | PassphraseTicketError::Identity(_)
            | PassphraseTicketError::Interrupted => (Exit::Failure, "passphrase", ""),
        };
        Self::new(exit, code, &error).hint(hint)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let (exit, code, hint) = match &error {
            ConnectError::Unreachable { .. } | ConnectError::Timeout { .. } => (
                Exit::Unreachable,
                "unreachable",
                "check that the site is running and that the address is right",
            ),
            ConnectError::Closed { .. } => (
                Exit::Unreachable,
                "closed",
                "check that the address is the session port of a Countersign site",
            ),
            ConnectError::Login(login) => match login {
                LoginError::NotAuthenticated => (
                    Exit::NotAuthenticated,
                    "not_authenticated",
                    "check the name and the secret; an admin can check the account with `countersign person show NAME`",
                ),
                LoginError::WrongSite => (
                    Exit::NotAuthenticated,
                    "wrong_site",
                    "compare the key after # with the key that `countersign site status` shows at the site",
                ),
                LoginError::KeyEvents(_) => (Exit::NotAuthenticated, "key_events", KEY_EVENTS_HINT),
                LoginError::Sealed => (
                    Exit::Unreachable,
                    "sealed",
                    "unseal it with `countersign site unseal` at the site",
                ),
                LoginError::Lockdown => (
                    Exit::Refused,
                    "lockdown",
                    "ask its operator, who sees the reason with `countersign lockdown status` at the site",
                ),
                LoginError::Busy => (Exit::Unreachable, "busy", "try again later"),
                LoginError::NoCommonOption(_) => (
                    Exit::Refused,
                    "no_common_option",
                    "accept one of these options with --option",
                ),
                LoginError::PacketsTooSmall => (Exit::Usage, "usage", ""),
                LoginError::Ended(_) | LoginError::Protocol(_) => (
                    Exit::Failure,
                    "protocol",
                    "check that client and site have the same version",
                ),
            },
        };
        let warning = match &error {
            ConnectError::Login(LoginError::WrongSite | LoginError::KeyEvents(_)) => "WARNING: ",
            _ => "",
        };
        Self::new(exit, code, format_args!("{warning}{error}")).hint(hint)
    }
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Call(error) => error.into(),
            CredentialError::Connection(error) => error.into(),
            CredentialError::WrongPassphrase => {
                Self::new(Exit::NotAuthenticated, "not_authenticated", error)
            }
            CredentialError::WrongSite => Self::new(Exit::NotAuthenticated, "wrong_site", error),
            CredentialError::NoPassphrase => Self::new(Exit::Usage, "usage", error),
            CredentialError::InvalidResponse(_) => Self::new(Exit::Failure, "protocol", error)
                .hint("check that client and site have the same version"),
            CredentialError::Opaque(_)
            | CredentialError::Identity(_)
            | CredentialError::Interrupted => Self::new(Exit::Failure, "registration", error),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed { code, problem } => {
                let failure = Self::failed(code, problem);
                let hint = hint::commands(&failure.hint);
                Self { hint, ..failure }
            }
            CallError::Ended(reason) => {
                let exit = match reason.is_decision() {
                    true => Exit::Refused,
                    false => Exit::Unreachable,
                };
                Self::new(exit, "session_ended", error)
            }
            CallError::IncompleteContent => Self::new(Exit::Failure, "broken", error),
            CallError::Lost => Self::new(Exit::Unreachable, "connection_lost", error),
            CallError::TooLong { .. } => Self::new(Exit::Usage, "usage", error),
            CallError::Params(_) | CallError::Unexpected(_) => {
                Self::new(Exit::Failure, "protocol", error)
            }
        }
    }
}

/// What to do when a site's key events contradict what is known of it.
pub(crate) const KEY_EVENTS_HINT: &str = "tell the site's operator, who can compare with `countersign site key events`; remove what is known of the \
     site only after the operator gave you its key in person";

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
        assert_eq!(login(LoginError::Lockdown), Exit::Refused);
        assert_eq!(exit(Code::LOCKDOWN), Exit::Refused);
    }

    /// Every ended session had the exit code of a refusal, or was reported as a lost connection.
    #[test]
    fn an_ended_session_reports_the_reason_and_its_exit_code() {
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
    fn a_wrong_site_key_warns_of_an_attack() {
        let failure = Failure::from(ConnectError::Login(LoginError::WrongSite));
        assert!(failure.message.starts_with("WARNING: ") && failure.message.contains("attack"));
    }
}
