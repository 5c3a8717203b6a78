//! The arguments of every command.

use std::path::PathBuf;

use clap::Args;

use crate::output::Format;
use crate::secret_input::Secret;

/// The arguments of every command.
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
    /// The output format.
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
    /// Reads the pass phrase from this file (`-`: standard input) instead of a prompt. [env: one for each
    /// secret, such as COUNTERSIGN_SITE_PASSPHRASE_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Runs disruptive operations without asking.
    #[arg(long, global = true)]
    pub(crate) yes: bool,
}

impl Common {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }

    /// The file with an existing secret: from the flag, or else from the secret's environment variable.
    pub(crate) fn secret_file(&self, secret: Secret) -> Option<PathBuf> {
        self.passphrase_file.clone().or_else(|| secret.file())
    }
}
