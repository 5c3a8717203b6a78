//! Client and server in one process: a site with one person and one service.

use std::sync::{Arc, LazyLock, Mutex};

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::noise::StaticKeyCache;
use countersign_crypto::passphrase::{
    ClientRegistration, Identifiers, PassphraseRecord, ServerSetup,
};
use countersign_crypto::sealed_identity::{self, SEALED_IDENTITY_LENGTH};
use countersign_crypto::secret::{Passphrase, Secret};
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::client::{self, LoggedIn};
use countersign_proto::session::limits::DEFAULT_MAX_PACKET;
use countersign_proto::session::server::{
    self, AccountTag, PersonCredential, ServerSession, ServiceCredential,
};
use countersign_proto::session::{
    EncryptionOption, LoginError, OptionList, ResumptionSecret, SessionId, SessionRefusal, Welcome,
};
use countersign_proto::site_identity::{KeyEventLog, SignedKeyEvent, WalkStep};

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";
pub(crate) const EXPIRES: u64 = 2_000_000_000_000;

/// The length of KEY-EVENTS with one event, at the beginning of an answer.
pub(crate) const KEY_EVENTS: usize = 4 + 40 + 281;
/// The length of KEY-EVENTS-REQUEST, after OPTION-CHOICE.
pub(crate) const KEY_EVENTS_REQUEST: usize = 10;

/// A site with one person and one service.
pub(crate) struct Site {
    pub(crate) settings: Arc<server::ServerSettings>,
    pub(crate) maria_identity: Identity,
    pub(crate) robot: Arc<Identity>,
    record: PassphraseRecord,
    pub(crate) sealed_identity: [u8; SEALED_IDENTITY_LENGTH],
    pub(crate) locked: bool,
    /// The last session's resumption secret, and the attempts so far.
    returnable: Mutex<Option<(ResumptionSecret, u64)>>,
}

/// The credentials that registration stored.
struct Registered {
    setup: ServerSetup,
    record: PassphraseRecord,
    sealed_identity: [u8; SEALED_IDENTITY_LENGTH],
    maria: [u8; 32],
}

const SITE_SEED: [u8; 32] = [11; 32];

/// Registration runs the KSF, so it is done once for all tests.
static REGISTERED: LazyLock<Registered> = LazyLock::new(|| {
    let entropy = &mut SystemEntropy;
    let key = SiteKey::from_seed(SiteSeed(Secret::from_bytes(SITE_SEED)));
    let setup = ServerSetup::generate(entropy);
    let phrase = passphrase(PASSPHRASE);
    let (registration, request) = ClientRegistration::start(&phrase, entropy).unwrap();
    let response = setup
        .registration_response(b"maria's id", &request)
        .unwrap();
    let server = first_events(&key).id().0;
    let identifiers = Identifiers {
        client: None,
        server: Some(&server),
    };
    let (record, export_key) = registration
        .finish(&phrase, &response, identifiers, entropy)
        .unwrap();
    let maria = Identity::generate(entropy);
    let sealed_identity = sealed_identity::seal(&maria, &export_key, entropy).unwrap();
    Registered {
        setup,
        record,
        sealed_identity,
        maria: *maria.seed().0.expose(),
    }
});

/// Maria's delivered key.
static DELIVERED: LazyLock<DeliveredKey> = LazyLock::new(|| {
    let maria = Identity::from_seed(IdentitySeed(Secret::from_bytes(REGISTERED.maria)));
    DeliveredKey::new(&maria, &passphrase(PASSPHRASE), &mut SystemEntropy)
});

/// The key events of a site that has not replaced its key.
fn first_events(key: &SiteKey) -> KeyEventLog {
    let first = SignedKeyEvent::first(key, &later_key(1).public(), 1_000);
    KeyEventLog::new(&[first]).unwrap()
}

/// The key of [`Site::new`] after so many rotations, and its events.
pub(crate) fn rotated(times: u8) -> (SiteKey, Vec<SignedKeyEvent>) {
    let mut key = SiteKey::from_seed(SiteSeed(Secret::from_bytes(SITE_SEED)));
    let first = SignedKeyEvent::first(&key, &later_key(1).public(), 1_000);
    let mut events = vec![first];
    for number in 1..=times {
        let (new, next) = (later_key(number), later_key(number + 1).public());
        let last = events[events.len() - 1];
        events.push(last.replaced_by(&key, &new, &next, 2_000, None));
        key = new;
    }
    (key, events)
}

fn later_key(number: u8) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([100 + number; 32])))
}

pub(crate) fn passphrase(text: &str) -> Passphrase {
    text.to_owned().into()
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(OptionList::default(), DEFAULT_MAX_PACKET)
    }

    pub(crate) fn with(options: OptionList, max_packet: u32) -> Self {
        Self::with_key(SITE_SEED, options, max_packet)
    }

    pub(crate) fn with_key(seed: [u8; 32], options: OptionList, max_packet: u32) -> Self {
        let key = SiteKey::from_seed(SiteSeed(Secret::from_bytes(seed)));
        let settings = server::ServerSettings {
            key_events: Arc::new(first_events(&key)),
            key: Arc::new(key),
            setup: Arc::new(ServerSetup::from_bytes(REGISTERED.setup.to_bytes().expose()).unwrap()),
            decoy: Secret::from_bytes([13; 32]),
            zone: "example.org".parse().unwrap(),
            options,
            max_packet,
            static_keys: Arc::new(StaticKeyCache::default()),
        };
        let identity = |seed| Identity::from_seed(IdentitySeed(Secret::from_bytes(seed)));
        Self {
            settings: Arc::new(settings),
            maria_identity: identity(REGISTERED.maria),
            robot: Arc::new(identity([12; 32])),
            record: REGISTERED.record.clone(),
            sealed_identity: REGISTERED.sealed_identity,
            locked: false,
            returnable: Mutex::new(None),
        }
    }

    /// The same site after it has replaced its key so many times.
    pub(crate) fn rotated(self, times: u8) -> Self {
        let (key, events) = rotated(times);
        let settings = &self.settings;
        let settings = server::ServerSettings {
            key: Arc::new(key),
            key_events: Arc::new(KeyEventLog::new(&events).unwrap()),
            setup: settings.setup.clone(),
            decoy: settings.decoy.clone(),
            zone: settings.zone.clone(),
            options: settings.options.clone(),
            max_packet: settings.max_packet,
            static_keys: Arc::default(),
        };
        Self {
            settings: Arc::new(settings),
            ..self
        }
    }

    /// Copies the resumption secret of another site's last session.
    pub(crate) fn steal_the_secret_of(&self, other: &Self) {
        let stolen = other.returnable.lock().unwrap().clone();
        *self.returnable.lock().unwrap() = stolen;
    }

    pub(crate) fn client(&self) -> client::ClientSettings {
        client::ClientSettings::new(self.settings.key.public())
    }

    /// Runs the server's state machine on `input` and answers its look-ups.
    pub(crate) fn advance(
        &self,
        mut login: server::ServerLoginAttempt,
        input: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Advanced, SessionRefusal> {
        loop {
            let (step, used) = login.receive(input, out)?;
            input.drain(..used);
            login = match step {
                server::ServerStep::NeedMore(login) => return Ok(Advanced::NeedMore(login)),
                server::ServerStep::Refused => return Ok(Advanced::Refused),
                server::ServerStep::Authenticated(proved) => {
                    let welcome = Welcome {
                        session: SessionId([1; 16]),
                        account: "maria@example.org".to_owned(),
                        expires: EXPIRES,
                        idle_limit: 300_000,
                    };
                    if !matches!(proved.how(), server::AuthenticatedBy::Session(..)) {
                        let secret = proved.resumption().clone();
                        *self.returnable.lock().unwrap() = Some((secret, 0));
                    }
                    return Ok(Advanced::Session(Box::new(proved.welcome(&welcome, out)?)));
                }
                server::ServerStep::LookUp(server::LookUp::Person(find)) => {
                    let known = find.name().to_string() == "maria@example.org" && !self.locked;
                    let credential = known.then(|| PersonCredential {
                        account: AccountTag([1; 16]),
                        setup: self.settings.setup.clone(),
                        credential_id: b"maria's id".to_vec(),
                        record: self.record.clone(),
                        sealed_identity: self.sealed_identity,
                    });
                    find.answer(credential.as_ref(), &mut SystemEntropy, out)?
                }
                server::ServerStep::LookUp(server::LookUp::Delivered(find)) => {
                    match find.owner().clone() {
                        server::Owner::Person(name) => {
                            let known = name.to_string() == "maria@example.org" && !self.locked;
                            let credential = known.then(|| server::DeliveredCredential {
                                account: AccountTag([1; 16]),
                                key: DELIVERED.clone(),
                            });
                            find.answer_person(credential.as_ref(), &mut SystemEntropy, out)?
                        }
                        server::Owner::Service(thumbprint) => {
                            let certificate = self.robot.certificate();
                            let known = thumbprint == certificate.thumbprint() && !self.locked;
                            let credential = known.then(|| ServiceCredential {
                                account: AccountTag([2; 16]),
                                agreement: certificate.agreement(),
                            });
                            find.answer_service(credential.as_ref(), &mut SystemEntropy, out)?
                        }
                    }
                }
                server::ServerStep::LookUp(server::LookUp::Session(find)) => {
                    let mut returnable = self.returnable.lock().unwrap();
                    let known = returnable.as_mut().filter(|_| !self.locked);
                    let known = known.filter(|_| find.session() == SessionId([1; 16]));
                    let (secret, last) =
                        known.map_or((None, None), |(secret, last)| (Some(&*secret), Some(last)));
                    let claim = |attempt: u64| {
                        let last = last.unwrap();
                        let claimed = attempt > *last;
                        *last = attempt.max(*last);
                        claimed.then_some(AccountTag([1; 16]))
                    };
                    let proved = find.answer(secret, claim, &mut SystemEntropy, out)?;
                    let welcome = Welcome {
                        session: SessionId([1; 16]),
                        account: "maria@example.org".to_owned(),
                        expires: EXPIRES,
                        idle_limit: 300_000,
                    };
                    return Ok(Advanced::Session(Box::new(proved.welcome(&welcome, out)?)));
                }
                server::ServerStep::LookUp(server::LookUp::Service(find)) => {
                    let certificate = self.robot.certificate();
                    let known = *find.thumbprint() == certificate.thumbprint() && !self.locked;
                    let credential = known.then(|| ServiceCredential {
                        account: AccountTag([2; 16]),
                        agreement: certificate.agreement(),
                    });
                    find.answer(credential.as_ref(), &mut SystemEntropy, out)?
                }
            };
        }
    }
}

#[allow(clippy::large_enum_variant, reason = "a test's own")]
pub(crate) enum Advanced {
    NeedMore(server::ServerLoginAttempt),
    Session(Box<ServerSession>),
    Refused,
}

/// Both ends of an open session.
pub(crate) struct Pair {
    pub(crate) client: LoggedIn,
    pub(crate) server: ServerSession,
}

/// Why a login failed.
#[derive(Debug, PartialEq)]
pub(crate) enum Failed {
    Client(LoginError),
    Server(SessionRefusal),
    /// The client has to connect again.
    Reconnect(Box<WalkStep>),
    /// Neither end sent more data.
    Stuck,
}

/// The account that logs in.
#[derive(Clone, Copy)]
pub(crate) enum Who<'a> {
    Person(&'a str, &'a str),
    Service(&'a Arc<Identity>),
    Return(&'a client::Resumption),
}

impl Who<'_> {
    pub(crate) fn start(
        self,
        settings: client::ClientSettings,
        out: &mut Vec<u8>,
    ) -> Result<client::ClientLoginAttempt, LoginError> {
        match self {
            Who::Person(name, phrase) => client::ClientLoginAttempt::person(
                settings,
                name.parse().unwrap(),
                passphrase(phrase),
                &mut SystemEntropy,
                out,
            ),
            Who::Service(identity) => client::ClientLoginAttempt::service(
                settings,
                identity.clone(),
                &mut SystemEntropy,
                out,
            ),
            Who::Return(resumption) => client::ClientLoginAttempt::resume(
                settings,
                resumption.clone(),
                &mut SystemEntropy,
                out,
            ),
        }
    }
}

/// An attacker's change to the bytes of each flight; `true` for the client's.
pub(crate) type Meddler<'a> = &'a mut dyn FnMut(bool, &mut Vec<u8>);

/// Runs a complete login with an attacker between the ends.
pub(crate) fn log_in_through(
    site: &Site,
    settings: client::ClientSettings,
    who: Who<'_>,
    meddle: Meddler<'_>,
) -> Result<Pair, Failed> {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
    let mut client = Some(
        who.start(settings, &mut to_server)
            .map_err(Failed::Client)?,
    );
    let mut server = Some(server::ServerLoginAttempt::new(site.settings.clone()));
    let mut sessions = (None, None);
    for _ in 0..16 {
        if !to_server.is_empty() {
            meddle(true, &mut to_server);
            at_server.append(&mut to_server);
        }
        if let Some(login) = server.take() {
            match site.advance(login, &mut at_server, &mut to_client) {
                Ok(Advanced::NeedMore(login)) => server = Some(login),
                Ok(Advanced::Session(session)) => sessions.1 = Some(session),
                Ok(Advanced::Refused) => {}
                // The client gets the key events before the refusal.
                Err(SessionRefusal::OldSiteKey) => {
                    to_client.extend(SessionRefusal::OldSiteKey.wire().to_wire());
                }
                Err(refusal) => return Err(Failed::Server(refusal)),
            }
        }
        if !to_client.is_empty() {
            meddle(false, &mut to_client);
            at_client.append(&mut to_client);
        }
        while let Some(login) = client.take() {
            let (step, used) = login
                .receive(&mut at_client, &mut SystemEntropy, &mut to_server)
                .map_err(Failed::Client)?;
            at_client.drain(..used);
            match step {
                client::ClientStep::NeedMore(login) => {
                    client = Some(login);
                    break;
                }
                client::ClientStep::Stretch(stretch) => {
                    let login = stretch.run(&mut SystemEntropy, &mut to_server);
                    client = Some(login.map_err(Failed::Client)?);
                }
                client::ClientStep::Reconnect(step) => return Err(Failed::Reconnect(step)),
                client::ClientStep::LoggedIn(done) => sessions.0 = Some(done),
            }
        }
        if let (Some(_), Some(_)) = &sessions {
            let (Some(client), Some(server)) = sessions else {
                unreachable!()
            };
            return Ok(Pair {
                client,
                server: *server,
            });
        }
    }
    Err(Failed::Stuck)
}

/// Runs a complete login.
pub(crate) fn log_in(
    site: &Site,
    settings: client::ClientSettings,
    who: Who<'_>,
) -> Result<Pair, Failed> {
    log_in_through(site, settings, who, &mut |_, _| {})
}

pub(crate) const ALL: [EncryptionOption; 5] = EncryptionOption::FORWARD_SECRET;
