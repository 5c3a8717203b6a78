//! E-mail over SMTP (RFC 5321).

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use countersign_core::engine::DueDelivery;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::secret::Passphrase;
use countersign_proto::uri::is_host;
use lettre::address::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;
use tokio::net::TcpStream;

use super::limited::Limited;
use super::{Attempt, BadChannel, check_certificates, is_loopback, redaction};

/// How long the goodbye to a mail server may take: the message is sent already.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MailTls {
    /// STARTTLS (RFC 3207), required: without it no mail is sent.
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// No encryption.
    None,
}

/// A user name and a password for the mail server.
#[derive(Debug, Clone)]
pub struct MailLogin {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Passphrase,
}

/// The settings of a mail server.
#[derive(Debug, Clone)]
pub struct MailServer {
    /// A DNS name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// Whether [`MailTls::None`] is allowed to another machine.
    pub allow_plaintext: bool,
    /// How the site logs in, if the server asks for that.
    pub login: Option<MailLogin>,
    /// The sender: an address, or a name and an address in angle brackets.
    pub from: String,
    /// Where replies go, if not to the sender.
    pub reply_to: Option<String>,
    /// Certificates in PEM that are trusted besides those of the system.
    pub ca: Option<Vec<u8>>,
    /// How long sending one message may take.
    pub timeout: Duration,
}

/// A mail server whose settings have been checked.
#[derive(Clone)]
pub struct Mail(Arc<Inner>);

struct Inner {
    server: MailServer,
    tls: Option<TlsParameters>,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    hello: ClientId,
}

impl Mail {
    /// Checks the settings. Does not connect.
    ///
    /// # Errors
    /// [`BadChannel`] names the setting.
    pub fn new(server: MailServer) -> Result<Self, BadChannel> {
        let host = server.host.as_str();
        if !is_host(host) && host.parse::<Ipv6Addr>().is_err() {
            let problem = format!("{host:?} is not a DNS name or an IP address");
            return Err(BadChannel::new("server", problem));
        }
        if server.tls == MailTls::None && !server.allow_plaintext && !is_loopback(host) {
            return Err(BadChannel::new(
                "tls",
                "mail and the password would cross the network unencrypted; use `starttls` or `tls`, \
                 or set `allow_plaintext`",
            ));
        }
        let mailbox = |setting, text: &str| {
            let address = "write it like alarms@example.org or Alarms <alarms@example.org>";
            text.parse::<Mailbox>()
                .map_err(|error| BadChannel::new(setting, format_args!("{error}; {address}")))
        };
        let from = mailbox("from", &server.from)?;
        let reply_to = server.reply_to.as_deref();
        let reply_to = reply_to.map(|text| mailbox("reply_to", text)).transpose()?;
        let tls = match server.tls {
            MailTls::None => None,
            MailTls::StartTls | MailTls::Implicit => Some(tls(&server)?),
        };
        let hello = ClientId::Domain(from.email.domain().to_owned());
        Ok(Self(Arc::new(Inner {
            server,
            tls,
            from,
            reply_to,
            hello,
        })))
    }

    /// Sends a message.
    pub(super) async fn send(&self, due: &DueDelivery, now: Timestamp) -> Attempt {
        let mail = &*self.0;
        let message = match mail.message(due, now) {
            Ok(message) => message,
            Err(error) => return Attempt::Rejected { error },
        };
        let timeout = mail.server.timeout;
        let begun = AtomicBool::new(false);
        let sent = tokio::time::timeout(timeout, mail.converse(&message, &begun));
        sent.await.unwrap_or_else(|_| {
            let error = format!(
                "the mail server {}:{} did not finish within {} ms",
                mail.server.host,
                mail.server.port,
                timeout.as_millis()
            );
            match begun.load(Ordering::Relaxed) {
                true => Attempt::Unanswered { error },
                false => Attempt::Unreachable { error },
            }
        })
    }
}

impl Inner {
    /// The message in the format of RFC 5322. The subject and the address are one line each; headers are
    /// encoded, so that no text can begin another one.
    fn message(&self, due: &DueDelivery, now: Timestamp) -> Result<Message, String> {
        let to: Address = due
            .address
            .parse()
            .map_err(|error| format!("{:?} is not an email address: {error}", due.address))?;
        let since_1970 = Duration::from_millis(u64::try_from(now.millis()).unwrap_or_default());
        let date = UNIX_EPOCH.checked_add(since_1970).unwrap_or(UNIX_EPOCH);
        let domain = self.from.email.domain();
        let mut builder = Message::builder()
            .message_id(Some(format!("<{}@{domain}>", due.idempotency_key)))
            .date(date)
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(due.message.subject.clone());
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        // Programs that answer mail leave this one alone (RFC 3834).
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        builder = builder.raw_header(HeaderValue::new(name, "auto-generated".to_owned()));
        let (text, html) = (due.message.text.clone(), due.message.html.clone());
        builder
            .multipart(MultiPart::alternative_plain_html(text, html))
            .map_err(|error| error.to_string())
    }

    /// Sends a message. `begun` is set when the server was reached and has accepted the login.
    async fn converse(&self, message: &Message, begun: &AtomicBool) -> Attempt {
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return Attempt::Unreachable { error },
        };
        begun.store(true, Ordering::Relaxed);
        let text = message.formatted();
        let sent = connection.send(message.envelope(), &text);
        let attempt = match sent.await {
            Ok(reply) if reply.code().severity == Severity::PositiveCompletion => Attempt::Sent,
            Ok(reply) => Attempt::Refused {
                error: self.shown(&format!("the mail server replied {}", reply.code())),
                retry_after_s: None,
            },
            Err(error) => self.failed(&error),
        };
        if attempt == Attempt::Sent {
            let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
        }
        attempt
    }

    /// Connects, encrypts and logs in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let server = &self.server;
        let address = (server.host.trim_matches(['[', ']']), server.port);
        let at = |error: &dyn fmt::Display| {
            let text = format!("the mail server {}:{}: {error}", server.host, server.port);
            self.shown(&text)
        };
        let mut connection = match (server.tls, &self.tls) {
            (MailTls::Implicit, Some(tls)) => {
                AsyncSmtpConnection::connect_tokio1(
                    address,
                    None,
                    &self.hello,
                    Some(tls.clone()),
                    None,
                )
                .await
            }
            _ => {
                let stream = TcpStream::connect(address)
                    .await
                    .map_err(|error| at(&error))?;
                let stream = Box::new(match server.tls {
                    MailTls::StartTls => Limited::until_tls(stream),
                    MailTls::Implicit | MailTls::None => Limited::new(stream),
                });
                AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await
            }
        }
        .map_err(|error| at(&error))?;
        if let (MailTls::StartTls, Some(tls)) = (server.tls, &self.tls) {
            let upgraded = connection.starttls(tls.clone(), &self.hello).await;
            upgraded.map_err(|error| at(&error))?;
        }
        if let Some(login) = &server.login {
            let password = String::from_utf8_lossy(login.password.as_bytes()).into_owned();
            let credentials = Credentials::new(login.user.clone(), password);
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let accepted = connection.auth(&mechanisms, &credentials).await;
            accepted.map_err(|error| at(&format_args!("the login failed: {error}")))?;
        }
        Ok(connection)
    }

    /// What an error after the login means: the message cannot be sent to this address over this server, the
    /// server may accept the message later, or the connection is lost.
    fn failed(&self, error: &lettre::transport::smtp::Error) -> Attempt {
        if error.is_client() {
            // Nothing was sent, and the next message may be without the problem: for example, the server does
            // not support the characters of this address.
            return Attempt::Rejected {
                error: self.shown(&format!("the message cannot be sent: {error}")),
            };
        }
        let shown = self.shown(&format!("the mail server replied: {error}"));
        let Some(code) = error.status() else {
            return Attempt::Unanswered { error: shown };
        };
        let text = error.to_string();
        // A refusal by policy (RFC 3463, 5.7) is the operator's to correct: relaying, authentication.
        let is_policy = text.contains(": 5.7.");
        match u16::from(code) {
            421 => Attempt::Unreachable { error: shown },
            550 | 551 | 553 | 556 if !is_policy => Attempt::Rejected { error: shown },
            _ => Attempt::Refused {
                error: shown,
                retry_after_s: None,
            },
        }
    }

    /// A text of the server without the password.
    fn shown(&self, text: &str) -> String {
        match &self.server.login {
            Some(login) => redaction::without(text, &login.user, &login.password),
            None => text.to_owned(),
        }
    }
}

fn tls(server: &MailServer) -> Result<TlsParameters, BadChannel> {
    let host = server.host.trim_matches(['[', ']']).to_owned();
    let mut parameters = TlsParameters::builder(host);
    if let Some(pem) = &server.ca {
        check_certificates(pem)?;
        let roots = Certificate::from_pem(pem);
        let roots = roots.map_err(|error| BadChannel::new("ca_file", error))?;
        parameters = parameters.add_root_certificate(roots);
    }
    parameters
        .build()
        .map_err(|error| BadChannel::new("tls", error))
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mail").field(&self.0.server).finish()
    }
}
