//! Both ends of a session in one process without a socket: the state machines exchange their bytes
//! directly.

use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::noise::StaticKeyCache;
use countersign_crypto::passphrase::ServerSetup;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::limits::DEFAULT_MAX_PACKET;
use countersign_proto::session::server::{AccountTag, ServiceCredential};
use countersign_proto::session::{
    EncryptionOption, OptionList, SessionId, Welcome, client, server,
};
use countersign_proto::site_identity::{KeyEventLog, KnownSite, SignedKeyEvent};

use crate::Result;

/// A site, and a service with an account.
pub(crate) struct Ends {
    pub(crate) server: Arc<server::ServerSettings>,
    pub(crate) client: client::ClientSettings,
    robot: Arc<Identity>,
}

/// Both ends of a session.
pub(crate) struct Pair {
    pub(crate) client: client::ClientSession,
    pub(crate) server: server::ServerSession,
}

/// The error if a dialog takes an unexpected course.
pub(crate) const UNEXPECTED_COURSE: &str = "the dialog took an unexpected course";

impl Ends {
    /// Both ends, with one option on offer.
    pub(crate) fn new(option: EncryptionOption) -> Result<Self> {
        let key = SiteKey::from_seed(SiteSeed(Secret::generate(&mut SystemEntropy)));
        let mut client = client::ClientSettings::new(key.public());
        client.options = OptionList::new([option]);
        client.accepted = vec![option];
        let next = SiteKey::from_seed(SiteSeed(Secret::generate(&mut SystemEntropy)));
        let events = [SignedKeyEvent::first(&key, &next.public(), 0)];
        // A client that has met the site before.
        client.known = Some(KnownSite::whole(&events)?);
        let server = server::ServerSettings {
            key: Arc::new(key),
            key_events: Arc::new(KeyEventLog::new(&events).ok_or(UNEXPECTED_COURSE)?),
            setup: Arc::new(ServerSetup::generate(&mut SystemEntropy)),
            decoy: Secret::generate(&mut SystemEntropy),
            zone: "example.org".parse()?,
            options: OptionList::new([option]),
            max_packet: DEFAULT_MAX_PACKET,
            static_keys: Arc::new(StaticKeyCache::default()),
        };
        Ok(Self {
            server: Arc::new(server),
            client,
            robot: Arc::new(Identity::generate(&mut SystemEntropy)),
        })
    }

    /// A whole login of the service: both state machines from the first byte to the session.
    pub(crate) fn log_in(&self) -> Result<Pair> {
        let entropy = &mut SystemEntropy;
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let (settings, robot) = (self.client.clone(), self.robot.clone());
        let client = client::ClientLoginAttempt::service(settings, robot, entropy, &mut up)?;

        let server = server::ServerLoginAttempt::new(self.server.clone());
        let (server::ServerStep::LookUp(server::LookUp::Service(find)), _) =
            server.receive(&mut up, &mut down)?
        else {
            return Err(UNEXPECTED_COURSE.into());
        };
        let certificate = self.robot.certificate();
        let known = *find.thumbprint() == certificate.thumbprint();
        let credential = known.then(|| ServiceCredential {
            account: AccountTag([1; 16]),
            agreement: certificate.agreement(),
        });
        let server = find.answer(credential.as_ref(), entropy, &mut down)?;

        up.clear();
        let (client::ClientStep::NeedMore(client), _) =
            client.receive(&mut down, entropy, &mut up)?
        else {
            return Err(UNEXPECTED_COURSE.into());
        };
        down.clear();
        let (server::ServerStep::Authenticated(authenticated), _) =
            server.receive(&mut up, &mut down)?
        else {
            return Err(UNEXPECTED_COURSE.into());
        };
        let server = authenticated.welcome(&welcome(), &mut down)?;
        up.clear();
        let (client::ClientStep::LoggedIn(done), _) =
            client.receive(&mut down, entropy, &mut up)?
        else {
            return Err(UNEXPECTED_COURSE.into());
        };
        Ok(Pair {
            client: done.session,
            server,
        })
    }

    /// Clears the static-key caches of both ends, as before their first login.
    pub(crate) fn clear_caches(&mut self) {
        self.client.static_keys = Arc::new(StaticKeyCache::default());
        let old = &self.server;
        self.server = Arc::new(server::ServerSettings {
            key: old.key.clone(),
            key_events: old.key_events.clone(),
            setup: old.setup.clone(),
            decoy: old.decoy.clone(),
            zone: old.zone.clone(),
            options: old.options.clone(),
            max_packet: old.max_packet,
            static_keys: Arc::new(StaticKeyCache::default()),
        });
    }
}

/// The values of the site's first packet.
pub(crate) fn welcome() -> Welcome {
    Welcome {
        session: SessionId([1; 16]),
        account: "robot@example.org".to_owned(),
        expires: 2_000_000_000_000,
        idle_limit: 0,
    }
}
