//! `countersign config`.

use crate::cli::{Common, Config};
use crate::config;
use crate::failure::{Exit, Failure};
use crate::output::{print, say};
use crate::site::folder::Folder;

pub(crate) fn run(common: &Common, verb: Config) -> Result<(), Failure> {
    match verb {
        Config::Check { file } => {
            let file = file.unwrap_or_else(|| Folder::config_in(&common.data));
            config::read(&file).map_err(|failure| match failure.code.as_str() {
                "config" => Failure {
                    exit: Exit::Problems,
                    ..failure
                },
                _ => failure,
            })?;
            say(format_args!("{} is sound", file.display()));
            Ok(())
        }
        Config::Example => print(config::EXAMPLE),
    }
}
