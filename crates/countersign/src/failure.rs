//! Failures as the command line reports them: the cause, what to do, a stable code; and exit codes.

use std::fmt;
use std::process::ExitCode;

use countersign_client::{CallError, ConnectError};
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::session::LoginError;

use crate::output::escape;

/// What the exit code of `countersign` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Something failed that has no code of its own.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The site cannot be reached, or is sealed.
    Unreachable = 3,
    /// Name, pass phrase, key or site key is not accepted.
    NotAuthenticated = 4,
    /// Policy or a lockdown refuses it.
    Refused = 5,
    /// What it is about does not exist.
    NotFound = 6,
    /// It exists already, or was changed meanwhile.
    Conflict = 7,
    /// A check found problems.
    Problems = 8,
}

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failure
  2  the command line is wrong
  3  the site cannot be reached, or is sealed
  4  not authenticated: name, pass phrase, key or site key
  5  refused by policy or lockdown
  6  not found
  7  conflict: it exists already, or was changed meanwhile
  8  a check found problems";

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
            Code::UNKNOWN_OPERATION | Code::MALFORMED => Exit::Usage,
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

    /// Shows the failure on standard error and gives its exit code.
    #[allow(
        clippy::print_stderr,
        reason = "failures are shown here and nowhere else"
    )]
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("error: {}", escape::text(&self.message));
        if !self.hint.is_empty() {
            eprintln!("  hint: {}", escape::text(&self.hint));
        }
        eprintln!("  [{}]", escape::line(&self.code));
        ExitCode::from(self.exit as u8)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let (exit, code, hint) = match &error {
            ConnectError::Unreachable { .. } | ConnectError::TooSlow { .. } => (
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
                    "the site does not say which; an admin sees the account with `person show`",
                ),
                LoginError::WrongSite => (
                    Exit::NotAuthenticated,
                    "wrong_site",
                    "compare the key after # with the one that `site status` shows at the site",
                ),
                LoginError::Sealed => (
                    Exit::Unreachable,
                    "sealed",
                    "open its key with `site unseal` at the site",
                ),
                LoginError::Busy => (Exit::Unreachable, "busy", "try again in a while"),
                LoginError::NoCommonOption(_) => (
                    Exit::Refused,
                    "no_common_option",
                    "accept one of them with --option",
                ),
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

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed { code, problem } => Self::failed(code, problem),
            CallError::Ended(_) => Self::new(Exit::Refused, "session_ended", error),
            CallError::Broken => Self::new(Exit::Failure, "broken", error),
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
        assert_eq!(exit(Code::INVALID_PARAMS), Exit::Failure);
        let login = |error| Failure::from(ConnectError::Login(error)).exit;
        assert_eq!(login(LoginError::NotAuthenticated), Exit::NotAuthenticated);
        assert_eq!(login(LoginError::WrongSite), Exit::NotAuthenticated);
        assert_eq!(login(LoginError::Sealed), Exit::Unreachable);
    }

    #[test]
    fn a_wrong_site_key_is_a_warning_of_an_attack() {
        let failure = Failure::from(ConnectError::Login(LoginError::WrongSite));
        assert!(failure.message.starts_with("WARNING: ") && failure.message.contains("attack"));
    }

    #[test]
    fn the_help_names_every_exit_code() {
        for exit in [
            Exit::Failure,
            Exit::Usage,
            Exit::Unreachable,
            Exit::NotAuthenticated,
            Exit::Refused,
            Exit::NotFound,
            Exit::Conflict,
            Exit::Problems,
        ] {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", exit as u8)));
        }
    }
}
