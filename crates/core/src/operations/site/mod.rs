//! `site`: the state of the site and its configuration.

mod backup;
mod doctor;
mod key_rotation;
mod key_secret;
mod key_slots;
mod seal;
mod setup;

use countersign_crypto::device_key::DeviceKey;
use data_encoding::BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{NoParams, Whole};
use crate::access::{Channel, Role, Scope};
use crate::access_tokens;
use crate::alarms::LATE_AFTER_S;
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, HttpProtection, Refusal, Site, SiteConfig};
use crate::lockdown::LockdownLevel;
use crate::timestamp::Timestamp;
use crate::web_origin::WebOrigin;

pub(super) fn entries() -> Vec<Entry> {
    let mut entries = vec![
        Entry::new("site", "status")
            .summary("Shows the state of the site.")
            .allow(&Role::ALL)
            .also_on(Channel::Device)
            .while_sealed()
            .rest(RestMethod::Get, "/site")
            .handler(status),
        Entry::new("site", "config_show")
            .command_line("site config")
            .summary("Shows the site's configuration.")
            .allow(&[Role::Admin])
            .rest(RestMethod::Get, "/site/config")
            .handler(config_show),
        Entry::new("site", "config")
            .summary("Changes the given settings of the site's configuration, and shows it.")
            .allow(&[Role::Admin])
            .changes()
            .rest(RestMethod::Patch, "/site/config")
            .example(json!({ "session_lifetime": 28800 }))
            .handler(config),
    ];
    entries.extend(doctor::entries());
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
    /// The level of the lockdown of the site; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    lockdown: Option<LockdownLevel>,
    /// How many accounts, applications and peers are in lockdown; shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_down: Option<usize>,
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
    /// The URL under which browsers reach the HTTP listener; absent if the operator gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    /// The TLS of the HTTP listener; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_tls: Option<HttpTlsView>,
    /// The address and port of the device listener.
    device: Option<String>,
    /// The path of the local admin socket; shown to admins only.
    admin_socket: Option<String>,
}

/// The TLS of the HTTP listener.
#[derive(Debug, Serialize, JsonSchema)]
struct HttpTlsView {
    /// `site` for a certificate of the site key, `files` for one of the operator.
    certificate: &'static str,
    /// The public key of the certificate as `curl --pinnedpubkey` takes it: `sha256//` and SHA-256 in
    /// Base64.
    pin: String,
    /// Why the files of the certificate cannot be used as they are, so that an earlier certificate is
    /// in use; shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl HttpTlsView {
    fn of(site: &Site, protection: HttpProtection, is_admin: bool) -> Option<Self> {
        let (certificate, pin, problem) = match protection {
            HttpProtection::Site => {
                let key = DeviceKey::from_ed25519(&site.public_key().signing).ok()?;
                ("site", key.thumbprint().0, None)
            }
            HttpProtection::Files { pin, problem } => ("files", pin, problem),
        };
        Some(Self {
            certificate,
            pin: format!("sha256//{}", BASE64.encode(&pin)),
            problem: problem.filter(|_| is_admin),
        })
    }
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
    /// How many attempts to send the oldest waiting message failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_attempts: Option<u32>,
    /// Why the last attempt to send the oldest waiting message failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_error: Option<String>,
    /// Whether the oldest waiting message waits for more than 1 hour.
    late: bool,
}

impl DeliveryStatus {
    async fn read(site: &Site, now: Timestamp) -> Result<Self, Refusal> {
        let settings = site.delivery_settings();
        let outbox = site.store().outbox_state().await?;
        let oldest = outbox.oldest.as_ref();
        let error = oldest.and_then(|oldest| oldest.last_error.as_ref());
        Ok(Self {
            email: settings.email,
            text: settings.text,
            waiting: outbox.waiting,
            dead: outbox.dead,
            oldest: oldest.map(|oldest| oldest.since),
            oldest_attempts: oldest.map(|oldest| oldest.attempts),
            oldest_error: error.map(|error| error.as_str().to_owned()),
            late: oldest.is_some_and(|oldest| oldest.since.plus_seconds(LATE_AFTER_S) < now),
        })
    }

    /// What an operator must know; empty if there is no problem.
    fn problem(&self) -> String {
        let mut problem = String::new();
        if self.dead > 0 {
            let dead = self.dead;
            problem += &format!(
                "\nmessages about alarms that were given up: {dead}; `alarm deliveries` shows why"
            );
        }
        if let Some(oldest) = self.oldest.filter(|_| self.late) {
            let attempts = self.oldest_attempts.unwrap_or_default();
            let error = self.oldest_error.as_deref().unwrap_or("no attempt yet");
            problem += &format!(
                "\na message about an alarm waits since {oldest}, after {attempts} failed attempts \
                 ({error}); `alarm deliveries` lists all"
            );
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
        true => Some(DeliveryStatus::read(site, context.now()).await?),
        false => None,
    };
    let sessions = is_admin.then(|| site.sessions().count());
    let lockdowns = site.lockdowns();
    let endpoints = site.endpoints();
    let status = Status {
        site_id: site.id().to_string(),
        site_key: site.public_key_text().to_string(),
        sealed: site.is_sealed(),
        uri: endpoints.uri,
        listen: Listen {
            session: endpoints.session.map(|address| address.to_string()),
            http: endpoints.http.map(|address| address.to_string()),
            public_url: endpoints.public_url.map(|url| url.as_str().to_owned()),
            http_tls: endpoints
                .http_protection
                .and_then(|protection| HttpTlsView::of(site, protection, is_admin)),
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
        lockdown: lockdowns.level(),
        locked_down: is_admin.then(|| lockdowns.targets().len()),
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
    if let Some(level) = status.lockdown {
        output.push_str(&format!(
            "\nin lockdown at the level {level}: `lockdown status`"
        ));
    }
    if let Some(number @ 1..) = status.locked_down {
        output.push_str(&format!(
            "\naccounts, applications and peers in lockdown: {number}; `lockdown status`"
        ));
    }
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
        output.push_str(&delivery.problem());
    }
    Ok(Answer::new(status).with_output(output))
}

async fn config_show(context: Context, _: NoParams) -> Result<Answer<SiteConfig>, Refusal> {
    Ok(shown(context.site().config()))
}

/// The settings to change. An absent field stays unchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Set {
    /// The lifetime of a new session, in seconds: 60 to 2,592,000 (30 days). When it ends, the
    /// account has to log in again.
    #[schemars(with = "Option<u32>", range(min = 60, max = 2_592_000))]
    session_lifetime: Option<Whole<60, 2_592_000>>,
    /// The lifetime of a session's keys, in seconds: 30 to 86,400 (a day). The client has to renew
    /// them before it ends.
    #[schemars(with = "Option<u32>", range(min = 30, max = 86_400))]
    key_lifetime: Option<Whole<30, 86_400>>,
    /// The greatest lifetime of a new access token, in seconds: 60 to 31,622,400 (366 days).
    #[schemars(with = "Option<u32>", range(min = 60, max = 31_622_400))]
    access_token_lifetime: Option<Whole<{ access_tokens::MIN_LIFETIME }, 31_622_400>>,
    /// The origins of web pages that may call operations over HTTP (CORS), such as
    /// `https://tools.example.org`: at most 16. The list replaces the previous one.
    #[schemars(length(max = 16))]
    web_origins: Option<Vec<WebOrigin>>,
}

async fn config(context: Context, params: Set) -> Result<Answer<SiteConfig>, Refusal> {
    let was = context.site().config();
    let mut is = was.clone();
    let Set {
        session_lifetime,
        key_lifetime,
        access_token_lifetime,
        web_origins,
    } = params;
    if let Some(Whole(seconds)) = session_lifetime {
        is.session_lifetime = seconds;
    }
    if let Some(Whole(seconds)) = key_lifetime {
        is.key_lifetime = seconds;
    }
    if let Some(Whole(seconds)) = access_token_lifetime {
        is.access_token_lifetime = seconds;
    }
    if let Some(origins) = web_origins {
        let most = SiteConfig::MAX_WEB_ORIGINS;
        if origins.len() > most {
            let problem = format!("has {} origins; at most {most} are allowed", origins.len());
            return Err(Refusal::invalid("web_origins", problem));
        }
        is.web_origins = origins;
    }
    if is == was {
        return Ok(shown(was));
    }
    let details = json!({
        "session_lifetime": { "was": was.session_lifetime, "is": is.session_lifetime },
        "key_lifetime": { "was": was.key_lifetime, "is": is.key_lifetime },
        "access_token_lifetime": {
            "was": was.access_token_lifetime, "is": is.access_token_lifetime,
        },
        "web_origins": { "was": was.web_origins, "is": is.web_origins },
    });
    let (config, change) = context.site().change_config(|config| *config = is)?;
    context.commit(change, None, details).await?;
    Ok(shown(config))
}

fn shown(config: SiteConfig) -> Answer<SiteConfig> {
    let origins: Vec<String> = config.web_origins.iter().map(ToString::to_string).collect();
    let origins = match origins.as_slice() {
        [] => "no web page may call it".to_owned(),
        origins => format!("web pages of {} may call it", origins.join(", ")),
    };
    let output = format!(
        "zone {}, sessions last {} s, their keys {} s, access tokens at most {} s, {origins}",
        config.zone, config.session_lifetime, config.key_lifetime, config.access_token_lifetime
    );
    Answer::new(config).with_output(output)
}
