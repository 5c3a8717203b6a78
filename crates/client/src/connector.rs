//! Connects to a site, logs in, and resumes a session whose connection was lost.

#[cfg(not(target_arch = "wasm32"))]
use std::sync::Arc;
use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
#[cfg(not(target_arch = "wasm32"))]
use countersign_crypto::identity::Identity;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::name::AccountName;
use countersign_proto::session::client::{
    ClientLoginAttempt, ClientSettings, ClientStep, LoggedIn, Resumption, read_key_events,
    request_key_events,
};
use countersign_proto::session::{EncryptionOption, Inbox, LoginError, WireError};
use countersign_proto::site_identity::{KnownSite, WalkStep};
use countersign_proto::uri::SiteUri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::ConnectError;
use crate::known_site::SharedKnownSite;
use crate::platform::{self, Dialer, Reader, Writer};

/// The account to log in as, with its secret.
#[derive(Clone)]
pub enum LoginAs {
    /// A person. The pass phrase does not leave this process.
    Person(AccountName, Passphrase),
    /// A service, with its private key. Services are native programs.
    #[cfg(not(target_arch = "wasm32"))]
    Service(Arc<Identity>),
}

impl LoginAs {
    /// Logs in as a person.
    #[must_use]
    pub fn person(name: AccountName, passphrase: Passphrase) -> Self {
        Self::Person(name, passphrase)
    }

    /// Logs in as a service.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn service(identity: Identity) -> Self {
        Self::Service(Arc::new(identity))
    }
}

/// A connection with an opened or resumed session.
pub(crate) struct Opened {
    pub(crate) halves: (Reader, Writer),
    pub(crate) inbox: Inbox,
    pub(crate) logged_in: LoggedIn,
}

/// The result of one connection.
enum Attempted {
    Opened(Box<Opened>),
    Reconnect(Box<WalkStep>),
}

/// The kind of an attempt to open a session.
enum AttemptKind {
    Login(LoginAs),
    Resume(Resumption),
}

/// Settings for connections to one site. Reuse it: it remembers what it learned of the site, and
/// caches values that make later logins cheaper. Clones share both.
#[derive(Clone)]
pub struct Connector {
    dialer: Dialer,
    settings: ClientSettings,
    known: SharedKnownSite,
    timeout: Duration,
    resume_timeout: Duration,
}

/// Delays before each attempt to resume; the last one repeats.
const RETRY_DELAYS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Whether the same attempt may succeed later.
fn is_temporary(error: &LoginError) -> bool {
    matches!(
        error,
        LoginError::Busy
            | LoginError::Sealed
            | LoginError::Lockdown
            | LoginError::Ended(WireError::TooSlow)
    )
}

impl Connector {
    /// The default settings: hybrid encryption options only, packets of up to 64 KiB, a login
    /// timeout of 20 s, a resume timeout of 60 s.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn new(site: &SiteUri) -> Self {
        Self::over(Dialer::new(site.address()), *site.site_key())
    }

    /// The same over a WebSocket. `open` is a function that takes a URL and a subprotocol and returns
    /// a `WebSocket`. The URL is `wss://…/session`, or `ws://` for a site on this machine. Of `site`,
    /// only the key is used.
    #[cfg(target_arch = "wasm32")]
    #[must_use]
    pub fn over_web_socket(url: String, open: js_sys::Function, site: &SiteUri) -> Self {
        Self::over(Dialer::new(url, open), *site.site_key())
    }

    fn over(dialer: Dialer, site: SitePublicKey) -> Self {
        Self {
            dialer,
            settings: ClientSettings::new(site),
            known: SharedKnownSite::default(),
            timeout: Duration::from_secs(20),
            resume_timeout: Duration::from_secs(60),
        }
    }

    /// Expects the site of which this is known, from [`Self::known_site`] after an earlier
    /// connection. It replaces the key in the URI, which the site may have replaced since.
    #[must_use]
    pub fn expect(self, known: KnownSite) -> Self {
        self.known.remember(known);
        self
    }

    /// What is known of the site: after a connection, its id and its newest key event. Store it,
    /// and pass it to [`Self::expect`] next time, so that an older key that a thief has is not
    /// accepted again. `None` before the first connection.
    #[must_use]
    pub fn known_site(&self) -> Option<KnownSite> {
        self.known.get()
    }

    /// Accepts these encryption options. The site's ranking decides which one is used.
    #[must_use]
    pub fn accept(mut self, options: impl IntoIterator<Item = EncryptionOption>) -> Self {
        self.settings.accepted = options.into_iter().collect();
        self.settings.own_order = false;
        self
    }

    /// Accepts these encryption options and uses the first that the site offers, regardless of the
    /// site's ranking.
    #[must_use]
    pub fn prefer(mut self, options: impl IntoIterator<Item = EncryptionOption>) -> Self {
        self = self.accept(options);
        self.settings.own_order = true;
        self
    }

    /// Sets the maximum packet length in bytes, at least 256, in both directions.
    #[must_use]
    pub fn max_packet(mut self, bytes: u32) -> Self {
        self.settings.max_packet = bytes;
        self
    }

    /// Sets the timeout for connecting and logging in together: 20 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets for how long the client tries to resume a session after the connection was lost: 60 s
    /// by default. With zero it never resumes.
    #[must_use]
    pub fn resume_timeout(mut self, timeout: Duration) -> Self {
        self.resume_timeout = timeout;
        self
    }

    /// Connects and logs in.
    pub(crate) async fn log_in(&self, who: LoginAs) -> Result<Opened, ConnectError> {
        self.attempt_in_time(AttemptKind::Login(who)).await
    }

    /// Resumes a session once.
    pub(crate) async fn log_in_again(
        &self,
        resumption: Resumption,
    ) -> Result<Opened, ConnectError> {
        self.attempt_in_time(AttemptKind::Resume(resumption)).await
    }

    /// Resumes a session whose connection was lost. It retries while the site cannot be reached,
    /// and returns `None` when the site refuses or the resume timeout ends.
    pub(crate) async fn resume(&self, mut resumption: Resumption) -> Option<Opened> {
        let trying = async {
            let last = RETRY_DELAYS.last().copied().unwrap_or_default();
            let delays = RETRY_DELAYS.iter().copied().chain(std::iter::repeat(last));
            for delay in delays {
                platform::sleep(delay).await;
                resumption.count_attempt();
                match self
                    .attempt_in_time(AttemptKind::Resume(resumption.clone()))
                    .await
                {
                    Ok(opened) => return Some(opened),
                    Err(ConnectError::Login(error)) if !is_temporary(&error) => return None,
                    Err(_) => {}
                }
            }
            None
        };
        platform::timeout(self.resume_timeout, trying).await.ok()?
    }

    async fn attempt_in_time(&self, kind: AttemptKind) -> Result<Opened, ConnectError> {
        match platform::timeout(self.timeout, self.attempt(kind)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout {
                address: self.dialer.address().to_owned(),
            }),
        }
    }

    /// One attempt, and a second one if the site's key events did not fit into the answer to the
    /// first, or if a service used a key that the site has replaced.
    async fn attempt(&self, mut kind: AttemptKind) -> Result<Opened, ConnectError> {
        for _ in 0..2 {
            match self.connection(&kind).await? {
                Attempted::Opened(opened) => {
                    self.known.remember(opened.logged_in.site);
                    return Ok(*opened);
                }
                Attempted::Reconnect(step) => {
                    let known = self.walk(*step).await?;
                    self.known.remember(known);
                    if let AttemptKind::Resume(resumption) = &mut kind {
                        resumption.count_attempt();
                    }
                }
            }
        }
        Err(LoginError::WrongSite.into())
    }

    /// Follows the site's key events to the newest one: a page for each connection, since a site
    /// sends no more to an unauthenticated client.
    async fn walk(&self, mut step: WalkStep) -> Result<KnownSite, ConnectError> {
        loop {
            let walk = match step {
                WalkStep::Done(known) => return Ok(known),
                WalkStep::More(walk) => walk,
            };
            let (mut reader, mut writer) = self.socket().await?;
            let request = request_key_events(walk.wanted())?;
            let _ = writer.write_all(&request).await;
            let mut input = Vec::new();
            step = loop {
                if let Some(page) = read_key_events(&input)? {
                    break walk.receive(page).map_err(LoginError::from)?;
                }
                match reader.read_buf(&mut input).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Err(self.closed()),
                }
            };
        }
    }

    /// What opens connections to the site.
    #[cfg(target_arch = "wasm32")]
    pub(crate) const fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    async fn socket(&self) -> Result<(Reader, Writer), ConnectError> {
        let connected = self.dialer.connect().await;
        connected.map_err(|cause| ConnectError::Unreachable {
            address: self.dialer.address().to_owned(),
            cause,
        })
    }

    fn closed(&self) -> ConnectError {
        ConnectError::Closed {
            address: self.dialer.address().to_owned(),
        }
    }

    async fn connection(&self, kind: &AttemptKind) -> Result<Attempted, ConnectError> {
        let (mut reader, mut writer) = self.socket().await?;
        let mut out = Vec::new();
        let settings = ClientSettings {
            known: self.known_site(),
            ..self.settings.clone()
        };
        let entropy = &mut SystemEntropy;
        let mut login = match kind {
            AttemptKind::Login(LoginAs::Person(name, passphrase)) => {
                let (name, passphrase) = (name.clone(), passphrase.clone());
                ClientLoginAttempt::person(settings, name, passphrase, entropy, &mut out)?
            }
            #[cfg(not(target_arch = "wasm32"))]
            AttemptKind::Login(LoginAs::Service(identity)) => {
                ClientLoginAttempt::service(settings, identity.clone(), entropy, &mut out)?
            }
            AttemptKind::Resume(resumption) => {
                ClientLoginAttempt::resume(settings, resumption.clone(), entropy, &mut out)?
            }
        };
        let mut inbox = Inbox::default();
        loop {
            // A site that refuses may close before it has read everything: its reply can still be
            // read.
            let sent = writer.write_all(&out).await;
            out.clear();
            let read = reader.read_buf(inbox.tail(2_048)).await;
            if read.map_or(true, |bytes| bytes == 0) || (sent.is_err() && inbox.is_empty()) {
                return Err(self.closed());
            }
            let (step, used) = login.receive(inbox.unread(), &mut SystemEntropy, &mut out)?;
            inbox.consume(used);
            login = match step {
                ClientStep::NeedMore(login) => login,
                ClientStep::Stretch(stretch) => {
                    let stretched = platform::blocking(move || {
                        let mut proof = Vec::new();
                        (stretch.run(&mut SystemEntropy, &mut proof), proof)
                    });
                    let interrupted = LoginError::Protocol("the key stretching was interrupted");
                    let (result, proof) = stretched.await.ok_or(interrupted)?;
                    out.extend_from_slice(&proof);
                    result?
                }
                ClientStep::Reconnect(step) => return Ok(Attempted::Reconnect(step)),
                ClientStep::LoggedIn(logged_in) => {
                    return Ok(Attempted::Opened(Box::new(Opened {
                        halves: (reader, writer),
                        inbox,
                        logged_in,
                    })));
                }
            };
        }
    }
}
