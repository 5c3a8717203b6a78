//! The history of the shell. Lines with secrets are never stored.

use std::path::PathBuf;

use rustyline::Editor;
use rustyline::history::FileHistory;

use crate::commands::operation::Operations;

/// Parts of the names of parameters that are secrets.
const SECRET: [&str; 6] = [
    "pass",
    "secret",
    "recovery_code",
    "token",
    "slot_file",
    "private",
];

/// Whether a line may be stored: no parameter has the name of a secret, and the line does not begin with
/// a space, as in other shells.
pub(super) fn may_be_kept(line: &str, words: &[String]) -> bool {
    let mut names = words.iter().filter_map(|word| word.split_once('='));
    !line.starts_with(' ')
        && !names.any(|(name, _)| {
            let name = name.to_ascii_lowercase();
            SECRET.iter().any(|secret| name.contains(secret))
        })
}

/// The history file; `None` if there is no folder for it and none can be made.
pub(super) fn file() -> Option<PathBuf> {
    let state = match std::env::var_os("XDG_STATE_HOME") {
        Some(state) => PathBuf::from(state),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".local/state"),
    };
    let folder = state.join("countersign");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// Stores the lines. An error is ignored: the operations of the session are done.
pub(super) fn save(editor: &mut Editor<Operations, FileHistory>) {
    if let Some(file) = file() {
        let _ = editor.save_history(&file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::params::words;

    #[test]
    fn lines_with_secrets_are_not_stored() {
        let may_be_stored = |line| may_be_kept(line, &words(line).unwrap());
        assert!(may_be_stored(
            "person create name=maria full_name='Maria Lind'"
        ));
        assert!(may_be_stored("person show name=passaic"));
        for secret in [
            "site unseal passphrase=x",
            "site unseal passphrase:=\"x\"",
            "app set client_secret=x",
            "site unseal Recovery_Code=x",
            " person list",
        ] {
            assert!(!may_be_stored(secret), "{secret}");
        }
    }
}
