//! `countersign alarm watch`: stays connected and prints alarms as they change.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::Duration;

use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_proto::name::AccountName;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;
use tokio::runtime::Runtime;

use crate::commands::enrol::DEVICE_REFUSED;
use crate::commands::link::Link;
use crate::commands::login::{Login, Source};
use crate::escape;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::hint;
use crate::output::{Format, counted, say, write_bytes};

/// The first wait before the site is tried again. It doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long a device that was connected before is refused until the watch ends. A site refuses with the
/// same silence when the device was revoked and when the site is briefly short of something.
const MAX_REFUSED: Duration = Duration::from_secs(60 * 60);
/// Alarms that one page of the list has.
const PAGE: u32 = 1_000;
/// Pages that are read at most: a person has at most 1,000 alarms.
const MAX_PAGES: usize = 2;

/// Prints alarms until the process is interrupted or the reader closes standard output.
pub(super) fn watch(common: &Common, login: &Login) -> Result<(), Failure> {
    let source = login.source(common)?;
    let name = source.person("alarms")?.clone();
    let runtime = Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
    let mut watch = Watch {
        format: common.format(),
        name,
        shown: HashMap::new(),
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = watch.run(&source) => ended,
            () = output_closed() => Ok(()),
        }
    });
    match ended {
        Err(failure) if failure.exit == Exit::Done => Ok(()),
        ended => ended,
    }
}

/// Waits until the reader of standard output has closed it, as `head -1` does after one line. Never ends if
/// standard output is a file.
async fn output_closed() {
    // It only tells of errors: nothing is written through it, so the mode of the pipe stays as it is.
    let output = std::io::stdout().as_fd().try_clone_to_owned();
    let output = output.and_then(Sender::from_owned_fd_unchecked);
    let closed = match &output {
        Ok(output) => output.ready(Interest::ERROR).await.is_ok(),
        Err(_) => false,
    };
    if !closed {
        std::future::pending::<()>().await;
    }
}

/// What has been printed.
struct Watch {
    format: Format,
    name: AccountName,
    /// The open alarms, with the count and the state that were printed last.
    shown: HashMap<String, (u64, String)>,
}

/// What is printed of an alarm. The rest is passed on unchanged in JSON formats.
#[derive(Debug, Deserialize)]
struct Seen {
    id: String,
    severity: String,
    state: String,
    text: String,
    raised_by: String,
    count: u64,
    last: String,
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<Box<RawValue>>,
    next: Option<Value>,
}

impl Watch {
    async fn run(&mut self, source: &Source) -> Result<(), Failure> {
        let mut wait = FIRST_WAIT;
        let mut first = true;
        let mut refused = Duration::ZERO;
        loop {
            let failure = match source.connect().await {
                Ok(link) => {
                    if !first {
                        say("Connected again.");
                    }
                    (wait, first, refused) = (FIRST_WAIT, false, Duration::ZERO);
                    match self.follow(&link).await {
                        Ok(ended) => ended,
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            let is_temporary = match failure.exit {
                Exit::Unreachable => true,
                Exit::NotAuthenticated if failure.code == DEVICE_REFUSED => {
                    refused += wait;
                    matches!(source, Source::Device(_)) && refused < MAX_REFUSED
                }
                _ => false,
            };
            // A wrong address or secret at the beginning is the user's to correct.
            if !is_temporary || first {
                return Err(failure);
            }
            let time = jittered(wait);
            say(format_args!(
                "{}; connecting again in {} ms",
                failure.message,
                time.as_millis()
            ));
            tokio::time::sleep(time).await;
            wait = wait.saturating_mul(2).min(MAX_WAIT);
        }
    }

    /// Prints open alarms and then each change. Returns why the session ended.
    async fn follow(&mut self, link: &Link) -> Result<Failure, Failure> {
        // Subscribed first, so that nothing is lost between the list and the events.
        let mut events = link.events();
        self.open_alarms(link).await?;
        while let Some(event) = events.next().await {
            match (event.group.as_str(), event.event.as_str()) {
                ("alarm", name) => self.show(name, &event.data)?,
                ("events", "missed") => self.open_alarms(link).await?,
                _ => {}
            }
        }
        Ok(link.ended().into())
    }

    async fn open_alarms(&mut self, link: &Link) -> Result<(), Failure> {
        let before = std::mem::take(&mut self.shown);
        let mut after = Value::Null;
        let mut open = Vec::new();
        for _ in 0..MAX_PAGES {
            let params = super::given(json!({
                "person": self.name, "state": "open", "limit": PAGE, "after": after,
            }));
            let page: Page = link.call("alarm", "list", &params).await?;
            open.extend(page.entries);
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        // Oldest first, as they were raised.
        for alarm in open.iter().rev() {
            let seen: Seen = read(alarm)?;
            let now = (seen.count, seen.state.clone());
            if before.get(&seen.id) == Some(&now) {
                self.shown.insert(seen.id, now);
            } else {
                self.show("open", alarm)?;
            }
        }
        Ok(())
    }

    /// Prints one alarm.
    fn show(&mut self, event: &str, alarm: &RawValue) -> Result<(), Failure> {
        let seen: Seen = read(alarm)?;
        let line = match self.format {
            Format::Text => escape::line(&format!(
                "{}  {event}  {}  {}  {}  {}  {}",
                seen.last,
                seen.severity,
                counted(&seen.count.to_string(), "time"),
                seen.id,
                seen.raised_by,
                hint::alarm_text(&seen.raised_by, &seen.text, hint::commands)
            )),
            Format::Json | Format::Jsonl => {
                let event = escape::json(&json!(event).to_string());
                format!(
                    r#"{{"event":{event},"alarm":{}}}"#,
                    escape::json(alarm.get())
                )
            }
        };
        // A list of what is open, not of all that ever was.
        match seen.state.as_str() {
            "open" => {
                self.shown.insert(seen.id, (seen.count, seen.state));
            }
            _ => {
                self.shown.remove(&seen.id);
            }
        }
        write_bytes(format!("{line}\n").as_bytes())
    }
}

fn read(alarm: &RawValue) -> Result<Seen, Failure> {
    serde_json::from_str(alarm.get())
        .map_err(|error| Failure::new(Exit::Failure, "protocol", error))
}

/// A random time between half of `wait` and all of it: many programs that lost one site do not come back
/// at once.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 4];
    SystemEntropy.fill(&mut random);
    let part = f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX);
    wait.mul_f64(0.5 + part / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_between_its_half_and_itself() {
        for _ in 0..100 {
            let wait = jittered(MAX_WAIT);
            assert!(MAX_WAIT / 2 <= wait && wait <= MAX_WAIT, "{wait:?}");
        }
    }
}
