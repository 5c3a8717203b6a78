//! Counts events before they are audited, logs them, and reports repeated ones to admins.
//!
//! Log lines for programs such as fail2ban have a stable format (`docs/operate/fail2ban.md`): they are
//! logged at `info`, a field has the source's address, and text from a client is quoted and escaped.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::{Channel, Role};
use countersign_core::alarms::SystemAlarm;
use countersign_core::audit::AuditOutcome;
use countersign_core::audit::coalesced::{Occurrence, Repeated};
use countersign_core::sessions::Audience;
use countersign_core::throttle::Source;
use countersign_proto::operation::Event;
use serde_json::json;
use serde_json::value::to_raw_value;
use tracing::{error, info, warn};

use crate::clock;
use crate::runtime::shared::{Shared, log_trouble};

/// The longest time after which counted events are written.
const EVERY: Duration = Duration::from_secs(1);

/// A login to which the site has sent a reply. If it is dropped before [`succeeded`](Self::succeeded) was
/// called, it is logged and counted as a failed login, whatever ended it.
pub(crate) struct PendingLogin {
    shared: Arc<Shared>,
    /// The client's address; `None` if a trusted proxy names none.
    address: Option<IpAddr>,
    source: Source,
    name: String,
    succeeded: bool,
}

impl PendingLogin {
    /// `name` is the account name, or `key` and the thumbprint of a service's key.
    pub(crate) fn new(
        shared: Arc<Shared>,
        address: Option<IpAddr>,
        source: Source,
        name: String,
    ) -> Self {
        Self {
            shared,
            address,
            source,
            name,
            succeeded: false,
        }
    }

    /// The client is authenticated.
    pub(crate) fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for PendingLogin {
    fn drop(&mut self) {
        if self.succeeded {
            return;
        }
        let outcome = AuditOutcome::Failed;
        let failed = Occurrence::of_source(self.source, Channel::Session, "session.login", outcome);
        let failed = failed.with("name", self.name.as_str());
        self.shared.note(match self.address {
            Some(_) => failed,
            None => failed.with("through", "trusted proxy"),
        });
        login_failed(self.address, &self.name);
    }
}

/// Logs a failed login. No line names a trusted proxy as the source: a program that reads the log
/// would ban all its clients.
fn login_failed(source: Option<IpAddr>, name: &str) {
    match source {
        Some(source) => info!(source = %source.to_canonical(), ?name, "login failed"),
        None => info!(?name, "login failed through a trusted proxy"),
    }
}

/// Logs and counts an HTTP request that failed verification. No line and no alarm names a source that is not
/// punished: neither a program that reads the log nor an admin must ban the reader of a page.
pub(crate) fn request_failed(shared: &Shared, source: Source, is_unpunished: bool) {
    if !is_unpunished {
        request_failed_line(source);
    }
    failed_over_http(shared, source, "broker.ticket", is_unpunished);
}

fn failed_over_http(shared: &Shared, source: Source, operation: &str, is_unpunished: bool) {
    let outcome = AuditOutcome::Failed;
    let failed = Occurrence::of_source(source, Channel::Http, operation, outcome);
    shared.note(match is_unpunished {
        true => failed.with("through", "a page, perhaps").unreported(),
        false => failed,
    });
}

fn request_failed_line(source: Source) {
    info!(%source, "ticket request failed");
}

/// As [`request_failed`], for a request of the API whose credential is not valid.
pub(crate) fn api_request_failed(shared: &Shared, source: Source, is_unpunished: bool) {
    if !is_unpunished {
        api_request_failed_line(source);
    }
    failed_over_http(shared, source, "http.request", is_unpunished);
}

fn api_request_failed_line(source: Source) {
    info!(%source, "API request failed");
}

/// Counts a request of the API with an invalid credential, whose client the trusted proxy did not
/// name. No line names the proxy: a program that reads the log must not ban it.
pub(crate) fn proxied_request_failed(shared: &Shared, proxy: Source) {
    let outcome = AuditOutcome::Failed;
    let failed = Occurrence::of_source(proxy, Channel::Http, "http.request", outcome);
    shared.note(failed.with("through", "trusted proxy"));
}

fn penalty_began(source: Source, until: impl std::fmt::Display) {
    info!(%source, %until, "penalty began");
}

/// Logs a wrong secret for the site key. Only the admin socket accepts such secrets.
pub(crate) fn unseal_failed(name: &str) {
    info!(source = "admin-socket", ?name, "unseal failed");
}

impl Shared {
    /// Counts an event. Its audit entry is written soon.
    pub(crate) fn note(&self, occurrence: Occurrence) {
        self.meters.failed(occurrence.operation());
        self.site.count(occurrence, clock::now());
        self.noted.notify_one();
    }

    /// Writes the audit entries of counted events for as long as the server runs.
    pub(crate) async fn keep_counted(self: Arc<Self>) -> io::Result<Infallible> {
        loop {
            let _ = tokio::time::timeout(EVERY, self.noted.notified()).await;
            let shared = self.clone();
            // In a task of its own, so that no entry is lost if the server stops meanwhile.
            let _ = tokio::spawn(async move { shared.write_counted().await }).await;
        }
    }

    /// Writes the entries that are due, and reports penalties and repeated events.
    async fn write_counted(&self) {
        self.forget_keys_if_sealed();
        let now = clock::now();
        let begun = self.site.throttle().penalties().take_started();
        for (source, until) in begun {
            penalty_began(source, until);
            let penalty =
                Occurrence::of_source(source, Channel::Site, "penalty.begin", AuditOutcome::Done);
            self.site
                .count(penalty.with("until", until.to_string()), now);
        }
        let _ = log_trouble(self.site.write_counted(now).await);
        for repeated in self.site.take_repeated() {
            self.report(&repeated);
        }
        let _ = log_trouble(self.site.revoke_misused_tickets(now).await);
        if let Err(refusal) = self.site.raise_reported(now).await {
            error!(problem = %refusal, "an alarm of the site could not be raised");
        }
    }

    /// Writes all entries that were not written yet, when the server stops.
    pub(crate) async fn write_all_counted(&self) {
        let _ = log_trouble(self.site.write_all_counted().await);
    }

    fn report(&self, repeated: &Repeated) {
        let Repeated {
            actor,
            operation,
            outcome,
            count,
        } = repeated;
        let outcome = outcome.as_str();
        warn!(?actor, %operation, %outcome, count, "repeated refusals");
        self.site.report(SystemAlarm::Refusals {
            operation: operation.clone(),
            actor: actor.clone(),
            count: *count,
        });
        let data = json!({
            "actor": actor, "operation": operation, "outcome": outcome, "count": count,
        });
        if let Ok(data) = to_raw_value(&data) {
            let event = Event {
                group: "audit".to_owned(),
                event: "repeated".to_owned(),
                data,
            };
            let admins = Audience::Role(Role::Admin);
            self.site.events().publish(&admins, &Arc::new(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use regex_automata::meta::Regex;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The log lines of `act`, in the format in which the program writes them to a file.
    fn logged(act: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// The expressions of the documented filter, with `<HOST>` replaced as fail2ban does.
    fn filter() -> Vec<Regex> {
        let page = include_str!("../../../../docs/operate/fail2ban.md");
        let lines = page.lines().filter_map(|line| {
            line.trim()
                .trim_start_matches("failregex =")
                .trim()
                .strip_prefix('^')
        });
        let host = r"(?<host>[0-9A-Fa-f:.]+)";
        lines
            .map(|line| Regex::new(&format!("^{}", line.replace("<HOST>", host))).unwrap())
            .collect()
    }

    /// The addresses that fail2ban would ban for these lines of a file. It removes the time from a line first.
    fn banned(log: &str) -> Vec<String> {
        let lines = log.lines().filter_map(|line| line.split_once(' '));
        matches(lines.map(|(_, line)| line.to_owned()))
    }

    /// The addresses that fail2ban would ban for these lines in the journal of systemd. It puts host and program
    /// before a line, and leaves the time in it.
    fn banned_in_journal(log: &str) -> Vec<String> {
        matches(
            log.lines()
                .map(|line| format!("server countersign[4711]: {line}")),
        )
    }

    fn matches(lines: impl Iterator<Item = String>) -> Vec<String> {
        let filter = filter();
        assert_eq!(filter.len(), 2, "the page has the filter");
        lines
            .filter_map(|line| {
                filter.iter().find_map(|one| {
                    let mut found = one.create_captures();
                    one.captures(&line, &mut found);
                    let host = found.get_group_by_name("host")?;
                    Some(line[host.range()].to_owned())
                })
            })
            .collect()
    }

    #[test]
    fn fail2ban_reads_the_lines_of_failed_logins_and_requests() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let log = logged(|| {
            login_failed(Some(address("192.0.2.7")), "maria@example.org");
            login_failed(Some(address("::ffff:192.0.2.8")), "maria@example.org");
            login_failed(Some(address("2001:db8::1")), "maria@example.org");
            request_failed_line(Source::from(address("192.0.2.9")));
            request_failed_line(Source::from(address("2001:db8:0:1::7")));
            api_request_failed_line(Source::from(address("192.0.2.11")));
            penalty_began(Source::from(address("192.0.2.10")), "2026-03-01T12:00:00Z");
            info!("session opened");
        });
        let expected = [
            "192.0.2.7",
            "192.0.2.8",
            "2001:db8::1",
            "192.0.2.9",
            "2001:db8:0:1::",
            "192.0.2.11",
        ];
        assert_eq!(banned(&log), expected, "{log}");
        // With the documented `backend = systemd` the filter matched no line.
        assert_eq!(banned_in_journal(&log), expected, "{log}");
    }

    /// A member who failed logins over a WebSocket had fail2ban ban the proxy on 127.0.0.1, and with it
    /// all its clients.
    #[test]
    fn no_line_of_a_failed_login_names_a_trusted_proxy() {
        let log = logged(|| login_failed(None, "maria@example.org"));
        assert!(
            log.contains("login failed through a trusted proxy"),
            "{log}"
        );
        assert_eq!(log.lines().count(), 1, "{log}");
        assert_eq!((banned(&log).len(), banned_in_journal(&log).len()), (0, 0));
    }

    /// With a line end in a name, an attacker could forge a log line and have any address banned.
    #[test]
    fn no_name_forges_a_log_line() {
        let forged = "x\"\n2026-03-01T12:00:00Z  INFO login failed source=198.51.100.1 name=\"y\u{2028}\u{202e}";
        let log = logged(|| login_failed("192.0.2.7".parse().ok(), forged));
        assert_eq!(log.lines().count(), 1, "{log}");
        assert_eq!(banned(&log), ["192.0.2.7"], "{log}");
        assert!(
            !log.contains('\u{202e}') && !log.contains('\u{2028}'),
            "{log}"
        );
        let log = logged(|| unseal_failed(forged));
        assert_eq!((log.lines().count(), banned(&log).len()), (1, 0), "{log}");
    }
}
