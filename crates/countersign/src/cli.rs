//! The command line: `countersign <noun> <verb>`, composed of the arguments that each command declares.

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;

use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    alarm, app, audit, backup, broker, call, config, console, device, enrol, key, lockdown, login,
    operation, option, passphrase, peer, penalty, person, profile, service, session, signing, site,
    ticket, token,
};
use crate::exit;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::output::{Format, report};
use crate::site::dev::Dev;
use crate::site::serve::Serve;

/// The authentication authority and secure-session system that a team runs on its own machines.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_help = exit::help(), propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

impl Cli {
    /// Reads the command line. An empty environment variable counts as not set.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = without_empty_variables(Self::command()).try_get_matches()?;
        Self::from_arg_matches(&matches)
    }
}

fn without_empty_variables(command: Command) -> Command {
    let is_empty = |name: &OsStr| {
        std::env::var_os(name).is_some_and(|value| value.to_string_lossy().trim().is_empty())
    };
    command
        .mut_args(|arg| match arg.get_env().is_some_and(is_empty) {
            true => arg.env(None::<&'static str>),
            false => arg,
        })
        .mut_subcommands(without_empty_variables)
}

/// Prints help, or the error in the command line, and returns the exit code.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let shown = error.print().and_then(|()| std::io::stdout().flush());
        return match shown.map_err(|error| Failure::output(&error)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => report(&failure, Format::Text),
        };
    }
    if json_is_asked_for() {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        return report(&Failure::usage(text.trim_end()), Format::Json);
    }
    // If standard error is closed, the exit code still reports the error.
    let _ = error.print();
    ExitCode::from(Exit::Usage as u8)
}

/// Whether a command line with errors asks for JSON output.
fn json_is_asked_for() -> bool {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .take_while(|word| word != "--")
        .collect();
    let is_form = |form: &str| matches!(form, "json" | "jsonl");
    let is_flag = |flag: &str| matches!(flag, "-o" | "--output");
    let joined = |word: &str| {
        let form = word.strip_prefix("--output=").or(word.strip_prefix("-o"));
        form.is_some_and(|form| is_form(form.trim_start_matches('=')))
    };
    words.iter().any(|word| word == "--json" || joined(word))
        || words
            .windows(2)
            .any(|two| matches!(two, [flag, form] if is_flag(flag) && is_form(form)))
        || std::env::var("COUNTERSIGN_OUTPUT").is_ok_and(|form| is_form(form.trim()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// Runs the site in the folder; creates it at the first launch.
    Serve(Serve),
    /// Runs a temporary, unsealed site that only this machine can reach.
    Dev(Dev),
    /// The site itself and its key.
    #[command(subcommand)]
    Site(site::Verb),
    /// People, who log in with a pass phrase.
    #[command(subcommand)]
    Person(person::Verb),
    /// Your own pass phrase.
    #[command(subcommand)]
    Passphrase(passphrase::Verb),
    /// Services, which log in with a key.
    #[command(subcommand)]
    Service(service::Verb),
    /// Enrolment tickets, with which people register devices.
    #[command(subcommand)]
    Ticket(ticket::Verb),
    /// Access tokens, with which programs call the site over HTTP.
    #[command(subcommand)]
    Token(token::Verb),
    /// The devices of people.
    #[command(subcommand)]
    Device(device::Verb),
    /// Other sites that this one trusts, and messages to and from their people.
    #[command(subcommand)]
    Peer(peer::Verb),
    /// Registers this device with an enrolment ticket and saves a profile.
    Enrol(enrol::Enrol),
    /// The profiles of this device, with which it connects to sites.
    Profile(profile::Command),
    /// Applications that call each other.
    #[command(subcommand)]
    App(app::Verb),
    /// The ticket broker: the site's public keys for applications.
    #[command(subcommand)]
    Broker(broker::Verb),
    /// Key files.
    #[command(subcommand)]
    Key(key::Verb),
    /// Signs a file with your own key.
    Sign(signing::Sign),
    /// Verifies the signature of a file; exit code 8 if it does not verify.
    Verify(signing::Verify),
    /// Open sessions.
    #[command(subcommand)]
    Session(session::Verb),
    /// Lockdown: refuses an account, an application, or everyone, until it is lifted.
    #[command(subcommand)]
    Lockdown(lockdown::Verb),
    /// Rate-limit penalties of source addresses.
    #[command(subcommand)]
    Penalty(penalty::Verb),
    /// Encryption options.
    #[command(subcommand)]
    Option(option::Verb),
    /// Alarms, and the messages that tell persons of them.
    #[command(subcommand)]
    Alarm(alarm::Verb),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Backups of the site.
    #[command(subcommand)]
    Backup(backup::Verb),
    /// Checks the site for problems; exit code 8 if it finds one.
    Doctor,
    /// The operations of the site.
    #[command(subcommand)]
    Operation(operation::Verb),
    /// The configuration: its file, and settings of the running site.
    #[command(subcommand)]
    Config(config::Verb),
    /// Serves the web console of a site on this machine, from the files of this program.
    Console(console::Console),
    /// Logs in and runs one operation.
    Call(call::Call),
    /// Logs in and reads operations from a prompt.
    Shell(login::Login),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// One of 64 site ids begins with a hyphen: the commands that texts tell were refused.
    #[test]
    fn a_site_id_that_begins_with_a_hyphen_is_no_option() {
        for command in [
            "peer show",
            "peer suspend",
            "peer resume",
            "peer remove",
            "peer forget",
            "lockdown peer",
            "lockdown lift peer",
        ] {
            let line = format!("countersign {command} -abc --json");
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
    }
}
