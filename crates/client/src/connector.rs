//! Reaching a site: connecting, logging in, and resuming a session whose connection was lost.

use std::sync::Arc;
use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::name::AccountName;
use countersign_proto::session::client::{
    ClientLoginAttempt, ClientSettings, ClientStep, LoggedIn, Resumption,
};
use countersign_proto::session::{EncryptionOption, Inbox, LoginError, WireError};
use countersign_proto::uri::SiteUri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::ConnectError;

/// Who logs in.
pub enum Who {
    /// A person, with a pass phrase that does not leave this process.
    Person(AccountName, Passphrase),
    /// A service, with its own key.
    Service(Arc<Identity>),
}

impl Who {
    /// A person.
    #[must_use]
    pub fn person(name: AccountName, passphrase: Passphrase) -> Self {
        Self::Person(name, passphrase)
    }

    /// A service.
    #[must_use]
    pub fn service(identity: Identity) -> Self {
        Self::Service(Arc::new(identity))
    }
}

/// A connection over which a session was opened or resumed.
pub(crate) struct Opened {
    pub(crate) socket: TcpStream,
    pub(crate) inbox: Inbox,
    pub(crate) logged_in: LoggedIn,
}

/// The way into a session.
enum Entrance {
    Login(Who),
    Resume(Resumption),
}

/// How to connect to one site; keeps what makes later logins cheaper.
#[derive(Clone)]
pub struct Connector {
    address: String,
    settings: ClientSettings,
    patience: Duration,
    resumes_for: Duration,
}

/// How long a client waits before it tries to resume again: little at first, then longer.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Whether a site that said so may say something else in a while.
fn comes_again(error: &LoginError) -> bool {
    matches!(
        error,
        LoginError::Busy | LoginError::Sealed | LoginError::Ended(WireError::TooSlow)
    )
}

impl Connector {
    /// The defaults: hybrid options alone, packets of 64 KiB, 20 seconds of patience, a minute of trying
    /// to resume.
    #[must_use]
    pub fn new(site: &SiteUri) -> Self {
        Self {
            address: site.address(),
            settings: ClientSettings::new(*site.site_key()),
            patience: Duration::from_secs(20),
            resumes_for: Duration::from_secs(60),
        }
    }

    /// Accepts these encryption options; the site's order says which of them is taken.
    #[must_use]
    pub fn accept(mut self, options: impl IntoIterator<Item = EncryptionOption>) -> Self {
        self.settings.accepted = options.into_iter().collect();
        self.settings.own_order = false;
        self
    }

    /// Accepts these encryption options and takes the first of them that the site has on offer: this order
    /// counts, and not the site's.
    #[must_use]
    pub fn prefer(mut self, options: impl IntoIterator<Item = EncryptionOption>) -> Self {
        self = self.accept(options);
        self.settings.own_order = true;
        self
    }

    /// Takes and sends packets of at most this many bytes (256 or more).
    #[must_use]
    pub fn max_packet(mut self, bytes: u32) -> Self {
        self.settings.max_packet = bytes;
        self
    }

    /// Waits this long for connection and login together.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Tries for this long to resume the session when the connection is lost; zero never does.
    #[must_use]
    pub fn resumes_for(mut self, longest: Duration) -> Self {
        self.resumes_for = longest;
        self
    }

    /// The pinned key of the site.
    pub(crate) const fn site(&self) -> &SitePublicKey {
        &self.settings.site
    }

    /// Connects and logs in.
    pub(crate) async fn log_in(&self, who: Who) -> Result<Opened, ConnectError> {
        self.enter(Entrance::Login(who)).await
    }

    /// Resumes a session whose connection was lost: tries again while the site cannot be reached, gives up
    /// when it refuses or the time is over.
    pub(crate) async fn resume(&self, mut resumption: Resumption) -> Option<Opened> {
        let trying = async {
            let longest = PAUSES.last().copied().unwrap_or_default();
            let pauses = PAUSES.iter().copied().chain(std::iter::repeat(longest));
            for pause in pauses {
                tokio::time::sleep(pause).await;
                resumption.count_attempt();
                match self.enter(Entrance::Resume(resumption.clone())).await {
                    Ok(opened) => return Some(opened),
                    Err(ConnectError::Login(error)) if !comes_again(&error) => return None,
                    Err(_) => {}
                }
            }
            None
        };
        tokio::time::timeout(self.resumes_for, trying).await.ok()?
    }

    async fn enter(&self, entrance: Entrance) -> Result<Opened, ConnectError> {
        match tokio::time::timeout(self.patience, self.attempt(entrance)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::TooSlow {
                address: self.address.clone(),
            }),
        }
    }

    async fn attempt(&self, entrance: Entrance) -> Result<Opened, ConnectError> {
        let unreachable = |cause| ConnectError::Unreachable {
            address: self.address.clone(),
            cause,
        };
        let mut socket = TcpStream::connect(&self.address)
            .await
            .map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;

        let mut out = Vec::new();
        let settings = self.settings.clone();
        let entropy = &mut SystemEntropy;
        let mut login = match entrance {
            Entrance::Login(Who::Person(name, passphrase)) => {
                ClientLoginAttempt::person(settings, name, passphrase, entropy, &mut out)?
            }
            Entrance::Login(Who::Service(identity)) => {
                ClientLoginAttempt::service(settings, identity, entropy, &mut out)?
            }
            Entrance::Resume(resumption) => {
                ClientLoginAttempt::resume(settings, resumption, entropy, &mut out)?
            }
        };
        let mut inbox = Inbox::default();
        loop {
            // A site that refuses may close before it has read all: its answer is still to be read.
            let sent = socket.write_all(&out).await;
            out.clear();
            let read = socket.read_buf(inbox.tail(2_048)).await;
            if read.map_or(true, |bytes| bytes == 0) || (sent.is_err() && inbox.is_empty()) {
                return Err(ConnectError::Closed {
                    address: self.address.clone(),
                });
            }
            let (step, used) = login.receive(inbox.unread(), &mut SystemEntropy, &mut out)?;
            inbox.consume(used);
            login = match step {
                ClientStep::NeedMore(login) => login,
                ClientStep::Stretch(stretch) => {
                    let (result, proof) = tokio::task::spawn_blocking(move || {
                        let mut proof = Vec::new();
                        (stretch.run(&mut SystemEntropy, &mut proof), proof)
                    })
                    .await
                    .map_err(|_| LoginError::Protocol("the key stretching was interrupted"))?;
                    out.extend_from_slice(&proof);
                    result?
                }
                ClientStep::LoggedIn(logged_in) => {
                    return Ok(Opened {
                        socket,
                        inbox,
                        logged_in,
                    });
                }
            };
        }
    }
}
