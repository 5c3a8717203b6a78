//! Pass phrases from a prompt or a file, never from the command line.

pub(crate) mod credential;
pub(crate) mod prompt;

use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use countersign_crypto::secret::Passphrase;

use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::say;

/// How many times a command asks for a new pass phrase.
const ATTEMPTS: u32 = 3;

/// The kinds of secrets. Each has an environment variable of its own that names a file, so that a
/// variable set for `serve` never provides the secret of a person or of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    /// The site key.
    Site,
    /// Also opens the site key.
    RecoveryCode,
    /// The pass phrase with which the person who runs the command logs in.
    Person,
    /// A key file.
    Key,
    /// A sealed backup.
    Backup,
}

impl Secret {
    fn variable(self) -> &'static str {
        match self {
            Self::Site => "COUNTERSIGN_SITE_PASSPHRASE_FILE",
            Self::RecoveryCode => "COUNTERSIGN_RECOVERY_CODE_FILE",
            Self::Person => "COUNTERSIGN_PERSON_PASSPHRASE_FILE",
            Self::Key => "COUNTERSIGN_KEY_PASSPHRASE_FILE",
            Self::Backup => "COUNTERSIGN_BACKUP_PASSPHRASE_FILE",
        }
    }

    /// The file that the secret's variable names. An empty variable counts as not set.
    pub(crate) fn file(self) -> Option<PathBuf> {
        let file = std::env::var_os(self.variable())?;
        (!file.is_empty()).then(|| PathBuf::from(file))
    }
}

/// The pass phrase in `file`; without a file, the one typed at the prompt.
pub(crate) fn passphrase(prompt: &str, file: Option<&Path>) -> Result<Passphrase, Failure> {
    match file {
        Some(file) => from_file(file),
        None => typed(prompt),
    }
}

/// A new pass phrase in `file`; without a file, one typed twice at the prompt.
pub(crate) fn new_passphrase(prompt: &str, file: Option<&Path>) -> Result<Passphrase, Failure> {
    match file {
        Some(file) => checked(from_file(file)?),
        None => typed_twice(prompt, ATTEMPTS),
    }
}

/// Asks at most `attempts` times, until the pass phrase is acceptable and typed twice.
fn typed_twice(prompt: &str, attempts: u32) -> Result<Passphrase, Failure> {
    let refused = match checked(typed(prompt)?) {
        Ok(passphrase) if typed(&format!("{prompt}, once more"))? == passphrase => {
            return Ok(passphrase);
        }
        Ok(_) => Failure::new(
            Exit::Failure,
            "passphrase_mismatch",
            "the two pass phrases are not the same",
        ),
        Err(refused) => refused,
    };
    prompt::discard_typed_ahead();
    match attempts.saturating_sub(1) {
        0 => Err(refused),
        left => {
            say(format_args!("{}; try again", refused.message));
            typed_twice(prompt, left)
        }
    }
}

/// Checks a new pass phrase.
fn checked(passphrase: Passphrase) -> Result<Passphrase, Failure> {
    let min = Passphrase::MIN_CHARACTERS;
    if passphrase.characters() < min {
        return Err(Failure::new(
            Exit::Failure,
            "short_passphrase",
            format_args!("a pass phrase has at least {min} characters"),
        )
        .hint("use a few words in a row: they are long and easy to remember"));
    }
    match passphrase.check_new() {
        Ok(()) => Ok(passphrase),
        Err(bad) => Err(Failure::new(Exit::Failure, "bad_passphrase", bad)
            .hint("use characters that every keyboard can type")),
    }
}

fn typed(prompt: &str) -> Result<Passphrase, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::usage(format_args!("{prompt}: there is no terminal to type it in"))
                .hint("give it in a file: --passphrase-file FILE, or the environment variable of this secret"),
        );
    }
    prompt::hidden(prompt).map(Passphrase::from)
}

/// Reads a file (`-` is standard input) and removes one line end.
fn from_file(file: &Path) -> Result<Passphrase, Failure> {
    if file != Path::new(input::STANDARD) {
        warn_if_others_can_read(file);
    }
    input::secret(file).map(Passphrase::from)
}

/// Warns if users other than its owner can read a file with a secret.
pub(crate) fn warn_if_others_can_read(file: &Path) {
    let mode = std::fs::metadata(file).map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        say(format_args!(
            "warning: other users can read {0}; run `chmod 600 {0}`",
            file.display()
        ));
    }
}
