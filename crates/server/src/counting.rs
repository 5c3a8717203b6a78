//! Events that are counted before they are audited, and what the log and admins are told of them.
//!
//! Lines for programs such as fail2ban have one form each (`docs/operate/fail2ban.md`): they are logged at
//! `info`, the source's address is a field, and whatever a client chose is quoted and escaped.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::{Channel, Role};
use countersign_core::audit::AuditOutcome;
use countersign_core::audit::coalesced::{Alarm, Occurrence};
use countersign_core::sessions::Audience;
use countersign_core::throttle::Source;
use countersign_proto::operation::Event;
use serde_json::json;
use serde_json::value::to_raw_value;
use tracing::{info, warn};

use crate::clock;
use crate::shared::{Shared, log_trouble};

/// How late an entry is written at most, when nothing else asks for it sooner.
const EVERY: Duration = Duration::from_secs(1);

/// A login that a client was given an answer to. Unless it [`succeeded`](Self::succeeded) before it is
/// dropped, it failed: that is logged and counted, whatever ended it.
pub(crate) struct Guess {
    shared: Arc<Shared>,
    address: IpAddr,
    source: Source,
    name: String,
    succeeded: bool,
}

impl Guess {
    /// With that name, or with that key.
    pub(crate) fn new(shared: Arc<Shared>, address: IpAddr, source: Source, name: String) -> Self {
        Self {
            shared,
            address,
            source,
            name,
            succeeded: false,
        }
    }

    /// The client proved what it had to.
    pub(crate) fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        if self.succeeded {
            return;
        }
        login_failed(self.address, &self.name);
        let outcome = AuditOutcome::Failed;
        let failed = Occurrence::of_source(self.source, Channel::Session, "session.login", outcome);
        self.shared.note(failed.with("name", self.name.as_str()));
    }
}

fn login_failed(source: IpAddr, name: &str) {
    info!(source = %source.to_canonical(), ?name, "login failed");
}

/// A request over HTTP that nothing vouched for.
pub(crate) fn request_failed(shared: &Shared, source: Source) {
    request_failed_line(source);
    let outcome = AuditOutcome::Failed;
    shared.note(Occurrence::of_source(
        source,
        Channel::Http,
        "broker.ticket",
        outcome,
    ));
}

fn request_failed_line(source: Source) {
    info!(%source, "ticket request failed");
}

fn penalty_began(source: Source, until: impl std::fmt::Display) {
    info!(%source, %until, "penalty began");
}

/// A secret of the site key that was wrong. Only the admin socket takes any.
pub(crate) fn unseal_failed(name: &str) {
    info!(source = "admin-socket", ?name, "unseal failed");
}

impl Shared {
    /// Counts an event: its entry is written soon.
    pub(crate) fn note(&self, occurrence: Occurrence) {
        self.site.count(occurrence, clock::now());
        self.noted.notify_one();
    }

    /// Writes the entries of counted events for as long as the server runs.
    pub(crate) async fn keep_counted(self: Arc<Self>) -> io::Result<Infallible> {
        loop {
            let _ = tokio::time::timeout(EVERY, self.noted.notified()).await;
            let shared = self.clone();
            // By itself: a server that stops meanwhile loses no entry.
            let _ = tokio::spawn(async move { shared.write_counted().await }).await;
        }
    }

    /// Writes the entries that are due, and tells of penalties and alarms.
    async fn write_counted(&self) {
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
        for alarm in self.site.alarms() {
            self.raise(&alarm);
        }
    }

    /// Writes what was counted and not written yet: the server stops.
    pub(crate) async fn write_all_counted(&self) {
        let _ = log_trouble(self.site.write_all_counted().await);
    }

    fn raise(&self, alarm: &Alarm) {
        let Alarm {
            actor,
            operation,
            outcome,
            count,
        } = alarm;
        let outcome = outcome.as_str();
        warn!(?actor, %operation, %outcome, count, "repeated refusals");
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
            self.site.events().publish(admins, &Arc::new(event));
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

    /// What is logged meanwhile, in the form in which the program writes it to a file.
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

    /// The expressions of the documented filter, with fail2ban's `<HOST>` as fail2ban reads it.
    fn filter() -> Vec<Regex> {
        let page = include_str!("../../../docs/operate/fail2ban.md");
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

    /// What fail2ban would ban for these lines; it takes the time off a line first.
    fn banned(log: &str) -> Vec<String> {
        let filter = filter();
        assert_eq!(filter.len(), 2, "the page has the filter");
        let lines = log.lines().filter_map(|line| line.split_once(' '));
        lines
            .filter_map(|(_, line)| {
                filter.iter().find_map(|one| {
                    let mut found = one.create_captures();
                    one.captures(line, &mut found);
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
            login_failed(address("192.0.2.7"), "maria@example.org");
            login_failed(address("::ffff:192.0.2.8"), "maria@example.org");
            login_failed(address("2001:db8::1"), "maria@example.org");
            request_failed_line(Source::from(address("192.0.2.9")));
            request_failed_line(Source::from(address("2001:db8:0:1::7")));
            penalty_began(Source::from(address("192.0.2.10")), "2026-03-01T12:00:00Z");
            info!("session opened");
        });
        assert_eq!(
            banned(&log),
            [
                "192.0.2.7",
                "192.0.2.8",
                "2001:db8::1",
                "192.0.2.9",
                "2001:db8:0:1::"
            ],
            "{log}"
        );
    }

    /// A name with a line end must not make a line of its own: an attacker could have any address banned.
    #[test]
    fn no_name_forges_a_line() {
        let forged = "x\"\n2026-03-01T12:00:00Z  INFO login failed source=198.51.100.1 name=\"y\u{2028}\u{202e}";
        let log = logged(|| login_failed("192.0.2.7".parse().unwrap(), forged));
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
