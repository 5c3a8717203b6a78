//! The exit codes of every command: one table, from which `--help` and the reference page come.

/// An exit code of `countersign`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The reader of standard output has closed it: it has seen enough.
    Done = 0,
    /// A failure without a code of its own.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The site is unreachable or sealed.
    Unreachable = 3,
    /// Name, pass phrase, key or site key is not accepted.
    NotAuthenticated = 4,
    /// Policy refuses it.
    Refused = 5,
    /// The named object does not exist.
    NotFound = 6,
    /// The object already exists, or was changed in the meantime.
    Conflict = 7,
    /// A check found problems.
    Problems = 8,
    /// Ctrl-C, as shells count it.
    Interrupted = 130,
}

/// Every code, its meaning, and cases in which a command ends with it.
const TABLE: [(Exit, &str, &str); 10] = [
    (
        Exit::Done,
        "done",
        "success; also if the reader of standard output closes it early, as `head -1` does",
    ),
    (
        Exit::Failure,
        "failure",
        "a full disk, a full standard output, an unreadable file, a damaged key file, an answer other than yes to a confirmation, and every failure without a code of its own",
    ),
    (
        Exit::Usage,
        "the command line or a parameter is wrong",
        "also wrong parameters of an operation in `call` and `shell`, and a confirmation without a terminal and without `--yes`",
    ),
    (
        Exit::Unreachable,
        "the site is unreachable or sealed",
        "no running site in the folder, no connection, a lost connection, a busy site",
    ),
    (
        Exit::NotAuthenticated,
        "not authenticated: name, pass phrase, key or site key",
        "also a wrong pass phrase or recovery code for `site unseal` and `serve`, and a wrong pass phrase for a key file",
    ),
    (
        Exit::Refused,
        "refused by policy",
        "an operation that the account may not call, no common encryption option, a session that the site ended by a decision, `app ticket` without a ticket",
    ),
    (
        Exit::NotFound,
        "not found at the site or on this machine",
        "an unknown name or id, a file that does not exist, `doctor` or `backup create` in a folder without a site",
    ),
    (
        Exit::Conflict,
        "conflict: the object already exists, or was changed in the meantime",
        "a name that is in use, a file that would be overwritten",
    ),
    (
        Exit::Problems,
        "a check found problems",
        "`audit verify`, `backup verify`, `backup restore`, `config check`, `doctor`",
    ),
    (
        Exit::Interrupted,
        "interrupted with Ctrl-C",
        "at a prompt; the terminal is restored",
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
             Every command of `countersign` ends with one of these codes. With `--json`, a failure is one JSON\n\
             object on standard error. Its members are `code` (stable), `message`, `hint` and `exit`.\n\n\
             | code | meaning | cases |\n|---|---|---|\n{}",
            rows.concat()
        );
        if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
            std::fs::write(PAGE, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(PAGE).unwrap(), page);
    }
}
