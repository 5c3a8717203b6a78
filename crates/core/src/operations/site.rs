//! `site`: how the site is, and how it is set.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NoParams;
use crate::access::{Channel, Role, Scope};
use crate::engine::{Answer, Context, Entry, Refusal, SiteConfig};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("site", "status")
            .summary("Tells how the site is.")
            .allow(&Role::ALL)
            .also_on(Channel::Device)
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
    /// How many sessions are open; for admins alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<usize>,
    /// How many entries the audit log has; for admins alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_entries: Option<u64>,
}

/// Where the site listens.
#[derive(Debug, Serialize, JsonSchema)]
struct Listen {
    /// The session listener's address and port.
    session: Option<String>,
    /// The HTTP listener's address and port.
    http: Option<String>,
    /// The local admin socket's path; for admins alone.
    admin_socket: Option<String>,
}

async fn status(context: Context, _: NoParams) -> Result<Answer<Status>, Refusal> {
    let site = context.site();
    // These numbers rise with each login: they would tell other accounts when someone is active.
    // A device shows an admin what it shows a member.
    let is_admin = context.caller().role == Role::Admin && context.scope() == Scope::All;
    let audit_entries = match is_admin {
        true => Some(site.store().audit_head().await?.seq),
        false => None,
    };
    let sessions = is_admin.then(|| site.sessions().count());
    let endpoints = site.endpoints();
    let status = Status {
        site_key: site.public_key().to_string(),
        sealed: site.is_sealed(),
        uri: endpoints.uri,
        listen: Listen {
            session: endpoints.session.map(|address| address.to_string()),
            http: endpoints.http.map(|address| address.to_string()),
            admin_socket: endpoints
                .admin_socket
                .filter(|_| is_admin)
                .map(|path| path.display().to_string()),
        },
        session_protocol: countersign_proto::session::VERSION,
        version: env!("CARGO_PKG_VERSION"),
        zone: site.zone().to_string(),
        sessions,
        audit_entries,
    };
    let mut said = format!(
        "Countersign {} for {}, {}",
        status.version,
        status.zone,
        if status.sealed { "sealed" } else { "open" },
    );
    if let Some(sessions) = status.sessions {
        said.push_str(&format!(", {sessions} sessions"));
    }
    Ok(Answer::new(status).saying(said))
}

/// What to set; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Set {
    /// How long a new session lasts until its account has to log in anew, in seconds: a minute to 30
    /// days.
    #[schemars(range(min = 60, max = 2_592_000))]
    session_lifetime: Option<u32>,
    /// How long the keys of a session last until its client has to renew them, in seconds: 30 seconds
    /// to a day.
    #[schemars(range(min = 30, max = 86_400))]
    key_lifetime: Option<u32>,
}

async fn config(context: Context, params: Set) -> Result<Answer<SiteConfig>, Refusal> {
    let was = context.site().config();
    if params.session_lifetime.is_none() && params.key_lifetime.is_none() {
        return Ok(shown(was));
    }
    let session_lifetime = params.session_lifetime.unwrap_or(was.session_lifetime);
    let key_lifetime = params.key_lifetime.unwrap_or(was.key_lifetime);
    within("session_lifetime", session_lifetime, 60..=30 * 24 * 60 * 60)?;
    within("key_lifetime", key_lifetime, 30..=24 * 60 * 60)?;
    let (config, change) = context.site().change_config(|config| {
        config.session_lifetime = session_lifetime;
        config.key_lifetime = key_lifetime;
    })?;
    let details = json!({
        "session_lifetime": { "was": was.session_lifetime, "is": session_lifetime },
        "key_lifetime": { "was": was.key_lifetime, "is": key_lifetime },
    });
    context.commit(change, None, details).await?;
    Ok(shown(config))
}

fn within(field: &str, seconds: u32, bounds: RangeInclusive<u32>) -> Result<(), Refusal> {
    if bounds.contains(&seconds) {
        return Ok(());
    }
    let (least, most) = bounds.into_inner();
    Err(Refusal::invalid(
        field,
        format_args!("{seconds} is not from {least} to {most} seconds"),
    ))
}

fn shown(config: SiteConfig) -> Answer<SiteConfig> {
    let said = format!(
        "zone {}, sessions last {} s, their keys {} s",
        config.zone, config.session_lifetime, config.key_lifetime
    );
    Answer::new(config).saying(said)
}
