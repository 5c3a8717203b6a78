//! `site`: the state of the site and its configuration.

mod backup;
mod key_rotation;
mod key_secret;
mod key_slots;
mod seal;
mod setup;

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NoParams;
use crate::access::{Channel, Role, Scope};
use crate::engine::{Answer, Context, Entry, Refusal, Site, SiteConfig};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let mut entries = vec![
        Entry::new("site", "status")
            .summary("Shows the state of the site.")
            .allow(&Role::ALL)
            .also_on(Channel::Device)
            .while_sealed()
            .handler(status),
        Entry::new("site", "config")
            .summary("Shows the site's configuration, or changes the given settings.")
            .allow(&[Role::Admin])
            .changes()
            .example(json!({ "session_lifetime": 28800 }))
            .handler(config),
    ];
    entries.extend(backup::entries());
    entries.extend(seal::entries());
    entries.extend(setup::entries());
    entries.extend(key_slots::entries());
    entries.extend(key_rotation::entries());
    entries
}

/// The state of the site.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    /// The site's id, which a new site key does not change.
    site_id: String,
    /// The site's public key.
    site_key: String,
    /// Whether the site is sealed: its key has not been unsealed since it started.
    sealed: bool,
    /// The site's address and public key in one line: the value for `--site`.
    uri: Option<String>,
    /// The addresses on which the site listens.
    listen: Listen,
    /// Where new devices enrol: the host and port in enrolment tickets.
    enrolment_address: Option<String>,
    /// Where enrolled devices connect: the host and port in the reply to an enrolment.
    device_address: Option<String>,
    /// The version of Countersign.
    version: &'static str,
    /// The version of the session protocol.
    session_protocol: u16,
    /// The zone of account names that are given without one.
    zone: String,
    /// How many sessions are open; shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<usize>,
    /// How many entries the audit log has; shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_entries: Option<u64>,
    /// The delivery of alarms; shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryStatus>,
}

/// The addresses on which the site listens.
#[derive(Debug, Serialize, JsonSchema)]
struct Listen {
    /// The address and port of the session listener.
    session: Option<String>,
    /// The address and port of the HTTP listener.
    http: Option<String>,
    /// The address and port of the device listener.
    device: Option<String>,
    /// The path of the local admin socket; shown to admins only.
    admin_socket: Option<String>,
}

/// The delivery of alarms to persons without an open connection.
#[derive(Debug, Serialize, JsonSchema)]
struct DeliveryStatus {
    /// Whether the site has a mail server.
    email: bool,
    /// Whether the site has a webhook for short texts.
    text: bool,
    /// How many messages wait; 1,000 means that many or more.
    waiting: u64,
    /// How many messages were given up; 1,000 means that many or more.
    dead: u64,
    /// When the first attempt to send the oldest waiting message was due; in the future while it is
    /// held.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
}

/// Seconds after which a message that still waits is a problem.
const LATE_S: u32 = 60 * 60;

impl DeliveryStatus {
    async fn read(site: &Site) -> Result<Self, Refusal> {
        let settings = site.delivery_settings();
        let outbox = site.store().outbox_state().await?;
        Ok(Self {
            email: settings.email,
            text: settings.text,
            waiting: outbox.waiting,
            dead: outbox.dead,
            oldest: outbox.oldest,
        })
    }

    /// What an operator must know; empty if there is no problem.
    fn problem(&self, now: Timestamp) -> String {
        let mut problem = String::new();
        if self.dead > 0 {
            let dead = self.dead;
            problem += &format!(
                "\nmessages about alarms that were given up: {dead}; `alarm deliveries` shows why"
            );
        }
        if let Some(oldest) = self
            .oldest
            .filter(|oldest| oldest.plus_seconds(LATE_S) < now)
        {
            problem +=
                &format!("\na message about an alarm waits since {oldest}: `alarm deliveries`");
        }
        problem
    }
}

async fn status(context: Context, _: NoParams) -> Result<Answer<Status>, Refusal> {
    let site = context.site();
    // These numbers rise with each login, so other accounts could tell from them when someone logs
    // in.
    // A device shows an admin what it shows a member.
    let is_admin = context.caller().role == Role::Admin && context.scope() == Scope::All;
    let audit_entries = match is_admin {
        true => Some(site.store().audit_head().await?.seq),
        false => None,
    };
    let delivery = match is_admin {
        true => Some(DeliveryStatus::read(site).await?),
        false => None,
    };
    let sessions = is_admin.then(|| site.sessions().count());
    let endpoints = site.endpoints();
    let status = Status {
        site_id: site.id().to_string(),
        site_key: site.public_key().to_string(),
        sealed: site.is_sealed(),
        uri: endpoints.uri,
        listen: Listen {
            session: endpoints.session.map(|address| address.to_string()),
            http: endpoints.http.map(|address| address.to_string()),
            device: endpoints.device_listener.map(|address| address.to_string()),
            admin_socket: endpoints
                .admin_socket
                .filter(|_| is_admin)
                .map(|path| path.display().to_string()),
        },
        enrolment_address: endpoints.enrolment.map(|address| address.to_string()),
        device_address: endpoints.device.map(|address| address.to_string()),
        session_protocol: countersign_proto::session::VERSION,
        version: env!("CARGO_PKG_VERSION"),
        zone: site.zone().to_string(),
        sessions,
        audit_entries,
        delivery,
    };
    let mut output = format!(
        "Countersign {} for {}, {}",
        status.version,
        status.zone,
        if status.sealed { "sealed" } else { "unsealed" },
    );
    if let Some(sessions) = status.sessions {
        output.push_str(&format!(", {sessions} sessions"));
    }
    output.push_str(&format!("\nsite id {}", status.site_id));
    match (&status.enrolment_address, &status.device_address) {
        (Some(enrolment), Some(device)) if enrolment == device => {
            output.push_str(&format!("\ndevices connect to {device}"));
        }
        (Some(enrolment), Some(device)) => output.push_str(&format!(
            "\ndevices enrol at {enrolment} and connect to {device}"
        )),
        _ => {}
    }
    if let Some(delivery) = &status.delivery {
        output.push_str(&delivery.problem(context.now()));
    }
    Ok(Answer::new(status).with_output(output))
}

/// The settings to change. An absent field stays unchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Set {
    /// The lifetime of a new session, in seconds: 60 to 2,592,000 (30 days). When it ends, the
    /// account has to log in again.
    #[schemars(range(min = 60, max = 2_592_000))]
    session_lifetime: Option<u32>,
    /// The lifetime of a session's keys, in seconds: 30 to 86,400 (a day). The client has to renew
    /// them before it ends.
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
    let output = format!(
        "zone {}, sessions last {} s, their keys {} s",
        config.zone, config.session_lifetime, config.key_lifetime
    );
    Answer::new(config).with_output(output)
}
