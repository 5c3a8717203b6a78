//! `countersign dev`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use countersign_proto::name::Zone;
use countersign_server::{ConsoleFiles, Server, descriptors};
use countersign_store::SqliteStore;

use super::dev_login;
use super::first_launch::{self, FirstLaunch, Opener};
use super::folder::Folder;
use super::listen::{Listen, apply_flags};
use super::reload::Settings;
use super::run::{Serving, Supervisor};
use super::runtime::Runtime;
use super::serve::{
    apply_scripts, console_access, embedded_console, open_store, parts, ready, serving, start, zone,
};
use crate::config::{self, Config};
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::hint;
use crate::input;
use crate::log::{self, Log};
use crate::output::say;

/// The number of attempts to remove the folder of a temporary site.
const REMOVE_ATTEMPTS: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Zone of account names that are given without one.
    #[arg(long, env = "COUNTERSIGN_ZONE", value_parser = input::trimmed::<Zone>)]
    zone: Option<Zone>,
    #[command(flatten)]
    listen: Listen,
}

/// Runs a temporary site that only this machine can reach.
pub(crate) fn dev(common: &Common, dev: Dev) -> Result<(), Failure> {
    log::open()?;
    let supervisor = Supervisor::new()?;
    descriptors::raise();
    let given = common.data != Path::new("./site");
    let path = if given {
        common.data.clone()
    } else {
        Folder::temporary()?
    };
    let result = run_dev(supervisor, common, &path, given, dev);
    // A folder that the user named is not removed.
    if !given {
        remove_temporary(&path);
    }
    result
}

fn run_dev(
    supervisor: Supervisor,
    common: &Common,
    path: &Path,
    given: bool,
    Dev { zone, listen }: Dev,
) -> Result<(), Failure> {
    let folder = Folder::lock(path)?;
    let mut config = Config::default();
    config.site.zone = zone;
    config.listen.session = SocketAddr::from(([127, 0, 0, 1], 4747));
    config.listen.device = Some(SocketAddr::from(([127, 0, 0, 1], 4748)));
    config.listen.peer = Some(SocketAddr::from(([127, 0, 0, 1], 4750)));
    apply_flags(&mut config, listen.clone())?;
    let log = Log::start(&config)?;
    first_launch::check(&folder, false)?;
    let file = config::first(&config, None);
    let settings = Settings::of_new_file(&file, &folder, listen);
    let runtime = Runtime::new(settings, &log);
    let new = NewFolder {
        given,
        file,
        runtime: Arc::new(runtime),
    };
    let starting = start_dev(common.clone(), folder, config, new);
    supervisor.run(starting, None::<fn(&Server)>)
}

/// The folder that `dev` makes.
struct NewFolder {
    /// The user named it.
    given: bool,
    /// The text of the configuration file in it.
    file: String,
    /// The settings that change while the site runs.
    runtime: Arc<Runtime>,
}

async fn start_dev(
    common: Common,
    folder: Folder,
    config: Config,
    new: NewFolder,
) -> Result<Serving, Failure> {
    let store = open_store(&folder).await?;
    let server = serve_dev(&store, &common, &folder, config, new).await;
    serving(server, store, folder).await
}

async fn serve_dev(
    store: &Arc<SqliteStore>,
    common: &Common,
    folder: &Folder,
    config: Config,
    NewFolder {
        given,
        file,
        runtime,
    }: NewFolder,
) -> Result<Server, Failure> {
    if !first_launch::is_wanted(folder, &**store, false).await? {
        return Err(Failure::new(
            Exit::Conflict,
            "not_throw_away",
            format_args!("there is a site in {}", folder.path().display()),
        )
        .hint("`countersign dev` creates a new site each time; use `countersign serve`"));
    }
    let new = FirstLaunch {
        zone: zone(config.site.zone)?,
        opener: Opener::File,
        config: Some(&file),
    };
    let parts = parts(store.clone(), config.options.floor)?;
    let site = first_launch::create(common, folder, parts, new).await?;
    site.configure_with(runtime.clone());
    apply_scripts(&site, folder).await?;
    let stored = site.stored_settings();
    let config = runtime.start(stored.clone())?;
    let console = embedded_console(&config)?.map(ConsoleFiles::for_dev);
    let server = start(&site, folder, &config, console).await?;
    runtime.attach(server.reloader(), &stored);
    match given {
        false => say("Ctrl-C stops the site and deletes it."),
        true => {
            let stays = format!(
                "Ctrl-C stops the site, which stays in {}; `countersign serve` starts it again.",
                folder.path().display()
            );
            say(hint::in_folder(&stays, folder.path()));
        }
    }
    first_launch::what_next(folder.path());
    if let Some(console) = console_access(&config, &server, &site) {
        dev_login::show(common, folder.path(), &site, &console).await?;
    }
    ready(&site);
    Ok(server)
}

/// Removes the folder of a temporary site. A cancelled start may still write into it, so this tries again.
fn remove_temporary(path: &Path) {
    for _ in 0..REMOVE_ATTEMPTS {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
}
