//! The command line: `countersign <noun> <verb>`.

use std::ffi::OsStr;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::address;
use crate::commands::{
    app, audit, backup, broker, call, key, option, passphrase, person, service, site,
};
use crate::config::PublicHost;
use crate::exit;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::Format;
use crate::secret_input::Secret;

/// The authentication authority and secure-session system that a team runs on its own machines.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_help = exit::help(), propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// The site's folder.
    #[arg(
        long,
        global = true,
        env = "COUNTERSIGN_DATA",
        default_value = "./site",
        value_name = "DIR"
    )]
    pub(crate) data: PathBuf,
    /// The form of what is shown.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        env = "COUNTERSIGN_OUTPUT",
        default_value_t
    )]
    output: Format,
    /// Short for `--output json`.
    #[arg(long, global = true)]
    json: bool,
    /// Reads the pass phrase from this file (`-`: standard input) in place of a prompt. [env: the secret's own, such as
    /// COUNTERSIGN_SITE_PASSPHRASE_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Does not ask before what takes something away.
    #[arg(long, global = true)]
    pub(crate) yes: bool,
}

impl Common {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }

    /// The file with a secret that opens something: the one of the flag, or else of the secret's own variable.
    pub(crate) fn secret_file(&self, secret: Secret) -> Option<PathBuf> {
        self.passphrase_file.clone().or_else(|| secret.file())
    }
}

impl Cli {
    /// Reads the command line. An environment variable that is empty is one that is not set.
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

/// Shows help, or what is wrong with the command line, and gives the exit code.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let shown = error.print().and_then(|()| std::io::stdout().flush());
        return match shown.map_err(|error| Failure::output(&error)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(Format::Text),
        };
    }
    if json_is_asked_for() {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        return Failure::usage(text.trim_end()).report(Format::Json);
    }
    // Where standard error is closed, the exit code still tells.
    let _ = error.print();
    ExitCode::from(Exit::Usage as u8)
}

/// Whether the command line, which could not be read as a whole, asks for JSON.
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
    /// Runs the site in the folder; makes it at the first launch.
    Serve(Serve),
    /// Runs a throw-away site on this machine alone, already open.
    Dev(Listen),
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
    /// Applications that call each other.
    #[command(subcommand)]
    App(app::Verb),
    /// The site's part between applications: its public keys.
    #[command(subcommand)]
    Broker(broker::Verb),
    /// Key files.
    #[command(subcommand)]
    Key(key::Verb),
    /// Open sessions.
    #[command(subcommand)]
    Session(Session),
    /// Sources that misbehaved and have to wait.
    #[command(subcommand)]
    Penalty(Penalty),
    /// Encryption options.
    #[command(subcommand)]
    Option(option::Verb),
    /// The audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// Backups of the site.
    #[command(subcommand)]
    Backup(backup::Verb),
    /// Looks for what is wrong or about to be; exit code 8 when it finds something.
    Doctor,
    /// What the site can be asked to do.
    #[command(subcommand)]
    Operation(ListOnly),
    /// The configuration file.
    #[command(subcommand)]
    Config(Config),
    /// Logs in and runs one operation.
    Call(call::Call),
    /// Logs in and reads operations from a prompt.
    Shell(call::Login),
    /// Prints a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Where a site listens.
#[derive(Debug, Clone, Args)]
pub(crate) struct Listen {
    /// The session listener's address, or a name of this machine; port 0 takes a free one.
    #[arg(long, env = "COUNTERSIGN_SESSION_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) session_listen: Option<SocketAddr>,
    /// Where applications ask for tickets, over HTTP; port 0 takes a free one.
    #[arg(long, env = "COUNTERSIGN_HTTP_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) http_listen: Option<SocketAddr>,
    /// The name under which clients reach this machine.
    #[arg(long, env = "COUNTERSIGN_PUBLIC_HOST", value_name = "HOST", value_parser = input::trimmed::<PublicHost>)]
    pub(crate) public_host: Option<PublicHost>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration file; `countersign.toml` in the folder if there is one.
    #[arg(long, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The zone of names that are given without one; settled at the first launch.
    #[arg(long, env = "COUNTERSIGN_ZONE", value_parser = input::trimmed::<countersign_proto::name::Zone>)]
    pub(crate) zone: Option<countersign_proto::name::Zone>,
    /// Makes a site in a folder that has files of another one, whose database is gone.
    #[arg(long)]
    pub(crate) new: bool,
    #[command(flatten)]
    pub(crate) listen: Listen,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ListOnly {
    /// Lists them.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// Lists open sessions.
    List,
    /// Shows all that is known of a session.
    Show {
        /// The session's id.
        id: String,
    },
    /// Cuts a session.
    Cut {
        /// The session's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Penalty {
    /// Lists the sources that misbehaved lately, the worst first.
    List,
    /// Lets a source in again, or all.
    Forget {
        /// An IP address; all sources when left out.
        source: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Lists the last entries, in the order in which they were written.
    List(audit::List),
    /// Writes all entries as JSON, a line each.
    Export {
        /// Begins after the entry of this number.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// To this file (`-`: standard output).
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
        /// Replaces that file if there is one.
        #[arg(long, requires = "save")]
        force: bool,
    },
    /// Checks the whole chain; exit code 8 when an entry is not as it was written.
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Reads the configuration file and names what is wrong with it.
    Check {
        /// The file; `countersign.toml` in the site's folder if none is given.
        file: Option<PathBuf>,
    },
    /// Prints a commented configuration file with the defaults.
    Example,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
