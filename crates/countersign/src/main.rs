//! The one binary: command line and wiring.

mod address;
mod admin;
mod backup;
mod cli;
mod commands;
mod config;
mod content;
mod duration;
mod escape;
mod exit;
mod failure;
mod files;
mod global;
mod hint;
mod input;
mod log;
mod output;
mod params;
mod prompt;
mod secret_input;
mod site;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Noun};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return cli::explain(&error),
    };
    let (format, folder) = (cli.common.format(), cli.common.data.clone());
    let code =
        run(cli).unwrap_or_else(|failure| output::report(&failure.in_folder(&folder), format));
    // The thread that writes them ends with the process.
    log::flush();
    code
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let common = &cli.common;
    match cli.noun {
        Noun::Serve(serve) => site::serve::serve(common, serve),
        Noun::Dev(listen) => site::serve::dev(common, listen),
        Noun::Site(verb) => commands::site::run(common, &verb),
        Noun::Person(verb) => commands::person::run(common, verb),
        Noun::Passphrase(verb) => commands::passphrase::run(common, verb),
        Noun::Service(verb) => commands::service::run(common, verb),
        Noun::App(verb) => commands::app::run(common, verb),
        Noun::Broker(verb) => commands::broker::run(common, verb),
        Noun::Key(verb) => commands::key::run(common, verb),
        Noun::Session(verb) => commands::session::run(common, verb),
        Noun::Penalty(verb) => commands::penalty::run(common, verb),
        Noun::Option(verb) => commands::option::run(common, verb),
        Noun::Operation(verb) => commands::operation::run(common, &verb),
        Noun::Audit(verb) => return commands::audit::run(common, &verb),
        Noun::Backup(verb) => commands::backup::run(common, &verb),
        Noun::Doctor => return commands::doctor::run(common),
        Noun::Config(verb) => commands::config::run(common, verb),
        Noun::Call(call) => commands::call::call(common, &call),
        Noun::Shell(login) => commands::shell::run(common, &login),
        Noun::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
            output::write_bytes(&script)
        }
    }
    .map(|()| ExitCode::SUCCESS)
}
