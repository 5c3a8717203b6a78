//! The site's own process: founds a site with a few accounts and serves it until it is told to stop.

use std::io::Read;
use std::time::Duration;

use countersign_core::throttle::{LoginThrottleLimits, PenaltyLimits};
use countersign_server::descriptors;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, TestSite};
use data_encoding::HEXLOWER;
use serde_json::json;

use crate::{Files, Result, activity, report};

/// The argument that makes this program the site.
pub(crate) const MODE: &str = "--serve";

/// The persons: one who logs in honestly, another one, and one who may not log in.
pub(crate) const KNOWN: &str = "maria";
pub(crate) const OTHER: &str = "otto";
pub(crate) const LOCKED: &str = "laura";

/// When the site of `activity` forgets failures, in milliseconds.
pub(crate) const FORGOTTEN: u64 = 4_000;

/// What a scenario needs other than the defaults, with which all floods but `held` are measured.
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
        unauthenticated_early_drop: 60_000,
        unauthenticated_timeout: Duration::from_secs(600),
        waiting_logins: 4_096,
        waiting_logins_per_network: 4_096,
        idle_timeout: Duration::ZERO,
        ..Limits::default()
    };
    match scenario {
        "unauthenticated" | "idle" | "cut" => many,
        // Ten thousand connections that nobody is proved on are more than the defaults let anybody have, and
        // these are to stay.
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
        // LoginThrottle are slowed, names or no names; here it is to be measured whether anything else differs.
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
        // A quarter of an hour is long for a program that measures.
        activity::SITE => Limits {
            login_throttle: LoginThrottleLimits {
                forget_after: FORGOTTEN,
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
        if scenario == "names" {
            applications(&served).await;
        }
        report::tell(&json!({
            "uri": served.uri.to_string(),
            "robot": HEXLOWER.encode(served.robot.seed().0.expose()),
            "admin_socket": served.admin_socket,
        }));
        // Whoever started this process closes its input when it is done.
        let stdin = || std::io::stdin().lock().read(&mut [0]);
        tokio::task::spawn_blocking(stdin).await??;
        served.stop().await;
        Ok(())
    })
}

/// The applications that `names` asks for: one that asks, one that it may call, one that it may not, and one that is
/// locked.
pub(crate) const ASKING: &str = "billing";
pub(crate) const ALLOWED: &str = "ledger";
pub(crate) const NOT_ALLOWED: &str = "archive";
pub(crate) const LOCKED_APP: &str = "payroll";

async fn applications(served: &ServedSite) {
    for id in [ALLOWED, NOT_ALLOWED, LOCKED_APP, ASKING] {
        let settings = match id {
            ASKING => json!({
                "service": "robot",
                "may_call": [{ "app": ALLOWED }, { "app": LOCKED_APP }],
            }),
            _ => json!({}),
        };
        served.create_application(id, settings).await;
    }
    served.admin("app.lock", json!({ "id": LOCKED_APP })).await;
}
