//! `countersign call`: logs in over the session protocol and runs one operation.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign_client::{Client, Connector, Who};
use countersign_proto::name::AccountName;
use countersign_proto::session::EncryptionOption;
use countersign_proto::uri::SiteUri;
use serde_json::Map;
use serde_json::value::{RawValue, to_raw_value};

use super::key;
use crate::cli::Common;
use crate::failure::{Exit, Failure};
use crate::input::STANDARD_INPUT;
use crate::output::show;
use crate::params;
use crate::secret_input::passphrase;

/// Where and as whom to log in.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The site: `countersign://HOST:PORT#SITEKEY`, as `site status` shows it.
    #[arg(long, env = "COUNTERSIGN_SITE", value_name = "URI")]
    site: String,
    /// Logs in as this person. [env: COUNTERSIGN_AS]
    #[arg(long = "as", value_name = "NAME", conflicts_with = "key")]
    name: Option<AccountName>,
    /// Logs in as the service that this key file belongs to. [env: COUNTERSIGN_KEY]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Accepts this encryption option (may be repeated); the hybrid ones if none is given.
    #[arg(
        long = "option",
        env = "COUNTERSIGN_OPTION",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    options: Vec<EncryptionOption>,
    /// Takes and sends packets of at most this many bytes.
    #[arg(long, env = "COUNTERSIGN_MAX_PACKET", value_name = "BYTES", value_parser = clap::value_parser!(u32).range(256..=1_048_576))]
    max_packet: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    #[command(flatten)]
    login: Login,
    /// The operation's group.
    group: String,
    /// The operation's command.
    command: String,
    /// Its parameters: key=text, or key:=JSON.
    params: Vec<String>,
    /// Reads more parameters from a JSON object (`-`: standard input); those given here outrank it.
    #[arg(long, env = "COUNTERSIGN_PARAMS_FILE", value_name = "FILE")]
    params_file: Option<PathBuf>,
}

impl Login {
    /// Asks for what is secret, then connects.
    pub(crate) fn connect(
        &self,
        common: &Common,
    ) -> Result<(tokio::runtime::Runtime, Client), Failure> {
        let site: SiteUri = self.site.parse().map_err(|error| {
            Failure::usage(format_args!("--site: {error}"))
                .hint("`countersign site status --json` shows the `uri` at the site")
        })?;
        let who = self.who(common)?;
        let mut connector = Connector::new(&site);
        if !self.options.is_empty() {
            connector = connector.accept(self.options.iter().copied());
        }
        if let Some(bytes) = self.max_packet {
            connector = connector.max_packet(bytes);
        }
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
        let client = runtime.block_on(connector.connect(who))?;
        Ok((runtime, client))
    }

    /// Who logs in. What the command line says outranks the environment as a whole, so that `--key`
    /// does not quarrel with a name that was exported long ago.
    fn who(&self, common: &Common) -> Result<Who, Failure> {
        let from_environment = self.name.is_none() && self.key.is_none();
        let variable = |name| std::env::var(name).ok().filter(|_| from_environment);
        let name = match variable("COUNTERSIGN_AS") {
            Some(name) => Some(name.parse().map_err(|error| {
                Failure::usage(format_args!("COUNTERSIGN_AS: {name:?}: {error}"))
            })?),
            None => self.name.clone(),
        };
        let key = variable("COUNTERSIGN_KEY").map(PathBuf::from);
        match (name, key.or_else(|| self.key.clone())) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "both COUNTERSIGN_AS and COUNTERSIGN_KEY are set",
            )
            .hint("say which with --as NAME or --key FILE")),
            (Some(name), None) => {
                let prompt = format!("Pass phrase of {name}");
                let secret = passphrase(&prompt, common.passphrase_file.as_deref())?;
                Ok(Who::person(name, secret))
            }
            (None, Some(file)) => Ok(Who::service(key::read(&file, common)?)),
            (None, None) => Err(Failure::usage("nobody is named to log in as")
                .hint("give --as NAME for a person, --key FILE for a service")),
        }
    }
}

impl Call {
    fn params(&self) -> Result<Box<RawValue>, Failure> {
        let mut params = match &self.params_file {
            Some(file) => params::from_file(file)?,
            None => Map::new(),
        };
        params.extend(params::parse(&self.params)?);
        to_raw_value(&params).map_err(Failure::usage)
    }
}

pub(crate) fn call(common: &Common, call: &Call) -> Result<(), Failure> {
    let standard_input = Some(Path::new(STANDARD_INPUT));
    if call.params_file.as_deref() == standard_input
        && common.passphrase_file.as_deref() == standard_input
    {
        return Err(Failure::usage("standard input cannot hold both")
            .hint("give --passphrase-file or --params-file a file"));
    }
    let params = call.params()?;
    let (runtime, client) = call.login.connect(common)?;
    let outcome = runtime.block_on(client.outcome(&call.group, &call.command, params))?;
    // A goodbye that does not arrive changes nothing any more.
    let _ = runtime.block_on(client.close());
    show(&outcome, common.format())
}
