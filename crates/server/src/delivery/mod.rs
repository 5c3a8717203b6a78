//! Delivers alarms: drains the outbox of the site over e-mail and a webhook for short texts.
//!
//! ```text
//! outbox (core) --lease--> worker --still due?--> Mail or Webhook --result--> outbox
//!                            ^                        |
//!                            |                 the channel is unreachable:
//!          changed, or the next message is due   Pause keeps further messages from it
//! ```
//!
//! Core decides what is sent, when, in which order and how often; this module sends. Each message has a
//! task of its own, at most 8 at a time, so that sessions never wait for a mail server. The texts, the
//! signature of the webhook and the meaning of its replies are in `countersign_core::alarms` and
//! `countersign_proto::webhook`.

mod limited;
mod mail;
mod pause;
mod redaction;
mod webhook;
mod worker;

use std::net::IpAddr;
use std::time::Duration;

use countersign_core::alarms::MailTemplates;
use countersign_core::engine::{DeliveryResult, DeliverySettings};
use countersign_core::public_url::PublicUrl;

pub use mail::{Mail, MailLogin, MailServer, MailTls};
pub use webhook::{MAX_HEADERS, Webhook, WebhookReceiver};
pub(crate) use worker::Worker;

/// How long an attempt to send one message may take, by default. It is less than half of
/// [`LEASE_S`](countersign_core::alarms::LEASE_S), so that no message is sent twice at a time.
pub const DEFAULT_SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time that an attempt may take.
pub const MAX_SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// The channels over which a site delivers alarms to persons without an open connection.
#[derive(Debug, Clone, Default)]
pub struct Channels {
    /// The mail server; without one, no e-mail is sent.
    pub mail: Option<Mail>,
    /// The webhook for short texts; without one, no text is sent.
    pub webhook: Option<Webhook>,
    /// Where links in messages lead; without it, messages have no links.
    pub public_url: Option<PublicUrl>,
    /// The templates of e-mail.
    pub templates: MailTemplates,
}

impl Channels {
    fn settings(&self) -> DeliverySettings {
        DeliverySettings {
            email: self.mail.is_some(),
            text: self.webhook.is_some(),
            public_url: self.public_url.clone(),
            templates: self.templates.clone(),
        }
    }
}

/// A setting of a channel is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BadChannel {
    /// The name of the setting in its section of the configuration.
    pub setting: &'static str,
    /// Why it is not valid, and what to do.
    pub problem: String,
}

impl BadChannel {
    #[allow(
        clippy::needless_pass_by_value,
        reason = "callers pass errors and formatted texts, which they do not need any more"
    )]
    fn new(setting: &'static str, problem: impl ToString) -> Self {
        let problem = problem.to_string();
        Self { setting, problem }
    }
}

/// What an attempt to send a message came to.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    /// The channel accepted the message.
    Sent,
    /// The channel may accept messages later.
    Retry {
        error: String,
        retry_after_s: Option<u32>,
    },
    /// The channel answered and did not take this message. It may take it later.
    Refused {
        error: String,
        retry_after_s: Option<u32>,
    },
    /// The channel will never accept this message.
    Rejected { error: String },
    /// The channel cannot take any message now.
    Unreachable { error: String },
    /// The channel was reached and did not answer to this message, or did not accept the site's
    /// authorization. It may be the recipient's address, or the channel.
    Unanswered { error: String },
}

impl From<Attempt> for DeliveryResult {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Sent => Self::Sent,
            Attempt::Rejected { error } => Self::Rejected { error },
            Attempt::Retry {
                error,
                retry_after_s,
            } => Self::Failed {
                error,
                retry_after_s,
            },
            Attempt::Refused {
                error,
                retry_after_s,
            } => Self::Refused {
                error,
                retry_after_s,
            },
            Attempt::Unreachable { error } | Attempt::Unanswered { error } => Self::Failed {
                error,
                retry_after_s: None,
            },
        }
    }
}

/// Whether a host is this machine itself, so that nothing crosses a network. A name other than
/// `localhost` is not resolved: its address may change later.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Checks that a file has certificates in PEM, and returns how many.
fn check_certificates(pem: &[u8]) -> Result<(), BadChannel> {
    let found = reqwest::Certificate::from_pem_bundle(pem).map_or(0, |all| all.len());
    match found {
        0 => Err(BadChannel::new(
            "ca_file",
            "the file has no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for host in [
            "localhost",
            "LocalHost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.example",
            "10.0.0.1",
            "0.0.0.0",
            "127.0.0.1.example",
            "",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        for text in ["", "-----BEGIN CERTIFICATE-----\n", "no certificate"] {
            assert!(check_certificates(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
