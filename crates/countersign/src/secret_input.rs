//! Pass phrases: from a prompt or a file, never from the command line.

use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use countersign_crypto::secret::Passphrase;

use crate::failure::{Exit, Failure};
use crate::input::STANDARD;
use crate::output::say;

/// The fewest characters of a new pass phrase. Length is what slows a guesser down.
const FEWEST_CHARACTERS: usize = 12;

/// The pass phrase in `file`, or else what is typed at a prompt.
pub(crate) fn passphrase(prompt: &str, file: Option<&Path>) -> Result<Passphrase, Failure> {
    match file {
        Some(file) => from_file(file),
        None => typed(prompt),
    }
}

/// A new pass phrase: typed twice, or in `file`.
pub(crate) fn new_passphrase(prompt: &str, file: Option<&Path>) -> Result<Passphrase, Failure> {
    let passphrase = passphrase(prompt, file)?;
    if passphrase.characters() < FEWEST_CHARACTERS {
        return Err(Failure::new(
            Exit::Failure,
            "short_passphrase",
            format_args!("a pass phrase has at least {FEWEST_CHARACTERS} characters"),
        )
        .hint("a few words in a row are long and easy to remember"));
    }
    if file.is_none() && typed(&format!("{prompt}, once more"))? != passphrase {
        return Err(Failure::new(
            Exit::Failure,
            "passphrase_mismatch",
            "the two are not the same",
        ));
    }
    Ok(passphrase)
}

fn typed(prompt: &str) -> Result<Passphrase, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::usage(format_args!("{prompt}: there is no terminal to type it at"))
                .hint("give it in a file with --passphrase-file"),
        );
    }
    rpassword::prompt_password(format!("{prompt}: "))
        .map(Passphrase::from)
        .map_err(|error| Failure::new(Exit::Failure, "prompt", error))
}

/// Reads a file (`-` is standard input) up to one line end.
fn from_file(file: &Path) -> Result<Passphrase, Failure> {
    let mut text = String::new();
    if file == Path::new(STANDARD) {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        warn_if_others_can_read(file);
        std::fs::File::open(file).and_then(|mut open| open.read_to_string(&mut text))
    }
    .map_err(|error| Failure::file(file, &error))?;
    let end = text
        .trim_end_matches('\n')
        .len()
        .max(text.len().saturating_sub(1));
    text.truncate(end);
    Ok(text.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        from_file(file.path()).unwrap().as_bytes().to_vec()
    }

    #[test]
    fn one_line_end_is_no_part_of_a_pass_phrase() {
        assert_eq!(read("a pass phrase"), b"a pass phrase");
        assert_eq!(read("a pass phrase\n"), b"a pass phrase");
        assert_eq!(read(" a pass phrase \n\n"), b" a pass phrase \n");
    }
}
