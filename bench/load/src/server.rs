//! The site's process: creates a site with a few accounts, and serves it until standard input ends.

use std::io::Read;
use std::time::Duration;

use countersign_core::throttle::{LoginThrottleLimits, PenaltyLimits};
use countersign_server::limits::Limits;
use countersign_server::{Server, descriptors};
use countersign_testkit::harness::{ServedSite, TestSite};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::{Files, Result, activity, event_streams, peer_lockdown, report, void_tickets};

/// The argument with which this program runs as the site.
pub(crate) const MODE: &str = "--serve";

/// The persons: the one who logs in honestly, another one, and one whose account is locked.
pub(crate) const KNOWN: &str = "maria";
pub(crate) const OTHER: &str = "otto";
pub(crate) const LOCKED: &str = "laura";

/// When failed logins expire at the site of `activity`, in milliseconds.
pub(crate) const FAILURES_EXPIRY: u64 = 4_000;

/// The limits for a scenario. All floods except `held` have the defaults.
fn limits(scenario: &str) -> Limits {
    let defaults = Limits::default();
    let many = Limits {
        connections: 60_000,
        connections_per_source: 60_000,
        connections_per_network: 60_000,
        unauthenticated: 60_000,
        unauthenticated_per_source: 60_000,
        unauthenticated_per_network: 60_000,
        sessions_per_account: 60_000,
        connections_per_device: 60_000,
        event_streams: 60_000,
        event_streams_per_account: 60_000,
        unauthenticated_early_drop: 60_000,
        unauthenticated_timeout: Duration::from_secs(600),
        waiting_logins: 4_096,
        waiting_logins_per_network: 4_096,
        idle_timeout: Duration::ZERO,
        ..Limits::default()
    };
    match scenario {
        "unauthenticated"
        | "idle"
        | "cut"
        | "devices"
        | "lockdown"
        | event_streams::NAME
        | peer_lockdown::NAME
        | void_tickets::NAME => many,
        // The defaults do not admit ten thousand unauthenticated connections, nor keep them open.
        "held" => Limits {
            connections_per_source: 12_000,
            connections_per_network: 12_000,
            unauthenticated: 12_000,
            unauthenticated_per_source: 12_000,
            unauthenticated_per_network: 12_000,
            unauthenticated_early_drop: 12_000,
            unauthenticated_timeout: Duration::from_secs(600),
            ..defaults
        },
        // Without the login throttle, whose delays do not depend on whether a name exists.
        "names" => Limits {
            login_throttle: LoginThrottleLimits {
                free: u32::MAX,
                free_from_unknown_sources: u32::MAX,
                ..LoginThrottleLimits::default()
            },
            penalties: PenaltyLimits {
                threshold: u32::MAX,
                ..PenaltyLimits::default()
            },
            ..many
        },
        // The default expiry of 15 minutes is too long for a measurement.
        activity::SITE => Limits {
            login_throttle: LoginThrottleLimits {
                forget_after: FAILURES_EXPIRY,
                ..LoginThrottleLimits::default()
            },
            penalties: PenaltyLimits {
                threshold: u32::MAX,
                ..PenaltyLimits::default()
            },
            ..many
        },
        _ => defaults,
    }
}

pub(crate) fn run(scenario: &str, files: Option<Files>) -> Result<()> {
    if let Some(files) = files {
        crate::site::limit_files(files)?;
    }
    // As `countersign serve` does.
    descriptors::raise();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let served = TestSite::builder()
            .person(KNOWN, "member")
            .person(OTHER, "member")
            .person(LOCKED, "member")
            .limits(limits(scenario))
            .serve()
            .await;
        served.admin("person.lock", json!({ "name": LOCKED })).await;
        if ["names", void_tickets::NAME].contains(&scenario) {
            applications(&served).await;
        }
        let mut devices = None;
        let mut ticket = None;
        if ["devices", "lockdown"].contains(&scenario) {
            let listener = Server::builder(served.site.clone())
                .limits(limits(scenario))
                .device(Some("127.0.0.1:0".parse()?));
            devices = Some(listener.start().await?);
            let issued = served
                .admin("ticket.issue", json!({ "person": KNOWN }))
                .await;
            ticket = issued.get("uri").and_then(Value::as_str).map(str::to_owned);
        }
        let mut peers = None;
        if scenario == peer_lockdown::NAME {
            peers = Some(with_peers(&served).await?);
        }
        let mut token = None;
        if scenario == event_streams::NAME {
            let params = json!({ "service": "robot", "operations": ["event.list"] });
            let created = served.admin("token.create", params).await;
            token = Some([created.get("token").cloned(), created.get("id").cloned()]);
        }
        report::print_line(&json!({
            "token": token,
            "http": served.server.http_address(),
            "ticket": ticket,
            "peers": served.site.endpoints().peer_listener,
            "uri": served.uri.to_string(),
            "robot": HEXLOWER.encode(served.robot.seed().0.expose()),
            "admin_socket": served.admin_socket,
        }));
        // The parent process closes standard input when it is done.
        let stdin = || std::io::stdin().lock().read(&mut [0]);
        tokio::task::spawn_blocking(stdin).await??;
        if let Some(devices) = devices {
            devices.stop().await;
        }
        if let Some(peers) = peers {
            peers.stop().await;
        }
        served.stop().await;
        Ok(())
    })
}

/// The applications of `names` and `void-tickets`: the consumer, a provider that it may call, one that it may not
/// call, and a locked one.
pub(crate) const CONSUMER: &str = "billing";
pub(crate) const ALLOWED: &str = "ledger";
pub(crate) const NOT_ALLOWED: &str = "archive";
pub(crate) const LOCKED_APP: &str = "payroll";

async fn applications(served: &ServedSite) {
    for id in [ALLOWED, NOT_ALLOWED, LOCKED_APP, CONSUMER] {
        let settings = match id {
            CONSUMER => json!({
                "service": "robot",
                "may_call": [{ "app": ALLOWED }, { "app": LOCKED_APP }],
            }),
            _ => json!({}),
        };
        served.create_application(id, settings).await;
    }
    served.admin("app.lock", json!({ "id": LOCKED_APP })).await;
}

/// A listener for peers, and the peers of `peer-lockdown`.
async fn with_peers(served: &ServedSite) -> Result<Server> {
    let listener = Server::builder(served.site.clone())
        .limits(limits(peer_lockdown::NAME))
        .peer(Some("127.0.0.1:0".parse()?));
    let server = listener.start().await?;
    served.admin("peer.start", json!({})).await;
    for number in 0..peer_lockdown::PEERS {
        served.introduce(&peer_lockdown::peer(number), KNOWN).await;
    }
    Ok(server)
}
