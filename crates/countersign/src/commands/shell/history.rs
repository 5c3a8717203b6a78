//! The lines that were typed, kept for the next time; never one with a secret in it.

use std::path::PathBuf;

use rustyline::Editor;
use rustyline::history::FileHistory;

use crate::commands::operation::Operations;

/// What stands in the names of parameters that are secrets.
const SECRET: [&str; 6] = [
    "pass",
    "secret",
    "recovery_code",
    "token",
    "slot_file",
    "private",
];

/// Whether a line may be kept: no parameter of it is named as a secret is, and it does not begin with a
/// space, as in other shells.
pub(super) fn may_be_kept(line: &str, words: &[String]) -> bool {
    let mut names = words.iter().filter_map(|word| word.split_once('='));
    !line.starts_with(' ')
        && !names.any(|(name, _)| {
            let name = name.to_ascii_lowercase();
            SECRET.iter().any(|secret| name.contains(secret))
        })
}

/// The file of kept lines; `None` where no folder for it is known or can be made.
pub(super) fn file() -> Option<PathBuf> {
    let state = match std::env::var_os("XDG_STATE_HOME") {
        Some(state) => PathBuf::from(state),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".local/state"),
    };
    let folder = state.join("countersign");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// Keeps the lines. That they cannot be kept is no reason to fail: what was asked for is done.
pub(super) fn save(editor: &mut Editor<Operations, FileHistory>) {
    if let Some(file) = file() {
        let _ = editor.save_history(&file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::words;

    #[test]
    fn lines_with_secrets_are_not_kept() {
        let kept = |line| may_be_kept(line, &words(line).unwrap());
        assert!(kept("person create name=maria full_name='Maria Lind'"));
        assert!(kept("person show name=passaic"));
        for secret in [
            "site unseal passphrase=x",
            "site unseal passphrase:=\"x\"",
            "app set client_secret=x",
            "site unseal Recovery_Code=x",
            " person list",
        ] {
            assert!(!kept(secret), "{secret}");
        }
    }
}
