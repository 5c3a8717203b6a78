//! `site doctor`: what a running site knows of its problems. What only its machine shows, such as the modes of files,
//! is added by `countersign doctor`.

use schemars::JsonSchema;
use serde::Serialize;

use super::DeliveryStatus;
use crate::access::Role;
use crate::audit::{AuditFilter, AuditSearch};
use crate::checks::{self, Check};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, HttpProtection, Refusal, Site};
use crate::lockdown::LockdownLevel;
use crate::operations::NoParams;
use crate::operations::peer::{self, Findings};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("site", "doctor")
            .command_line("doctor")
            .summary("Checks the site, and says what to do about each problem.")
            .allow(&[Role::Admin])
            .while_sealed()
            .rest(RestMethod::Get, "/site/doctor")
            .handler(doctor),
    ]
}

/// The checks with their findings.
#[derive(Debug, Serialize, JsonSchema)]
struct Report {
    /// How many checks found a problem.
    problems: usize,
    /// The checks.
    checks: Vec<Check>,
}

async fn doctor(context: Context, _: NoParams) -> Result<Answer<Report>, Refusal> {
    let (site, now) = (context.site(), context.now());
    let lockdowns = site.lockdowns();
    let observed = site.observed();
    let mut checks = vec![
        site_key(site.is_sealed()),
        lockdown(lockdowns.level(), lockdowns.targets().len()),
        http_certificate(site.endpoints().http_protection.as_ref()),
        delivery(&DeliveryStatus::read(site, now).await?),
        peers(&context).await,
        checks::options(&site.options()),
        checks::backup(site.last_backup().await?, now),
        checks::clock(newest_entry(site).await?, now),
    ];
    checks.extend(
        observed
            .disk
            .map(|space| checks::disk(space, observed.database)),
    );
    checks.extend(
        observed
            .descriptors
            .map(|(open, allowed)| checks::descriptors(open, allowed, observed.connections)),
    );
    let problems = checks.iter().filter(|check| !check.ok).count();
    let lines = checks.iter().map(
        |Check {
             check,
             ok,
             message,
             hint,
         }| match ok {
            true => format!("ok       {check}: {message}"),
            false => format!("PROBLEM  {check}: {message}; {hint}"),
        },
    );
    let output = lines.collect::<Vec<_>>().join("\n");
    Ok(Answer::new(Report { problems, checks }).with_output(output))
}

/// The time of the newest entry of the audit log.
async fn newest_entry(site: &Site) -> Result<Option<Timestamp>, Refusal> {
    let search = AuditSearch {
        after: 0,
        up_to: u64::MAX,
        last_first: true,
        limit: 1,
        filter: AuditFilter::default(),
    };
    let found = site.store().audit_search(&search).await?;
    Ok(found.first().map(|entry| entry.draft.time))
}

fn site_key(sealed: bool) -> Check {
    const CHECK: &str = "site key";
    match sealed {
        false => Check::ok(CHECK, "unsealed"),
        true => Check::problem(
            CHECK,
            "the site is sealed: no account can log in",
            "unseal it with `site unseal`",
        ),
    }
}

/// A lockdown of the site is a problem: it must not be forgotten.
fn lockdown(level: Option<LockdownLevel>, targets: usize) -> Check {
    const CHECK: &str = "lockdown";
    match (level, targets) {
        (Some(level), _) => Check::problem(
            CHECK,
            format!("the site is in lockdown at the level {level}"),
            "`lockdown status` shows the reason, `lockdown lift site` on the machine of the site lifts it",
        ),
        (None, 0) => Check::ok(CHECK, "none"),
        (None, number) => Check::ok(
            CHECK,
            format!("accounts, applications and peers in lockdown: {number}"),
        ),
    }
}

/// Whether the HTTP listener could read its certificate when its files changed last.
fn http_certificate(protection: Option<&HttpProtection>) -> Check {
    const CHECK: &str = "HTTP certificate";
    match protection {
        Some(HttpProtection::Files {
            problem: Some(problem),
            ..
        }) => Check::problem(
            CHECK,
            format!("an earlier certificate is in use: {problem}"),
            "correct the files that listen.http_certificate and listen.http_key name",
        ),
        Some(_) => Check::ok(CHECK, "in use"),
        None => Check::ok(CHECK, "the listener has no TLS"),
    }
}

/// Whether `peer doctor` finds nothing.
async fn peers(context: &Context) -> Check {
    const CHECK: &str = "peers";
    let Findings { peers, problems } = match peer::findings(context).await {
        Ok(findings) => findings,
        // One damaged row hides nothing of what the other checks find.
        Err(refusal) => {
            let problem = format!("they cannot be read: {}", refusal.message());
            return Check::problem(CHECK, problem, "`audit verify` looks at the whole database");
        }
    };
    match (peers, problems.as_slice()) {
        (0, []) => Check::ok(CHECK, "there are none"),
        (number, []) => Check::ok(CHECK, format!("peers without a problem: {number}")),
        (_, found) => Check::problem(CHECK, found.join(", "), "`peer doctor` says what to do"),
    }
}

/// Whether alarms reach persons without an open connection.
fn delivery(delivery: &DeliveryStatus) -> Check {
    const CHECK: &str = "alarms";
    let hint = "`alarm deliveries` shows the reason, `alarm retry` sends them again";
    match (delivery.dead, delivery.oldest.filter(|_| delivery.late)) {
        (0, None) => Check::ok(
            CHECK,
            match (delivery.email, delivery.text) {
                (false, false) => {
                    "only open connections get alarms: there is no mail server and no webhook"
                }
                (true, false) => "delivered by e-mail",
                (false, true) => "delivered by texts",
                (true, true) => "delivered by e-mail and texts",
            },
        ),
        (0, Some(oldest)) => {
            let error = delivery.oldest_error.as_deref();
            let error = error.unwrap_or("no attempt yet");
            Check::problem(
                CHECK,
                format!("a message waits since {oldest}: {error}"),
                hint,
            )
        }
        (dead, _) => Check::problem(CHECK, format!("messages given up: {dead}"), hint),
    }
}
