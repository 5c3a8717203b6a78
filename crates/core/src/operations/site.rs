//! `site`: how the site is, and how it is set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NoParams;
use crate::context::Context;
use crate::policy::Role;
use crate::refusal::Refusal;
use crate::site::SiteConfig;
use crate::table::{Answer, Entry};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("site", "status")
            .summary("Tells how the site is.")
            .allow(&Role::ALL)
            .while_sealed()
            .handler(status),
        Entry::new("site", "config")
            .summary("Shows the site's configuration; changes what is given.")
            .allow(&[Role::Admin])
            .changes()
            .example(json!({ "session_lifetime": 28800 }))
            .handler(config),
    ]
}

/// How the site is.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    /// The site's public key.
    site_key: String,
    /// Whether its key was not opened yet.
    sealed: bool,
    /// The site's address and key in one line: what `--site` takes.
    uri: Option<String>,
    /// Where the site listens.
    listen: Listen,
    /// The version of Countersign.
    version: &'static str,
    /// The version of the session protocol.
    session_protocol: u16,
    /// The zone of names that are given without one.
    zone: String,
    /// How many sessions are open.
    sessions: usize,
    /// How many entries the audit log has.
    audit_entries: u64,
}

/// Where the site listens.
#[derive(Debug, Serialize, JsonSchema)]
struct Listen {
    /// The session listener's address and port.
    session: Option<String>,
    /// The local admin socket's path.
    admin_socket: Option<String>,
}

async fn status(context: Context, _: NoParams) -> Result<Answer<Status>, Refusal> {
    let site = context.site();
    let head = site.store().audit_head().await?;
    let endpoints = site.endpoints();
    let status = Status {
        site_key: site.public_key().to_string(),
        sealed: site.is_sealed(),
        uri: endpoints.uri,
        listen: Listen {
            session: endpoints.session.map(|address| address.to_string()),
            admin_socket: endpoints
                .admin_socket
                .map(|path| path.display().to_string()),
        },
        session_protocol: countersign_proto::session::VERSION,
        version: env!("CARGO_PKG_VERSION"),
        zone: site.zone().to_string(),
        sessions: site.sessions().count(),
        audit_entries: head.seq,
    };
    let said = format!(
        "Countersign {} for {}, {}, {} sessions",
        status.version,
        status.zone,
        if status.sealed { "sealed" } else { "open" },
        status.sessions,
    );
    Ok(Answer::new(status).saying(said))
}

/// What to set; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Set {
    /// How long a new session lasts, in seconds: a minute to 30 days.
    #[schemars(range(min = 60, max = 2_592_000))]
    session_lifetime: Option<u32>,
}

async fn config(context: Context, params: Set) -> Result<Answer<SiteConfig>, Refusal> {
    let Some(lifetime) = params.session_lifetime else {
        return Ok(shown(context.site().config()));
    };
    if !(60..=30 * 24 * 60 * 60).contains(&lifetime) {
        return Err(Refusal::invalid(
            "session_lifetime",
            format_args!("{lifetime} is not from 60 to 2592000 seconds"),
        ));
    }
    let was = context.site().config().session_lifetime;
    let (config, revision, change) = context
        .site()
        .change_config(|config| config.session_lifetime = lifetime)?;
    let details = json!({ "session_lifetime": { "was": was, "is": lifetime } });
    context.commit(vec![change], None, details).await?;
    context.site().config_changed(config.clone(), revision);
    Ok(shown(config))
}

fn shown(config: SiteConfig) -> Answer<SiteConfig> {
    let said = format!(
        "zone {}, sessions last {} s",
        config.zone, config.session_lifetime
    );
    Answer::new(config).saying(said)
}
