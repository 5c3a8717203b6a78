//! The program `countersign`: it runs a site (`serve`, `dev`), administers it through the admin socket
//! in its folder, and logs in to sites as a client (`call`, `shell`).
//!
//! Each command declares its arguments and runs in `commands`; `site` starts and stops a site. The
//! program makes no decisions about accounts, tickets or sessions: these are in `countersign-core`. The
//! library is for its binary and for fuzz targets: a program that embeds a site uses
//! `countersign-server`, and a client uses `countersign-client`.
//!
//! ```text
//! countersign serve --data ./site            # create and run a site
//! countersign person create maria            # in another terminal
//! countersign call --site URI --as maria self show
//! ```

mod admin;
mod backup;
mod cli;
mod commands;
mod config;
mod console;
mod content;
mod escape;
mod exit;
mod failure;
mod files;
mod global;
mod hint;
mod input;
mod known_sites;
mod log;
mod output;
pub mod parsers;
mod profiles;
mod qr;
mod secret_input;
mod site;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Noun};
use crate::failure::Failure;

/// Runs the command that the arguments of the process name, and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return cli::explain(&error),
    };
    let (format, folder) = (cli.common.format(), cli.common.data.clone());
    let code =
        run(cli).unwrap_or_else(|failure| output::report(&failure.in_folder(&folder), format));
    // The thread that writes log lines ends with the process.
    log::flush();
    code
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let common = &cli.common;
    match cli.noun {
        Noun::Serve(serve) => site::serve::serve(common, serve),
        Noun::Dev(listen) => site::dev::dev(common, listen),
        Noun::Site(verb) => commands::site::run(common, &verb),
        Noun::Person(verb) => commands::person::run(common, verb),
        Noun::Passphrase(verb) => commands::passphrase::run(common, verb),
        Noun::Service(verb) => commands::service::run(common, verb),
        Noun::Ticket(verb) => commands::ticket::run(common, verb),
        Noun::Peer(verb) => commands::peer::run(common, verb),
        Noun::Token(verb) => commands::token::run(common, verb),
        Noun::Device(verb) => commands::device::run(common, verb),
        Noun::Enrol(enrol) => commands::enrol::run(common, &enrol),
        Noun::Profile(command) => commands::profile::run(common, &command),
        Noun::App(verb) => commands::app::run(common, verb),
        Noun::Broker(verb) => commands::broker::run(common, verb),
        Noun::Key(verb) => commands::key::run(common, verb),
        Noun::Session(verb) => commands::session::run(common, verb),
        Noun::Lockdown(verb) => commands::lockdown::run(common, verb),
        Noun::Penalty(verb) => commands::penalty::run(common, verb),
        Noun::Sign(sign) => commands::signing::sign(common, &sign),
        Noun::Verify(verify) => commands::signing::verify(common, &verify),
        Noun::Option(verb) => commands::option::run(common, verb),
        Noun::Operation(verb) => commands::operation::run(common, &verb),
        Noun::Alarm(verb) => commands::alarm::run(common, verb),
        Noun::Audit(verb) => return commands::audit::run(common, &verb),
        Noun::Backup(verb) => commands::backup::run(common, &verb),
        Noun::Doctor => return commands::doctor::run(common),
        Noun::Config(verb) => commands::config::run(common, verb),
        Noun::Console(console) => commands::console::run(common, &console),
        Noun::Call(call) => commands::call::call(common, &call, &Cli::command()),
        Noun::Shell(login) => commands::shell::run(common, &login, Cli::command()),
        Noun::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
            output::write_bytes(&script)
        }
    }
    .map(|()| ExitCode::SUCCESS)
}
