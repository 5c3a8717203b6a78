//! Pass phrases: from a prompt or a file, never from the command line.

use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use countersign_crypto::secret::Passphrase;

use crate::failure::{Exit, Failure};
use crate::output::say;
use crate::{input, prompt};

/// The fewest characters of a new pass phrase. Length is what slows a guesser down.
const FEWEST_CHARACTERS: usize = 12;

/// How often a new pass phrase is asked for before the command gives up.
const ATTEMPTS: u32 = 3;

/// What a pass phrase opens. Each kind has an environment variable of its own that names a file: a variable that
/// is set for `serve` must not give its secret to a person or to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    /// The site key.
    Site,
    /// The site key too, and another secret.
    RecoveryCode,
    /// A login of the person who runs the command.
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

    /// The file that the secret's variable names. An empty variable is one that is not set.
    pub(crate) fn file(self) -> Option<PathBuf> {
        let file = std::env::var_os(self.variable())?;
        (!file.is_empty()).then(|| PathBuf::from(file))
    }
}

/// The pass phrase in `file`, or else what is typed at a prompt.
pub(crate) fn passphrase(prompt: &str, file: Option<&Path>) -> Result<Passphrase, Failure> {
    match file {
        Some(file) => from_file(file),
        None => typed(prompt),
    }
}

/// A new pass phrase: typed twice, or in `file`.
pub(crate) fn new_passphrase(prompt: &str, file: Option<&Path>) -> Result<Passphrase, Failure> {
    match file {
        Some(file) => checked(from_file(file)?),
        None => typed_twice(prompt, ATTEMPTS),
    }
}

/// Asks until what is typed can be set and was typed twice, a few times at most.
fn typed_twice(prompt: &str, attempts: u32) -> Result<Passphrase, Failure> {
    let refused = match checked(typed(prompt)?) {
        Ok(passphrase) if typed(&format!("{prompt}, once more"))? == passphrase => {
            return Ok(passphrase);
        }
        Ok(_) => Failure::new(
            Exit::Failure,
            "passphrase_mismatch",
            "the two are not the same",
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

/// A pass phrase that may be set.
fn checked(passphrase: Passphrase) -> Result<Passphrase, Failure> {
    if passphrase.characters() < FEWEST_CHARACTERS {
        return Err(Failure::new(
            Exit::Failure,
            "short_passphrase",
            format_args!("a pass phrase has at least {FEWEST_CHARACTERS} characters"),
        )
        .hint("a few words in a row are long and easy to remember"));
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
            Failure::usage(format_args!("{prompt}: there is no terminal to type it at"))
                .hint("give it in a file: --passphrase-file FILE, or the secret's own variable"),
        );
    }
    prompt::hidden(prompt).map(Passphrase::from)
}

/// Reads a file (`-` is standard input), without one line end.
fn from_file(file: &Path) -> Result<Passphrase, Failure> {
    if file != Path::new(input::STANDARD) {
        warn_if_others_can_read(file);
    }
    input::secret(file).map(Passphrase::from)
}

/// Warns when a file with a secret in it can be read by more than its owner.
pub(crate) fn warn_if_others_can_read(file: &Path) {
    let mode = std::fs::metadata(file).map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        say(format_args!(
            "warning: {0} can be read by others; `chmod 600 {0}` keeps it to you",
            file.display()
        ));
    }
}
