//! The command line: `countersign <noun> <verb>`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{app, audit, broker, call, key, option, person, service, site};
use crate::failure::EXIT_CODES;
use crate::output::Format;

/// The authentication authority and secure-session system that a team runs on its own machines.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_help = EXIT_CODES, propagate_version = true)]
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
    /// Reads the pass phrase from this file (`-`: standard input) in place of a prompt.
    #[arg(
        long,
        global = true,
        env = "COUNTERSIGN_PASSPHRASE_FILE",
        value_name = "FILE"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl Common {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
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
    /// The session listener's address; port 0 takes a free one.
    #[arg(long, env = "COUNTERSIGN_SESSION_LISTEN", value_name = "ADDRESS:PORT")]
    pub(crate) session_listen: Option<SocketAddr>,
    /// Where applications ask for tickets, over HTTP; port 0 takes a free one.
    #[arg(long, env = "COUNTERSIGN_HTTP_LISTEN", value_name = "ADDRESS:PORT")]
    pub(crate) http_listen: Option<SocketAddr>,
    /// The name under which clients reach this machine.
    #[arg(long, env = "COUNTERSIGN_PUBLIC_HOST", value_name = "HOST")]
    pub(crate) public_host: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration file; `countersign.toml` in the folder if there is one.
    #[arg(long, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The zone of names that are given without one; settled at the first launch.
    #[arg(long, env = "COUNTERSIGN_ZONE")]
    pub(crate) zone: Option<countersign_proto::name::Zone>,
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
        /// Does not ask.
        #[arg(long)]
        yes: bool,
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
        /// Does not ask.
        #[arg(long)]
        yes: bool,
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
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
