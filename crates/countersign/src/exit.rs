//! The exit codes of every command: one table, from which `--help` and the reference page come.

/// What the exit code of `countersign` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The reader of standard output has closed it: it has seen enough.
    Done = 0,
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
    /// Ctrl-C, as shells count it.
    Interrupted = 130,
}

/// Every code: what it means, and what leads to it.
const TABLE: [(Exit, &str, &str); 10] = [
    (
        Exit::Done,
        "done",
        "also when the reader of standard output closes it early, as `head -1` does",
    ),
    (
        Exit::Failure,
        "failure",
        "a full disk or standard output, a file that cannot be read, a damaged key file, an answer other than yes to a question, and all that has no code of its own",
    ),
    (
        Exit::Usage,
        "the command line or a parameter is wrong",
        "also parameters of an operation in `call` and `shell`, and a question that cannot be asked without a terminal",
    ),
    (
        Exit::Unreachable,
        "the site cannot be reached, or is sealed",
        "no site in the folder, no connection, a lost connection, a site that is too busy",
    ),
    (
        Exit::NotAuthenticated,
        "not authenticated: name, pass phrase, key or site key",
        "also `site unseal` and `serve` with a wrong pass phrase or recovery code, and the wrong pass phrase of a key file",
    ),
    (
        Exit::Refused,
        "refused by policy or lockdown",
        "an operation that the account may not call, no encryption option in common, `app ticket` when there is no ticket",
    ),
    (
        Exit::NotFound,
        "not found, at the site or on this machine",
        "a name or an id that the site does not have, a file that does not exist",
    ),
    (
        Exit::Conflict,
        "conflict: it exists already, or was changed meanwhile",
        "a name that is taken, a file that is not overwritten",
    ),
    (
        Exit::Problems,
        "a check found problems",
        "`audit verify`, `backup verify` and `restore`, `config check`, `doctor`",
    ),
    (
        Exit::Interrupted,
        "interrupted with Ctrl-C",
        "at a prompt; the terminal is as it was before",
    ),
];

/// The exit codes, for `--help`.
pub(crate) fn help() -> String {
    let lines = TABLE.map(|(exit, meaning, _)| format!("\n{:>5}  {meaning}", exit as u8));
    format!("Exit codes:{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/exit-codes.md"
    );

    /// `--help` and the program had come apart: a wrong pass phrase of the site key ended with 5.
    #[test]
    fn the_reference_page_has_the_table() {
        let rows = TABLE
            .map(|(exit, meaning, causes)| format!("| {} | {meaning} | {causes} |\n", exit as u8));
        let page = format!(
            "<!-- Written by a test from crates/countersign/src/exit.rs; renew with COUNTERSIGN_BLESS=1. -->\n\n\
             # Exit codes\n\n\
             Every command of `countersign` ends with one of these. With `--json` a failure is one JSON object on\n\
             standard error, with the members `code` (stable), `message`, `hint` and `exit`.\n\n\
             | code | meaning | what leads to it |\n|---|---|---|\n{}",
            rows.concat()
        );
        if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
            std::fs::write(PAGE, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(PAGE).unwrap(), page);
    }
}
