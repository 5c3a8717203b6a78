//! The sections `[mail]` and `[webhook]`: how the site delivers alarms.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_core::alarms::PublicUrl;
use countersign_proto::webhook::{BodyFormat, BodyTemplate, SigningKey};
use countersign_server::delivery::{
    BadChannel, Channels, DEFAULT_SEND_TIMEOUT, MAX_SEND_TIMEOUT, Mail, MailLogin, MailServer,
    MailTls, Webhook, WebhookReceiver,
};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::Config;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::secret_input::{passphrase, warn_if_others_can_read};

/// The shortest time that sending a message may take, in milliseconds.
const MIN_SEND_TIMEOUT_MS: u64 = 1_000;

/// The mail server.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MailSection {
    server: Option<String>,
    port: Option<NonZeroU16>,
    tls: Tls,
    allow_plaintext: bool,
    user: Option<String>,
    password_file: Option<PathBuf>,
    from: Option<String>,
    reply_to: Option<String>,
    ca_file: Option<PathBuf>,
    timeout_ms: SendTimeout,
}

/// The webhook for short texts.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhookSection {
    url: Option<String>,
    allow_plaintext: bool,
    headers: BTreeMap<String, String>,
    authorization_file: Option<PathBuf>,
    body_format: BodyFormat,
    body: Option<String>,
    secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    timeout_ms: SendTimeout,
}

/// The encryption of the connection to the mail server.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Tls {
    #[default]
    StartTls,
    Tls,
    None,
}

/// A time in milliseconds within the range of the setting `timeout_ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SendTimeout(Duration);

impl Default for SendTimeout {
    fn default() -> Self {
        Self(DEFAULT_SEND_TIMEOUT)
    }
}

impl<'de> Deserialize<'de> for SendTimeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let least = Duration::from_millis(MIN_SEND_TIMEOUT_MS);
        let given = Duration::from_millis(u64::deserialize(deserializer)?);
        if (least..=MAX_SEND_TIMEOUT).contains(&given) {
            return Ok(Self(given));
        }
        Err(D::Error::custom(format_args!(
            "it must be from {MIN_SEND_TIMEOUT_MS} to {}",
            MAX_SEND_TIMEOUT.as_millis()
        )))
    }
}

/// Reads the URL under which people reach the pages of the site.
pub(super) fn public_url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PublicUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    PublicUrl::try_from(text)
        .map(Some)
        .map_err(D::Error::custom)
}

impl Config {
    /// The channels over which the site delivers alarms. Reads the files with secrets; a relative path
    /// begins at the folder of the configuration file.
    ///
    /// # Errors
    /// A file cannot be read, or settings contradict each other.
    pub(crate) fn channels(&self) -> Result<Channels, Failure> {
        Ok(Channels {
            mail: self.mail.channel(&self.folder)?,
            webhook: self.webhook.channel(&self.folder)?,
            public_url: self.listen.public_url.clone(),
        })
    }
}

impl MailSection {
    fn channel(&self, folder: &Path) -> Result<Option<Mail>, Failure> {
        let Some(host) = &self.server else {
            return Ok(None);
        };
        let login = match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Some(MailLogin {
                user: user.clone(),
                password: passphrase("", Some(&folder.join(file)))?,
            }),
            (None, None) => None,
            _ => {
                return Err(problem(
                    "mail.user",
                    "`user` and `password_file` belong together; give both or none",
                ));
            }
        };
        let (tls, usual) = match self.tls {
            Tls::StartTls => (MailTls::StartTls, 587),
            Tls::Tls => (MailTls::Implicit, 465),
            Tls::None => (MailTls::None, 25),
        };
        let from = self.from.clone();
        let server = MailServer {
            host: host.clone(),
            port: self.port.map_or(usual, NonZeroU16::get),
            tls,
            allow_plaintext: self.allow_plaintext,
            login,
            from: from.unwrap_or_else(|| format!("Countersign <countersign@{host}>")),
            reply_to: self.reply_to.clone(),
            ca: certificates(folder, self.ca_file.as_deref())?,
            timeout: self.timeout_ms.0,
        };
        Mail::new(server).map(Some).map_err(of("mail"))
    }
}

impl WebhookSection {
    fn channel(&self, folder: &Path) -> Result<Option<Webhook>, Failure> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let usual = self.body_format.usual_template();
        let body = BodyTemplate::parse(self.body_format, self.body.as_deref().unwrap_or(usual));
        let secret = |file: &PathBuf| passphrase("", Some(&folder.join(file)));
        let key = self.secret_file.as_ref().map(|file| {
            let file = folder.join(file);
            warn_if_others_can_read(&file);
            let text = input::secret(&file)?;
            SigningKey::parse(&text).map_err(|error| problem("webhook.secret_file", error))
        });
        let receiver = WebhookReceiver {
            url: url.clone(),
            allow_plaintext: self.allow_plaintext,
            headers: self.headers.clone().into_iter().collect(),
            authorization: self.authorization_file.as_ref().map(secret).transpose()?,
            body: body.map_err(|error| problem("webhook.body", error))?,
            key: key.transpose()?,
            ca: certificates(folder, self.ca_file.as_deref())?,
            timeout: self.timeout_ms.0,
        };
        Webhook::new(receiver).map(Some).map_err(of("webhook"))
    }
}

fn certificates(folder: &Path, file: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    file.map(|file| input::bytes(&folder.join(file)))
        .transpose()
}

fn of(section: &str) -> impl Fn(BadChannel) -> Failure {
    move |error| problem(&format!("{section}.{}", error.setting), error.problem)
}

fn problem(setting: &str, problem: impl Display) -> Failure {
    Failure::new(
        Exit::Failure,
        "config",
        format_args!("{setting}: {problem}"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{parse, read};
    use super::*;

    fn channels(lines: &str) -> Result<Channels, Failure> {
        parse(&format!("version = 1\n{lines}")).unwrap().channels()
    }

    #[test]
    fn without_a_server_and_a_url_nothing_is_delivered() {
        let none = channels("[mail]\nuser = \"a\"\n[webhook]\nbody = \"{{\"\n").unwrap();
        assert!(none.mail.is_none() && none.webhook.is_none());
    }

    #[test]
    fn a_server_or_a_url_alone_is_enough() {
        let both = channels(
            "[mail]\nserver = \"mail.example.org\"\n[webhook]\nurl = \"https://sms.example/\"\n",
        )
        .unwrap();
        assert!(both.mail.is_some() && both.webhook.is_some());
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        for (lines, named) in [
            ("[mail]\nserver = \"a b\"", "mail.server"),
            ("[mail]\nserver = \"m.example\"\ntls = \"none\"", "mail.tls"),
            ("[mail]\nserver = \"m.example\"\nuser = \"a\"", "mail.user"),
            (
                "[mail]\nserver = \"m.example\"\nfrom = \"nobody\"",
                "mail.from",
            ),
            (
                "[mail]\nserver = \"m.example\"\nreply_to = \"@\"",
                "mail.reply_to",
            ),
            ("[webhook]\nurl = \"http://a.example/\"", "webhook.url"),
            (
                "[webhook]\nurl = \"https://a.example/\"\nbody = \"{{phone}}\"",
                "webhook.body",
            ),
            (
                "[webhook]\nurl = \"https://a.example/\"\nheaders = { Host = \"b\" }",
                "webhook.headers",
            ),
        ] {
            let failure = channels(lines).unwrap_err();
            assert!(failure.message.starts_with(named), "{}", failure.message);
        }
        for lines in [
            "[mail]\nserver = \"127.0.0.1\"\ntls = \"none\"\nfrom = \"a@b.example\"",
            "[mail]\nserver = \"m.example\"\ntls = \"none\"\nallow_plaintext = true",
        ] {
            assert!(channels(lines).is_ok(), "{lines}");
        }
    }

    #[test]
    fn a_timeout_is_shorter_than_the_lease_of_a_message() {
        for (timeout, good) in [(999, false), (1_000, true), (60_000, true), (60_001, false)] {
            for section in ["mail", "webhook"] {
                let text = format!("version = 1\n[{section}]\ntimeout_ms = {timeout}");
                assert_eq!(parse(&text).is_ok(), good, "{text}");
            }
        }
    }

    #[test]
    fn a_secret_comes_from_a_file_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("countersign.toml");
        let lines = "version = 1\n[webhook]\nurl = \"https://a.example/\"\nsecret_file = \"key\"\n";
        std::fs::write(&file, lines).unwrap();
        let missing = read(&file).unwrap().channels().unwrap_err();
        assert_eq!(missing.exit, Exit::NotFound);
        std::fs::write(folder.path().join("key"), "too short\n").unwrap();
        let bad = read(&file).unwrap().channels().unwrap_err();
        assert!(
            bad.message.starts_with("webhook.secret_file"),
            "{}",
            bad.message
        );
        let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n";
        std::fs::write(folder.path().join("key"), key).unwrap();
        assert!(read(&file).unwrap().channels().is_ok());
    }
}
