//! `countersign config`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::config;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::output::{print, say};
use crate::site::channels::channels;
use crate::site::folder::Folder;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Checks the configuration file; exit code 8 if it has an error.
    Check {
        /// Configuration file [default: `countersign.toml` in the site's folder].
        file: Option<PathBuf>,
    },
    /// Prints a commented configuration file with the defaults.
    Example,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Check { file } => {
            let file = file.unwrap_or_else(|| Folder::config_in(&common.data));
            let checked = config::read(&file).and_then(|config| channels(&config));
            checked.map_err(|failure| match failure.code.as_str() {
                "config" => Failure {
                    exit: Exit::Problems,
                    ..failure
                },
                _ => failure,
            })?;
            say(format_args!("{} is valid", file.display()));
            Ok(())
        }
        Verb::Example => print(&config::example()),
    }
}
