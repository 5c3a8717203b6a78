//! A login over the session protocol, for the commands that need a session.

use std::path::PathBuf;

use clap::Args;
use countersign_client::{Client, Connector, LoginAs};
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::name::AccountName;
use countersign_proto::session::EncryptionOption;
use countersign_proto::uri::SiteUri;
use tokio::runtime::Runtime;

use super::key;
use super::link::Link;
use super::profile::Device;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input;
use crate::known_sites::KnownSites;
use crate::output::say;
use crate::profiles::ProfilesFolder;
use crate::secret_input::{Secret, passphrase};

/// The arguments of a login: site, account and encryption option.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// URI of the site, `countersign://HOST:PORT#SITEKEY`, as `site status` shows it. Without --as and --key,
    /// this device connects with its profile, which has the address of the site.
    #[arg(long, env = "COUNTERSIGN_SITE", value_name = "URI")]
    site: Option<SiteUri>,
    /// Connects as this device, with the profile that `enrol` saved [default: the default profile]. [env:
    /// COUNTERSIGN_PROFILE]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "key"])]
    profile: Option<String>,
    #[command(flatten)]
    folder: ProfilesFolder,
    /// Logs in as this person. [env: COUNTERSIGN_AS]
    #[arg(long = "as", value_name = "NAME", conflicts_with = "key")]
    name: Option<AccountName>,
    /// Logs in as the service with this key file. [env: COUNTERSIGN_KEY]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Accepts this encryption option; may be repeated, best first [default: the hybrid options, in the
    /// site's order].
    #[arg(
        long = "option",
        env = "COUNTERSIGN_OPTION",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    options: Vec<EncryptionOption>,
    /// Largest packet to receive or send, in bytes.
    #[arg(long, env = "COUNTERSIGN_MAX_PACKET", value_name = "BYTES", value_parser = clap::value_parser!(u32).range(256..=1_048_576))]
    max_packet: Option<u32>,
}

/// How to connect, with the secret for it. A program that connects again asks for nothing twice.
pub(super) enum Source {
    Session {
        site: Box<SessionSite>,
        who: LoginAs,
    },
    Device(Box<Device>),
}

/// A site to log in to by its URI.
pub(super) struct SessionSite {
    connector: Connector,
    pin: SitePublicKey,
    /// Where what is known of the site is stored.
    known_sites: Option<KnownSites>,
}

impl SessionSite {
    /// Logs in, and stores what the site's key events show.
    async fn connect(&self, who: LoginAs) -> Result<Client, Failure> {
        let client = self.connector.connect(who).await?;
        if let Some(known_sites) = &self.known_sites {
            let stored = known_sites.record(&self.pin, client.known_site());
            match stored {
                Err(failure) if failure.exit == Exit::NotAuthenticated => return Err(failure),
                // The login is good. Without the file the next one is a first contact again.
                Err(failure) => say(format_args!("warning: {}", failure.message)),
                Ok(()) => {}
            }
        }
        Ok(client)
    }
}

impl Source {
    pub(super) async fn connect(&self) -> Result<Link, Failure> {
        Ok(match self {
            Self::Session { site, who } => {
                let client = site.connect(who.clone()).await?;
                if let LoginAs::Person(_, passphrase) = who {
                    // If it fails, the next login tries again.
                    let _ = client.renew_passphrase(passphrase).await;
                }
                Link::Session(Box::new(client))
            }
            Self::Device(device) => device.connect().await?,
        })
    }

    /// Makes a fresh proof in a session that it has opened, for one change of the account's own
    /// credentials or of where its alarms go.
    ///
    /// # Errors
    /// A device cannot make one; or the site did not accept the proof.
    pub(super) async fn prove(&self, link: &Link) -> Result<(), Failure> {
        let (Self::Session { who, .. }, Link::Session(client)) = (self, link) else {
            return Err(Failure::usage("a device cannot make a fresh proof")
                .hint("log in with --site URI and --as NAME"));
        };
        match who {
            LoginAs::Person(_, passphrase) => match client.delivered().and(client.identity()) {
                Some(identity) => client.prove_key(identity).await?,
                None => client.prove_passphrase(passphrase).await?,
            },
            LoginAs::Service(identity) => client.prove_key(identity).await?,
        }
        Ok(())
    }

    /// The person.
    ///
    /// # Errors
    /// It is a service, which has no `what`.
    pub(super) fn person(&self, what: &str) -> Result<&AccountName, Failure> {
        match self {
            Self::Session {
                who: LoginAs::Person(name, _),
                ..
            } => Ok(name),
            Self::Device(device) => Ok(&device.profile.id),
            Self::Session {
                who: LoginAs::Service(_),
                ..
            } => Err(Failure::usage(format_args!("a service has no {what}"))
                .hint("give --as NAME to log in as a person")),
        }
    }
}

impl Login {
    /// Asks for the secret, then connects: in a session, or as this device.
    pub(super) fn connect(&self, common: &Common) -> Result<(Runtime, Link), Failure> {
        let source = self.source(common)?;
        let runtime =
            Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
        let link = runtime.block_on(source.connect())?;
        Ok((runtime, link))
    }

    /// Asks for the secret.
    pub(super) fn source(&self, common: &Common) -> Result<Source, Failure> {
        Ok(match self.profile() {
            Some(None) if self.site.is_some() && self.folder.open()?.default_name()?.is_none() => {
                return Err(Failure::usage("no account to log in with was given").hint(
                    "give --as NAME for a person or --key FILE for a service; or enrol this device",
                ));
            }
            Some(profile) => {
                let device = Device::read(common, &self.folder, profile.as_deref())?;
                Source::Device(Box::new(device))
            }
            None => {
                let who = self.who(common)?;
                let site = Box::new(self.session_site()?);
                Source::Session { site, who }
            }
        })
    }

    /// The name of the profile to connect with, inside the name of the default one (`None`); `None` for a
    /// login in a session.
    fn profile(&self) -> Option<Option<String>> {
        let variable = |name| {
            let value = std::env::var(name).ok()?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        if self.profile.is_some() {
            return Some(self.profile.clone());
        }
        // Not the site: README and guides export COUNTERSIGN_SITE for a whole terminal.
        let is_login = self.name.is_some()
            || self.key.is_some()
            || variable("COUNTERSIGN_AS").is_some()
            || variable("COUNTERSIGN_KEY").is_some();
        (!is_login).then(|| variable("COUNTERSIGN_PROFILE"))
    }

    /// Connects as this person.
    pub(super) fn connect_as(
        &self,
        name: AccountName,
        passphrase: Passphrase,
    ) -> Result<(Runtime, Client), Failure> {
        self.connect_to(LoginAs::person(name, passphrase))
    }

    /// The person who logs in, and their pass phrase.
    pub(super) fn person(&self, common: &Common) -> Result<(AccountName, Passphrase), Failure> {
        match self.who(common)? {
            LoginAs::Person(name, passphrase) => Ok((name, passphrase)),
            LoginAs::Service(_) => Err(Failure::usage("a service has no pass phrase")
                .hint("give --as NAME to log in as a person")),
        }
    }

    /// How to connect to the site.
    fn session_site(&self) -> Result<SessionSite, Failure> {
        let site = self.site.as_ref().ok_or_else(|| {
            Failure::usage("no site to log in to was given")
                .hint("give --site URI, which `countersign site status` shows at the site")
        })?;
        let mut connector = Connector::new(site);
        let (pin, known_sites) = (*site.site_key(), KnownSites::of_user());
        if let Some(known_sites) = &known_sites
            && let Some(known) = known_sites.find(&pin)?
        {
            connector = connector.expect(known);
        }
        if !self.options.is_empty() {
            connector = connector.prefer(self.options.iter().copied());
        }
        if let Some(bytes) = self.max_packet {
            connector = connector.max_packet(bytes);
        }
        Ok(SessionSite {
            connector,
            pin,
            known_sites,
        })
    }

    fn connect_to(&self, who: LoginAs) -> Result<(Runtime, Client), Failure> {
        let site = self.session_site()?;
        let runtime =
            Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
        let client = runtime.block_on(site.connect(who))?;
        Ok((runtime, client))
    }

    /// The account that logs in. If the command line names one, both environment variables are ignored,
    /// so that `--key` does not conflict with COUNTERSIGN_AS.
    fn who(&self, common: &Common) -> Result<LoginAs, Failure> {
        let from_environment = self.name.is_none() && self.key.is_none();
        let variable = |name| {
            let value = std::env::var_os(name).filter(|_| from_environment)?;
            (!value.to_string_lossy().trim().is_empty()).then_some(value)
        };
        let name = match variable("COUNTERSIGN_AS") {
            Some(name) => {
                let name = name.to_string_lossy();
                Some(input::trimmed(&name).map_err(|error| {
                    Failure::usage(format_args!("COUNTERSIGN_AS: {name:?}: {error}"))
                })?)
            }
            None => self.name.clone(),
        };
        let key = variable("COUNTERSIGN_KEY").map(PathBuf::from);
        match (name, key.or_else(|| self.key.clone())) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "both COUNTERSIGN_AS and COUNTERSIGN_KEY are set",
            )
            .hint("choose one with --as NAME or --key FILE")),
            (Some(name), None) => {
                let prompt = format!("Pass phrase of {name}");
                let file = common.secret_file(Secret::Person);
                let secret = passphrase(&prompt, file.as_deref())?;
                Ok(LoginAs::person(name, secret))
            }
            (None, Some(file)) => Ok(LoginAs::service(key::read(&file, common)?)),
            (None, None) => Err(Failure::usage("no account to log in with was given")
                .hint("give --as NAME for a person or --key FILE for a service")),
        }
    }
}
