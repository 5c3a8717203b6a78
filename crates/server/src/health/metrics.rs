//! The metrics of a server. Counts alone: no account, application, peer or address has a name here.

use countersign_core::lockdown::LockdownLevel;

use super::Health;
use super::exposition::{Exposition, Kind};
use super::readiness::{Observation, Readiness};
use crate::clock;
use crate::runtime::meters::{Counts, store_errors};

/// The page of metrics.
pub(super) fn page(health: &Health, observed: &Observation) -> String {
    let mut page = Exposition::default();
    site(&mut page, health, observed);
    connections(&mut page, health);
    stored(&mut page, observed);
    counted(&mut page, &health.shared.meters.read());
    page.into_text()
}

fn site(page: &mut Exposition, health: &Health, observed: &Observation) {
    use Kind::Gauge;
    let site = &health.shared.site;
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    let help = "The version of Countersign; always 1.";
    page.metric(Gauge, "countersign_build_info", help)
        .sample(&version, 1);
    let readiness = Readiness::of(observed, health.process());
    let help = "Whether a check of /readyz succeeds.";
    let mut checks = page.metric(Gauge, "countersign_ready", help);
    for (check, ok) in readiness.checks() {
        checks.sample(&[("check", check)], u8::from(*ok));
    }
    let imposed = site.lockdowns().level();
    let help = "Whether the site is in lockdown at this level.";
    let mut levels = page.metric(Gauge, "countersign_lockdown", help);
    for level in LockdownLevel::ALL {
        let is_imposed = imposed == Some(level);
        levels.sample(&[("level", level.as_str())], u8::from(is_imposed));
    }
    let gauges = site.gauges(clock::now());
    let help = "Sessions, by state. Those of devices are open connections.";
    let mut sessions = page.metric(Gauge, "countersign_sessions", help);
    for (state, number) in [
        ("open", gauges.sessions),
        ("suspended", gauges.suspended),
        ("device", gauges.devices),
    ] {
        sessions.sample(&[("state", state)], number);
    }
    let help = "Open connections with peers.";
    page.gauge("countersign_peer_connections", help, gauges.peers);
    let help = "Accounts, applications and peers in lockdown.";
    page.gauge("countersign_locked_down", help, gauges.locked_down);
    let help = "Sources and networks that are rejected because they misbehaved.";
    page.gauge("countersign_penalties", help, gauges.penalties);
}

fn connections(page: &mut Exposition, health: &Health) {
    let help = "Connections of clients and of trusted proxies, by state.";
    let mut connections = page.metric(Kind::Gauge, "countersign_connections", help);
    for (from, admission) in ["clients", "proxies"].iter().zip(&health.admissions) {
        let (all, unauthenticated) = admission.count();
        for (state, number) in [
            ("authenticated", all.saturating_sub(unauthenticated)),
            ("unauthenticated", unauthenticated),
        ] {
            connections.sample(&[("from", *from), ("state", state)], number);
        }
    }
    let shared = &health.shared;
    let help = "Work that waits for its turn: public-key work of clients, and costly operations.";
    let mut waiting = page.metric(Kind::Gauge, "countersign_waiting", help);
    waiting.sample(&[("queue", "logins")], shared.logins.waiting());
    waiting.sample(&[("queue", "operations")], shared.operations.waiting());
}

fn stored(page: &mut Exposition, observed: &Observation) {
    let help = "Failures of the database in this process.";
    page.metric(Kind::Counter, "countersign_database_errors_total", help)
        .sample(&[], store_errors());
    if let Some((free, _)) = observed.disk {
        let help = "Free bytes of the disk with the database.";
        page.gauge("countersign_disk_free_bytes", help, free);
    }
    let Some(stored) = &observed.stored else {
        return;
    };
    let help = "Entries of the audit log.";
    page.metric(Kind::Counter, "countersign_audit_entries_total", help)
        .sample(&[], stored.audit_entries);
    let help = "Alarms in the database, with those that are over.";
    page.gauge("countersign_alarms", help, stored.alarms);
    let help =
        "Messages about alarms that wait, and those that were given up; at most 1,000 of each.";
    let mut deliveries = page.metric(Kind::Gauge, "countersign_alarm_deliveries", help);
    deliveries.sample(&[("state", "waiting")], stored.deliveries_waiting);
    deliveries.sample(&[("state", "dead")], stored.deliveries_dead);
}

fn counted(page: &mut Exposition, counts: &Counts) {
    let mut operations: Vec<_> = counts.operations.iter().collect();
    operations.sort_by_key(|(name, _)| *name);
    let help = "Operations on every channel, by name and outcome.";
    let mut metric = page.metric(Kind::Counter, "countersign_operations_total", help);
    for (name, operation) in &operations {
        for (outcome, number) in &operation.outcomes {
            metric.sample(
                &[("operation", name.as_str()), ("outcome", *outcome)],
                number,
            );
        }
    }
    let help = "Time from an operation to its outcome, with the time that it waited.";
    let mut metric = page.metric(Kind::Histogram, "countersign_operation_seconds", help);
    for (name, operation) in &operations {
        metric.histogram(&[("operation", name.as_str())], &operation.durations);
    }
    let help = "Responses of the HTTP listener, by status.";
    let mut metric = page.metric(Kind::Counter, "countersign_http_responses_total", help);
    for (status, number) in &counts.responses {
        metric.sample(&[("status", &status.to_string())], number);
    }
    let help = "Failed logins, and requests without a valid credential or signature.";
    let mut metric = page.metric(Kind::Counter, "countersign_failures_total", help);
    for (operation, number) in &counts.failures {
        metric.sample(&[("operation", operation.as_str())], number);
    }
}
