//! `countersign serve` and `countersign dev`.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use countersign_core::caller::Caller;
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::site::{Parts, ScriptOutcome, Site, UnsealError};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{SlotFile, SlotSecret};
use countersign_proto::name::Zone;
use countersign_proto::session::Strength;
use countersign_server::{Proxies, Server, clock};
use countersign_store::SqliteStore;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use super::first_launch::{self, Opener};
use super::folder::Folder;
use crate::cli::{Common, Listen, Serve};
use crate::config::{self, Config, LogFormat};
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::say;
use crate::secret_input::{Secret, new_passphrase, passphrase};

/// Serves the site in the folder until it is told to stop; makes it at the first launch.
pub(crate) fn serve(common: &Common, serve: Serve) -> Result<(), Failure> {
    let folder = Folder::lock(&common.data)?;
    let usual = Folder::config_in(folder.path());
    let mut config = config::read_or_default(serve.config.as_deref(), &usual)?;
    listen_as_told(&mut config, serve.listen);
    start_log(&config)?;
    run(async {
        let store = open_store(&folder).await?;
        let parts = parts(store.clone(), config.options.floor)?;
        let asked_zone = serve.zone.or(config.site.zone.take());
        let new = !Site::exists(&*store).await.map_err(store_failure)?;
        let site = if new {
            let file = common.secret_file(Secret::Site);
            let secret = new_passphrase("Pass phrase for the new site's key", file.as_deref())?;
            let zone = zone(asked_zone)?;
            first_launch::found(&folder, parts, zone, &Opener::Passphrase(secret)).await?
        } else {
            let site = Site::open(parts)
                .await
                .map_err(|error| Failure::new(Exit::Failure, "store", error))?;
            if asked_zone.is_some_and(|asked| asked != site.zone()) {
                warn!(zone = %site.zone(), "the zone was settled at the first launch and stays");
            }
            for option in site.options_held_back() {
                warn!(%option, "enabled, and not offered: it lies under the configuration's floor");
            }
            open_key(&site, &folder, common).await?;
            site
        };
        apply_scripts(&site, &folder).await?;
        let server = start(&site, &folder, &config).await?;
        if new {
            first_launch::what_next(folder.path());
        }
        let told = told_to_stop()?;
        ready(&site);
        told.await;
        stop(server, &store).await;
        Ok(())
    })
}

/// Serves a throw-away site on this machine alone.
pub(crate) fn dev(common: &Common, listen: Listen) -> Result<(), Failure> {
    let given = common.data != Path::new("./site");
    let path = if given {
        common.data.clone()
    } else {
        Folder::throw_away()?
    };
    let folder = Folder::lock(&path)?;
    let mut config = Config::default();
    config.listen.session = std::net::SocketAddr::from(([127, 0, 0, 1], 4747));
    listen_as_told(&mut config, listen);
    start_log(&config)?;
    let result = run(async {
        let store = open_store(&folder).await?;
        if Site::exists(&*store).await.map_err(store_failure)? {
            return Err(Failure::new(
                Exit::Conflict,
                "not_throw_away",
                format_args!("there is a site in {}", path.display()),
            )
            .hint("`countersign dev` makes a new one each time; use `countersign serve`"));
        }
        let site = first_launch::found(
            &folder,
            parts(store.clone(), config.options.floor)?,
            zone(None)?,
            &Opener::File,
        )
        .await?;
        apply_scripts(&site, &folder).await?;
        let server = start(&site, &folder, &config).await?;
        say("It is thrown away when you stop it with Ctrl-C.");
        first_launch::what_next(&path);
        let told = told_to_stop()?;
        ready(&site);
        told.await;
        stop(server, &store).await;
        Ok(())
    });
    drop(folder);
    // A folder that the user named is theirs.
    if !given {
        let _ = std::fs::remove_dir_all(&path);
    }
    result
}

fn listen_as_told(config: &mut Config, listen: Listen) {
    if let Some(address) = listen.session_listen {
        config.listen.session = address;
    }
    if listen.http_listen.is_some() {
        config.listen.http = listen.http_listen;
    }
    if listen.public_host.is_some() {
        config.listen.public_host = listen.public_host;
    }
}

fn start_log(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_env("COUNTERSIGN_LOG")
        .or_else(|_| EnvFilter::try_new(&config.log.level))
        .map_err(|error| {
            Failure::new(Exit::Failure, "config", format_args!("log.level: {error}"))
        })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !is_without_color());
    match config.log.format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// Whether the user wants no colors anywhere (<https://no-color.org>).
fn is_without_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn run<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(Exit::Failure, "runtime", error))?
        .block_on(future)
}

async fn open_store(folder: &Folder) -> Result<Arc<SqliteStore>, Failure> {
    let store = SqliteStore::open(&folder.database()).await;
    store
        .map(Arc::new)
        .map_err(|error| Failure::new(Exit::Failure, "store", error))
}

fn store_failure(error: countersign_core::store::StoreError) -> Failure {
    Failure::new(Exit::Failure, "store", error)
}

fn parts(store: Arc<SqliteStore>, floor: Strength) -> Result<Parts, Failure> {
    Ok(Parts {
        store,
        table: operations::table()
            .map_err(|error| Failure::new(Exit::Failure, "operations", error))?,
        entropy: Box::new(SystemEntropy),
        offer: Offer::default(),
        floor,
    })
}

fn zone(given: Option<Zone>) -> Result<Zone, Failure> {
    match given {
        Some(zone) => Ok(zone),
        None => "local"
            .parse()
            .map_err(|error| Failure::new(Exit::Failure, "zone", error)),
    }
}

/// The site key's pass phrase: from a file, or from whoever sits at the terminal. `None` where there is
/// neither, and when nothing is typed.
fn given_passphrase(common: &Common) -> Result<Option<Passphrase>, Failure> {
    let file = common.secret_file(Secret::Site);
    if file.is_none() && !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let prompt = "Pass phrase of the site key (nothing: stay sealed)";
    let secret = passphrase(prompt, file.as_deref())?;
    Ok((file.is_some() || !secret.as_bytes().is_empty()).then_some(secret))
}

/// Opens the site key with the slot file or the pass phrase, or else tells how to.
async fn open_key(site: &Site, folder: &Folder, common: &Common) -> Result<(), Failure> {
    let refused = |error: UnsealError| {
        let exit = match error {
            UnsealError::Key(_) => Exit::NotAuthenticated,
            // A full disk, for one: the secret was right.
            _ => Exit::Failure,
        };
        Failure::new(exit, "site_key", format_args!("the site key: {error}"))
    };
    let slot = folder.slot_file();
    if slot.exists() {
        let slot = SlotFile::from_text(&input::text(&slot)?)
            .map_err(|error| Failure::new(Exit::NotAuthenticated, "site_key", error))?;
        site.unseal(&Caller::site(), SlotSecret::File(&slot), clock::now())
            .await
            .map_err(refused)?;
    } else if let Some(secret) = given_passphrase(common)? {
        site.unseal(
            &Caller::site(),
            SlotSecret::Passphrase(&secret),
            clock::now(),
        )
        .await
        .map_err(refused)?;
    } else {
        say(format_args!(
            "The site is sealed. Open its key with `countersign site unseal --data {}`.",
            folder.path().display()
        ));
    }
    Ok(())
}

async fn apply_scripts(site: &Site, folder: &Folder) -> Result<(), Failure> {
    let scripts = folder.scripts()?;
    if site.is_sealed() && !scripts.is_empty() {
        warn!("initialisation scripts wait until the site is started with its key open");
        return Ok(());
    }
    for script in scripts {
        let text = input::text(&script)?;
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        match site.apply_script(&name, &text, clock::now()).await {
            Ok(ScriptOutcome::Applied { operations }) => info!(%name, operations, "script applied"),
            Ok(ScriptOutcome::AppliedBefore { .. }) => {}
            Ok(ScriptOutcome::ChangedSince { at }) => {
                warn!(%name, %at, "script was changed since it was applied; it is not run again");
            }
            Err(error) => {
                let message = format!("{}: {error}", script.display());
                return Err(Failure::new(Exit::Failure, "script", message)
                    .hint("put the line right and start again: it goes on there"));
            }
        }
    }
    Ok(())
}

async fn start(site: &Site, folder: &Folder, config: &Config) -> Result<Server, Failure> {
    Server::builder(site.clone())
        .limits(config.limits())
        .session(config.listen.session)
        .http(config.listen.http)
        .proxies(Proxies {
            addresses: config.listen.http_proxies.clone(),
            believed: config.listen.http_forwarded,
        })
        .public_host(config.listen.public_host.clone())
        .admin_socket(&Folder::admin_socket_in(folder.path()))
        .start()
        .await
        .map_err(|error| {
            Failure::new(Exit::Failure, "listen", error)
                .hint("choose another address with --session-listen or --http-listen; port 0 takes a free one")
        })
}

fn ready(site: &Site) {
    if let Some(uri) = site.endpoints().uri {
        say(format_args!("The site is at {uri}"));
    }
}

/// Listens for Ctrl-C and the termination signal from now on: the future is done when one comes.
///
/// Called before anybody is told that the site is there, so that whoever ends it at once ends it in order.
fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::Failure, "signal", error));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn stop(server: Server, store: &SqliteStore) {
    info!("stopping");
    server.stop().await;
    store.close().await;
}
