//! `countersign serve`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use countersign_core::access::Caller;
use countersign_core::engine::{Parts, ScriptOutcome, Site, UnsealError};
use countersign_core::lockdown::Activity;
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::public_url::PublicUrl;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{SlotFile, SlotSecret};
use countersign_proto::name::Zone;
use countersign_proto::session::Strength;
use countersign_server::{ConsoleFiles, Server, StartError, clock, descriptors};
use countersign_store::SqliteStore;
use tracing::{info, warn};

use super::channels::channels;
use super::first_launch::{self, FirstLaunch, Opener};
use super::folder::Folder;
use super::listen::{Listen, http_tls, proxies};
use super::reload::Settings;
use super::run::{Serving, Supervisor};
use super::runtime::Runtime;
use crate::config::{self, Config, DeviceAddress};
use crate::console::{self, ConsoleAccess};
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::hint;
use crate::input;
use crate::log::{self, Log};
use crate::output::say;
use crate::secret_input::credential;
use crate::secret_input::{Secret, new_passphrase, passphrase};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file [default: `countersign.toml` in the site's folder, if it exists].
    #[arg(long, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Zone of account names that are given without one; set at the first launch.
    #[arg(long, env = "COUNTERSIGN_ZONE", value_parser = input::trimmed::<Zone>)]
    pub(crate) zone: Option<Zone>,
    /// Creates a site in a folder with files of an old site whose database is missing.
    #[arg(long)]
    pub(crate) new: bool,
    /// Unseals the site with this credential of the service manager, which has a key slot.
    #[arg(long, env = "COUNTERSIGN_SITE_CREDENTIAL", value_name = "NAME")]
    pub(crate) credential: Option<String>,
    #[command(flatten)]
    pub(crate) listen: Listen,
}

/// Runs the site in the folder until a signal stops it. Creates it at the first launch.
pub(crate) fn serve(common: &Common, serve: Serve) -> Result<(), Failure> {
    log::open()?;
    let supervisor = Supervisor::new()?;
    descriptors::raise();
    let folder = Folder::lock(&common.data)?;
    let own_config = serve.config.is_none();
    let (settings, config) = Settings::read(serve.config, &folder, serve.listen)?;
    let log = Log::start(&config)?;
    let runtime = Arc::new(Runtime::new(settings, &log));
    first_launch::check(&folder, serve.new)?;
    folder.keep_to_owner()?;
    let reload = {
        let runtime = runtime.clone();
        move |_: &Server| runtime.reload()
    };
    let asked = Asked {
        zone: serve.zone,
        new: serve.new,
        credential: serve.credential,
        own_config,
        runtime,
    };
    let starting = start_serve(common.clone(), folder, config, asked);
    supervisor.run(starting, Some(reload))
}

/// The flags of `serve` that affect the first launch.
struct Asked {
    zone: Option<Zone>,
    /// `--new`: create a site in a folder with files of an old one.
    new: bool,
    /// The credential that unseals the site.
    credential: Option<String>,
    /// The configuration file is the one in the site's folder.
    own_config: bool,
    /// The settings that change while the site runs.
    runtime: Arc<Runtime>,
}

/// Starts the site of `serve`.
async fn start_serve(
    common: Common,
    folder: Folder,
    config: Config,
    asked: Asked,
) -> Result<Serving, Failure> {
    let store = open_store(&folder).await?;
    let server = serve_site(&store, &common, &folder, config, asked).await;
    serving(server, store, folder).await
}

async fn serve_site(
    store: &Arc<SqliteStore>,
    common: &Common,
    folder: &Folder,
    mut config: Config,
    asked: Asked,
) -> Result<Server, Failure> {
    let parts = parts(store.clone(), config.options.floor)?;
    let asked_zone = asked.zone.or(config.site.zone.take());
    let new = first_launch::is_wanted(folder, &**store, asked.new).await?;
    let site = if new {
        let file = common.secret_file(Secret::Site);
        let secret = new_passphrase("Pass phrase for the new site's key", file.as_deref())?;
        let text = config::first(&config, asked_zone.as_ref());
        let new = FirstLaunch {
            zone: zone(asked_zone)?,
            opener: Opener::Passphrase(secret),
            config: asked.own_config.then_some(text.as_str()),
        };
        first_launch::create(common, folder, parts, new).await?
    } else {
        let site = Site::open(parts)
            .await
            .map_err(|error| Failure::new(Exit::Failure, "store", error))?;
        if asked_zone.is_some_and(|asked| asked != site.zone()) {
            warn!(zone = %site.zone(), "the zone was set at the first launch and cannot be changed");
        }
        for option in site.options_below_floor() {
            warn!(%option, "this option is enabled but not offered: it is below options.floor of the configuration");
        }
        open_key(&site, folder, common, asked.credential.as_deref()).await?;
        site
    };
    let runtime = asked.runtime;
    site.configure_with(runtime.clone());
    apply_scripts(&site, folder).await?;
    let stored = site.stored_settings();
    let config = runtime.start(stored.clone())?;
    let console = embedded_console(&config)?;
    let server = start(&site, folder, &config, console).await?;
    runtime.attach(server.reloader(), &stored);
    if new {
        first_launch::what_next(folder.path());
        let console = console_access(&config, &server, &site);
        first_launch::show_admin_ticket(common, folder.path(), &site, console).await;
    }
    ready(&site);
    Ok(server)
}

/// Completes a start. If it failed, the database is closed, so that SQLite removes its write-ahead log,
/// which the next site in the folder must not find.
pub(super) async fn serving(
    server: Result<Server, Failure>,
    store: Arc<SqliteStore>,
    folder: Folder,
) -> Result<Serving, Failure> {
    match server {
        Ok(server) => Ok(Serving {
            server,
            store,
            _folder: folder,
        }),
        Err(failure) => {
            store.close().await;
            Err(failure)
        }
    }
}

/// The files of the console, unless the configuration switches it off.
pub(super) fn embedded_console(config: &Config) -> Result<Option<ConsoleFiles>, Failure> {
    let is_on = config.listen.console;
    is_on.then(console::files).transpose()
}

/// How a user gets to the console, if this program has it.
pub(super) fn console_access(
    config: &Config,
    server: &Server,
    site: &Site,
) -> Option<ConsoleAccess> {
    let is_served = config.listen.console && server.http_address().is_some();
    if !is_served || !console::is_built() {
        return None;
    }
    let public = config.listen.public_url.as_ref().map(PublicUrl::as_str);
    let uri = site.endpoints().uri;
    let tls = config.listen.http_tls;
    ConsoleAccess::find(public, server.http_address(), tls, uri.as_deref())
}

pub(super) async fn open_store(folder: &Folder) -> Result<Arc<SqliteStore>, Failure> {
    let absent = folder.has_no_database();
    let store = SqliteStore::open(&folder.database()).await;
    if store.is_err() && absent {
        folder.remove_database();
    }
    store
        .map(Arc::new)
        .map_err(|error| Failure::new(Exit::Failure, "store", error))
}

pub(crate) fn parts(store: Arc<SqliteStore>, floor: Strength) -> Result<Parts, Failure> {
    Ok(Parts {
        store,
        table: operations::table()
            .map_err(|error| Failure::new(Exit::Failure, "operations", error))?,
        entropy: Box::new(SystemEntropy),
        offer: Offer::default(),
        floor,
    })
}

pub(super) fn zone(given: Option<Zone>) -> Result<Zone, Failure> {
    match given {
        Some(zone) => Ok(zone),
        None => "local"
            .parse()
            .map_err(|error| Failure::new(Exit::Failure, "zone", error)),
    }
}

/// The pass phrase of the site key, from a file or typed at the terminal. `None` if there is neither, or
/// if the typed one is empty.
fn given_passphrase(common: &Common) -> Result<Option<Passphrase>, Failure> {
    let file = common.secret_file(Secret::Site);
    if file.is_none() && !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let prompt = "Pass phrase of the site key (empty: stay sealed)";
    let secret = passphrase(prompt, file.as_deref())?;
    Ok((file.is_some() || !secret.as_bytes().is_empty()).then_some(secret))
}

/// Unseals the site with the credential, the slot file or the pass phrase; without any, says how to
/// unseal it.
async fn open_key(
    site: &Site,
    folder: &Folder,
    common: &Common,
    named: Option<&str>,
) -> Result<(), Failure> {
    let refused = |error: UnsealError| {
        let exit = match error {
            UnsealError::Key(_) => Exit::NotAuthenticated,
            // The secret was right, but for example the disk is full.
            _ => Exit::Failure,
        };
        Failure::new(exit, "site_key", format_args!("the site key: {error}"))
    };
    let own = folder.slot_file();
    let file = match named {
        Some(name) => Some(credential::file(name)?),
        None => own.exists().then_some(own),
    };
    let otherwise = match named {
        Some(_) => "leave out --credential",
        None => "move it away",
    };
    if let Some(file) = file {
        let slot = SlotFile::from_text(&input::text(&file)?)
            .map_err(|error| Failure::new(Exit::NotAuthenticated, "site_key", error))?;
        site.unseal(&Caller::site(), SlotSecret::File(&slot), clock::now())
            .await
            .map_err(|error| {
                refused(error).hint(format_args!(
                    "{} belongs to another site or was replaced: put the right file there, or {otherwise} \
                     and start with the pass phrase",
                    file.display()
                ))
            })?;
    } else if let Some(secret) = given_passphrase(common)? {
        site.unseal(
            &Caller::site(),
            SlotSecret::Passphrase(&secret),
            clock::now(),
        )
        .await
        .map_err(refused)?;
    } else {
        let sealed = "The site is sealed. Unseal it with `countersign site unseal`.";
        say(hint::in_folder(sealed, folder.path()));
    }
    Ok(())
}

pub(super) async fn apply_scripts(site: &Site, folder: &Folder) -> Result<(), Failure> {
    let scripts = folder.scripts()?;
    if site.is_sealed() && !scripts.is_empty() {
        warn!(
            "initialisation scripts were not applied: they are applied when the site starts unsealed"
        );
        return Ok(());
    }
    if !site.permits(Activity::InitScript) {
        warn!(
            "initialisation scripts were not applied: the site is in lockdown; they are applied when the site starts after it was lifted"
        );
        return Ok(());
    }
    for script in scripts {
        let text = input::text(&script)?;
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        match site.apply_script(&name, &text, clock::now()).await {
            Ok(ScriptOutcome::Applied { operations }) => info!(%name, operations, "script applied"),
            Ok(ScriptOutcome::AppliedBefore { .. }) => {}
            Ok(ScriptOutcome::ChangedSince { at }) => {
                warn!(%name, %at, "the script was changed after it was applied; it is not applied again");
            }
            Err(error) => {
                let message = format!("{}: {error}", script.display());
                return Err(Failure::new(Exit::Failure, "script", message)
                    .hint("correct the line and start again: the script continues at this line"));
            }
        }
    }
    Ok(())
}

pub(super) async fn start(
    site: &Site,
    folder: &Folder,
    config: &Config,
    console: Option<ConsoleFiles>,
) -> Result<Server, Failure> {
    let [
        (enrolment_host, enrolment_port),
        (device_host, device_port),
        (peer_host, peer_port),
    ] = [
        &config.listen.enrolment_address,
        &config.listen.device_address,
        &config.listen.peer_address,
    ]
    .map(|address| {
        let address = address.as_ref();
        let host = address.map(|address| address.host().to_string());
        (host, address.and_then(DeviceAddress::port))
    });
    let mut origins = config.listen.http_origins.clone();
    // The console is a page of the site itself.
    let public = config.listen.public_url.as_ref().map(PublicUrl::as_str);
    origins.extend(public.map(console::origin));
    Server::builder(site.clone())
        .limits(config.limits())
        .channels(channels(config)?)
        .session(config.listen.session)
        .http(config.listen.http)
        .http_origins(origins)
        .public_url(config.listen.public_url.clone())
        .console(console)
        .http_tls(http_tls(config)?)
        .device(config.listen.device)
        .enrolment_address(enrolment_host, enrolment_port)
        .device_address(device_host, device_port)
        .peer(config.listen.peer)
        .peer_address(peer_host, peer_port)
        .health(config.listen.health)
        .proxies(proxies(config))
        .public_host(config.listen.public_host.as_ref().map(ToString::to_string))
        .database(&folder.database())
        .admin_socket(&Folder::admin_socket_in(folder.path()))
        .start()
        .await
        .map_err(|error| {
            let hint = start_hint(&error, config);
            Failure::new(Exit::Failure, "listen", error).hint(hint)
        })
}

/// What to do about a listener that cannot be bound or an address that is wrong.
fn start_hint(error: &StartError, config: &Config) -> String {
    match error {
        StartError::Listen { address, .. } => {
            let flag = match Some(*address) {
                address if address == config.listen.device => "--device-listen",
                address if address == config.listen.http => "--http-listen",
                address if address == config.listen.health => "--health-listen",
                _ => "--session-listen",
            };
            format!("choose another address with {flag}; port 0 takes a free one")
        }
        StartError::NoTls { .. } => {
            "set listen.http_tls to \"site\" or \"files\", or name a proxy with TLS in listen.http_proxies; or listen on 127.0.0.1"
                .to_owned()
        }
        StartError::Certificate(_) => {
            "correct listen.http_certificate and listen.http_key".to_owned()
        }
        StartError::PublicHost { .. } => "correct listen.public_host or --public-host".to_owned(),
        StartError::DeviceHost { .. } => {
            "correct listen.device_address, listen.enrolment_address or listen.public_host"
                .to_owned()
        }
        StartError::AdminSocket { .. } => {
            "try a folder with a shorter path, or another folder".to_owned()
        }
        StartError::Descriptors(_) => "raise the hard limit (ulimit -Hn, LimitNOFILE=)".to_owned(),
    }
}

pub(super) fn ready(site: &Site) {
    if let Some(uri) = site.endpoints().uri {
        say(format_args!("The site is at {uri}"));
    }
}
