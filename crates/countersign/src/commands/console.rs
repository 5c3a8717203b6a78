//! `countersign console`: the web console on the user's own machine, from the files of this program.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use clap::Args;
use countersign_core::public_url::PublicUrl;
use countersign_proto::uri::SiteUri;
use countersign_server::{ConsoleRelay, RelayError, RelayedSite};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::profile::Device;
use crate::console;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input::address;
use crate::known_sites::KnownSites;
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
    /// URL of the site's HTTP listener, which takes tickets: the part of a link to its console before `/console/`
    /// [default: what the site of the profile says; without one this console takes no tickets].
    #[arg(
        long,
        env = "COUNTERSIGN_SITE_HTTP",
        value_name = "URL",
        value_parser = |url: &str| PublicUrl::try_from(url.trim().to_owned())
    )]
    http: Option<PublicUrl>,
    /// 127.0.0.1 or [::1], and a port, which the console takes at both; port 0 takes one that is free at both.
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
    let files = console::files()?;
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
        let mut site = match (&console.profile, &console.site) {
            (None, Some(uri)) => site_of_uri(uri)?,
            _ => site_of_profile(common, console).await?,
        };
        if console.http.is_some() {
            site.http.clone_from(&console.http);
        }
        let shown = site.clone();
        let relay = ConsoleRelay::bind(console.listen, files, site);
        let relay = relay.map_err(|error| refused(&error))?;
        let url = relay.url();
        let mut interrupted = on_signal(SignalKind::interrupt())?;
        let mut terminated = on_signal(SignalKind::terminate())?;
        let data = json!({
            "url": url,
            "address_url": relay.address_url(),
            "site": shown.uri.to_string(),
            "http": shown.http.as_ref().map(PublicUrl::as_str),
        })
        .to_string();
        let address = shown.uri.address();
        let text = format!("The console of {address} is at\n\n    {url}\n");
        show_data(&data, &text, common.format())?;
        if shown.http.is_none() {
            say("It takes no tickets, because it does not know the site's HTTP address: give it with --http URL.");
        }
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

/// The site of a URI, with what this user's earlier logins have shown of it.
fn site_of_uri(uri: &SiteUri) -> Result<RelayedSite, Failure> {
    let known_sites = KnownSites::of_user();
    let known = known_sites.map(|sites| sites.find(uri.site_key()));
    Ok(RelayedSite {
        uri: uri.clone(),
        known: known.transpose()?.flatten(),
        http: None,
    })
}

/// Asks the site of a profile for its addresses, over the connection of this device.
async fn site_of_profile(common: &Common, console: &Console) -> Result<RelayedSite, Failure> {
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
    let uri: SiteUri = uri
        .parse()
        .map_err(|error| Failure::new(Exit::Failure, "protocol", error))?;
    Ok(RelayedSite {
        http: http_of(&status, &uri),
        known: device.connector.known_site(),
        uri,
    })
}

/// Where the site says that browsers reach its HTTP listener: at its public URL, or, if the site is on this
/// machine, at the listener itself.
fn http_of(status: &Value, uri: &SiteUri) -> Option<PublicUrl> {
    let listen = status.get("listen")?;
    let text = |key| listen.get(key).and_then(Value::as_str);
    let local = || {
        let http = text("http")?;
        let scheme = listen.get("http_tls").map_or("http", |_| "https");
        let is_here = |address: &str| {
            let address = address.parse::<SocketAddr>();
            address.is_ok_and(|address| address.ip().is_loopback())
        };
        (is_here(http) && is_here(&uri.address())).then(|| format!("{scheme}://{http}"))
    };
    let url = text("public_url").map(str::to_owned).or_else(local)?;
    PublicUrl::try_from(url).ok()
}

fn refused(error: &RelayError) -> Failure {
    match error {
        RelayError::NotLoopback(_) => Failure::usage(error)
            .hint("give an address such as 127.0.0.1:0: browsers look for the console on this machine alone"),
        RelayError::Listen { .. } => Failure::new(Exit::Failure, "listen", error)
            .hint("choose a port with --listen that is free at 127.0.0.1 and at [::1]; port 0 takes one"),
        RelayError::Http { .. } => {
            Failure::usage(error).hint("give a URL such as https://auth.example.org with --http")
        }
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
