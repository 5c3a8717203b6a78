//! `countersign console`: the web console on the user's own machine, from the files of this program.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use clap::Args;
use countersign_proto::uri::SiteUri;
use countersign_server::{ConsoleRelay, RelayError};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::profile::Device;
use crate::address;
use crate::embedded_console;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::output::{say, show_data};
use crate::profiles::ProfilesFolder;

/// The program that opens a URL in the browser of the desktop.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else {
    "xdg-open"
};

#[derive(Debug, Args)]
pub(crate) struct Console {
    /// URI of the site, `countersign://HOST:PORT#SITEKEY`, as `site status` shows it [default: the site of this
    /// device's profile].
    #[arg(long, env = "COUNTERSIGN_SITE", value_name = "URI")]
    site: Option<SiteUri>,
    /// The profile of this device whose site it is; overrides --site [default: the default profile]. [env:
    /// COUNTERSIGN_PROFILE]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    #[command(flatten)]
    folder: ProfilesFolder,
    /// Address on this machine; port 0 takes a free port.
    #[arg(
        long,
        env = "COUNTERSIGN_CONSOLE_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:0",
        value_parser = address::parse
    )]
    listen: SocketAddr,
    /// Opens the console in the browser of this desktop.
    #[arg(long)]
    open: bool,
}

/// Serves the console until Ctrl-C.
pub(crate) fn run(common: &Common, console: &Console) -> Result<(), Failure> {
    let files = embedded_console::files()?;
    if !files.is_built() {
        return Err(Failure::new(
            Exit::Failure,
            "no_console",
            "this program was built without the web console",
        )
        .hint("build it with `scripts/start`, or use a program that has it"));
    }
    let runtime = Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
    runtime.block_on(async {
        let site = match (&console.profile, &console.site) {
            (None, Some(site)) => site.clone(),
            _ => site_of_profile(common, console).await?,
        };
        let relay =
            ConsoleRelay::bind(console.listen, files, &site).map_err(|error| refused(&error))?;
        let url = relay.url();
        let mut interrupted = on_signal(SignalKind::interrupt())?;
        let mut terminated = on_signal(SignalKind::terminate())?;
        let data = json!({
            "url": url,
            "address_url": relay.address_url(),
            "site": site.to_string(),
        })
        .to_string();
        let text = format!("The console of {} is at\n\n    {url}\n", site.address());
        show_data(&data, &text, common.format())?;
        say("Ctrl-C ends it.");
        if console.open {
            open(&url);
        }
        tokio::select! {
            ended = relay.serve() => match ended {
                Ok(never) => match never {},
                Err(error) => Err(Failure::new(Exit::Failure, "listen", error)),
            },
            _ = interrupted.recv() => Ok(()),
            _ = terminated.recv() => Ok(()),
        }
    })
}

/// Asks the site of a profile for its URI, over the connection of this device.
async fn site_of_profile(common: &Common, console: &Console) -> Result<SiteUri, Failure> {
    let variable = std::env::var("COUNTERSIGN_PROFILE").unwrap_or_default();
    let variable = Some(variable.trim()).filter(|name| !name.is_empty());
    let profile = console.profile.as_deref().or(variable);
    let device = Device::read(common, &console.folder, profile)?;
    let link = device.connect().await?;
    let status = link.call::<_, Value>("site", "status", &json!({})).await;
    link.close().await;
    let status = status?;
    let uri = status.get("uri").and_then(Value::as_str).ok_or_else(|| {
        Failure::new(
            Exit::Failure,
            "no_sessions",
            "the site of this profile serves no sessions",
        )
        .hint("give the URI of the site with --site")
    })?;
    uri.parse()
        .map_err(|error| Failure::new(Exit::Failure, "protocol", error))
}

fn refused(error: &RelayError) -> Failure {
    match error {
        RelayError::NotLoopback(_) => Failure::usage(error)
            .hint("give an address such as 127.0.0.1:0: other machines must not reach the console"),
        RelayError::Listen { .. } => Failure::new(Exit::Failure, "listen", error)
            .hint("choose another port with --listen; port 0 takes a free one"),
    }
}

fn on_signal(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Failure, "signal", error))
}

/// Opens the URL in a browser. The URL was printed, so a desktop without one is no failure.
fn open(url: &str) {
    let mut opener = Command::new(OPENER);
    opener
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Err(error) = opener.spawn() {
        say(format_args!(
            "warning: {OPENER} did not start ({error}); open the address in a browser"
        ));
    }
}
