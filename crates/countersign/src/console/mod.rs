//! The web console: its files in this program, and how a user opens it.

mod link;

use countersign_server::ConsoleFiles;

use crate::failure::{Exit, Failure};

pub(crate) use link::{ConsoleAccess, TicketUse, origin};

/// The files of `console/dist` when the program was built, by name; none if the console was not built.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// Whether the program was built with the console.
pub(crate) const fn is_built() -> bool {
    !FILES.is_empty()
}

/// The files to serve. Without a console, they are a page that says so.
pub(crate) fn files() -> Result<ConsoleFiles, Failure> {
    match is_built() {
        true => ConsoleFiles::built(FILES)
            .map_err(|error| Failure::new(Exit::Failure, "console", error)),
        false => Ok(ConsoleFiles::not_built()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of two builds, or a file that was changed after the build, would leave a page that does not load.
    #[test]
    fn the_console_in_this_program_is_whole() {
        assert_eq!(files().unwrap().is_built(), !FILES.is_empty());
    }
}
