//! The decisions of a site with one person and one service, for the protocol state machines. In
//! memory.

use std::sync::{Arc, LazyLock, Mutex};

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::noise::StaticKeyCache;
use countersign_crypto::passphrase::{
    ClientRegistration, Identifiers, PassphraseRecord, ServerSetup,
};
use countersign_crypto::sealed_identity::{self, SEALED_IDENTITY_LENGTH};
use countersign_crypto::secret::{Passphrase, Secret};
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::limits::DEFAULT_MAX_PACKET;
use countersign_proto::session::server::{
    self, AccountTag, DeliveredCredential, FindDelivered, Owner, PersonCredential,
    ServiceCredential,
};
use countersign_proto::session::{OptionList, ResumptionSecret, SessionRefusal, client};
use countersign_proto::site_identity::{KeyEventLog, SignedKeyEvent};

use crate::entropy::SeededEntropy;

/// Maria's pass phrase.
pub const PASSPHRASE: &str = "correct horse battery staple";
/// The person's account.
pub const MARIA: AccountTag = AccountTag([1; 16]);
/// The service's account.
pub const ROBOT: AccountTag = AccountTag([2; 16]);

const SITE_SEED: [u8; 32] = [11; 32];
/// The seed of the key that is to replace the site's.
const NEXT_SITE_SEED: [u8; 32] = [21; 32];
/// When the site was created.
const KEY_EVENT_TIME: i64 = 1_800_000_000_000;
const CREDENTIAL_ID: &[u8] = b"maria's id";

/// The site `example.org` with the person `maria` and one service.
pub struct Site {
    /// The settings of its logins.
    pub settings: Arc<server::ServerSettings>,
    /// The identity that Maria recovers when she logs in.
    pub maria: Arc<Identity>,
    /// The identity of the service.
    pub robot: Arc<Identity>,
    /// Whether both accounts are locked.
    pub locked: bool,
    /// How to resume the session that was established last.
    resumable: Mutex<Option<Resumable>>,
}

/// A session that a client may resume.
struct Resumable {
    account: AccountTag,
    secret: ResumptionSecret,
    attempt: u64,
}

/// The result of Maria's registration.
struct Registered {
    setup: ServerSetup,
    record: PassphraseRecord,
    sealed_identity: [u8; SEALED_IDENTITY_LENGTH],
    maria: Arc<Identity>,
}

/// Registration runs the key stretching function, so each process does it once.
static REGISTERED: LazyLock<Registered> = LazyLock::new(|| {
    let entropy = &mut SeededEntropy::new(0).fork("registration");
    let setup = ServerSetup::generate(entropy);
    let phrase = Passphrase::from(PASSPHRASE.to_owned());
    let (registration, request) = ClientRegistration::start(&phrase, entropy).unwrap();
    let response = setup
        .registration_response(CREDENTIAL_ID, &request)
        .unwrap();
    let server = key_event_log().id().0;
    let identifiers = Identifiers {
        client: None,
        server: Some(&server),
    };
    let (record, export_key) = registration
        .finish(&phrase, &response, identifiers, entropy)
        .unwrap();
    let maria = Identity::generate(entropy);
    Registered {
        setup,
        record,
        sealed_identity: sealed_identity::seal(&maria, &export_key, entropy).unwrap(),
        maria: Arc::new(maria),
    }
});

/// Maria's delivered key: her identity, encrypted under the same pass phrase.
static DELIVERED: LazyLock<DeliveredKey> = LazyLock::new(|| {
    let entropy = &mut SeededEntropy::new(0).fork("delivered key");
    let phrase = Passphrase::from(PASSPHRASE.to_owned());
    DeliveredKey::new(&REGISTERED.maria, &phrase, entropy)
});

fn key() -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes(SITE_SEED)))
}

/// The site's key event: it has not replaced its key.
#[must_use]
pub fn key_event() -> SignedKeyEvent {
    let next = SiteKey::from_seed(SiteSeed(Secret::from_bytes(NEXT_SITE_SEED)));
    SignedKeyEvent::first(&key(), &next.public(), KEY_EVENT_TIME)
}

fn key_event_log() -> KeyEventLog {
    KeyEventLog::new(&[key_event()]).unwrap()
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// A site with the default options and limits.
    #[must_use]
    pub fn new() -> Self {
        Self::offering(OptionList::default(), DEFAULT_MAX_PACKET)
    }

    /// A site that offers these options and takes packets of at most `max_packet` bytes.
    #[must_use]
    pub fn offering(options: OptionList, max_packet: u32) -> Self {
        let setup = REGISTERED.setup.to_bytes();
        Self {
            settings: Arc::new(server::ServerSettings {
                key: Arc::new(key()),
                key_events: Arc::new(key_event_log()),
                setup: Arc::new(ServerSetup::from_bytes(setup.expose()).unwrap()),
                decoy: Secret::from_bytes([13; 32]),
                zone: "example.org".parse().unwrap(),
                options,
                max_packet,
                static_keys: Arc::new(StaticKeyCache::default()),
            }),
            maria: REGISTERED.maria.clone(),
            robot: Arc::new(Identity::from_seed(IdentitySeed(Secret::from_bytes(
                [12; 32],
            )))),
            locked: false,
            resumable: Mutex::default(),
        }
    }

    /// Records an established session. From now on only this one can be resumed.
    pub fn session_opened(&self, account: AccountTag, secret: ResumptionSecret) {
        *self.resumable.lock().unwrap() = Some(Resumable {
            account,
            secret,
            attempt: 0,
        });
    }

    /// The account and the secret of the session that can be resumed. `None` if there is none or
    /// accounts are locked.
    #[must_use]
    pub fn resumable(&self) -> Option<(AccountTag, ResumptionSecret)> {
        let resumable = self.resumable.lock().unwrap();
        let found = resumable.as_ref().filter(|_| !self.locked);
        found.map(|session| (session.account, session.secret.clone()))
    }

    /// Accepts each attempt number once, in increasing order; an earlier or repeated number gives
    /// false.
    #[must_use]
    pub fn claim(&self, attempt: u64) -> bool {
        match &mut *self.resumable.lock().unwrap() {
            Some(session) if attempt > session.attempt => {
                session.attempt = attempt;
                true
            }
            _ => false,
        }
    }

    /// The settings of a client that pinned this site's key and accepts all that the site offers.
    #[must_use]
    pub fn client(&self) -> client::ClientSettings {
        let mut settings = client::ClientSettings::new(self.settings.key.public());
        settings.options = self.settings.options.clone();
        settings.accepted = self.settings.options.ranked().to_vec();
        settings
    }

    /// The credential of a person, or `None` if the name is unknown or the account is locked.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<PersonCredential> {
        (name == "maria@example.org" && !self.locked).then(|| PersonCredential {
            account: MARIA,
            setup: self.settings.setup.clone(),
            credential_id: CREDENTIAL_ID.to_vec(),
            record: REGISTERED.record.clone(),
            sealed_identity: REGISTERED.sealed_identity,
        })
    }

    /// What is delivered of a person, if the site knows them and they may log in.
    #[must_use]
    pub fn delivered(&self, name: &str) -> Option<DeliveredCredential> {
        (name == "maria@example.org" && !self.locked).then(|| DeliveredCredential {
            account: MARIA,
            key: DELIVERED.clone(),
        })
    }

    /// Replies to a login with the option `delivered-key`.
    ///
    /// # Errors
    /// As [`FindDelivered::answer_person`].
    pub fn deliver(
        &self,
        find: FindDelivered,
        entropy: &mut SeededEntropy,
        out: &mut Vec<u8>,
    ) -> Result<server::ServerLoginAttempt, SessionRefusal> {
        match find.owner().clone() {
            Owner::Person(name) => {
                let known = self.delivered(&name.to_string());
                find.answer_person(known.as_ref(), entropy, out)
            }
            Owner::Service(thumbprint) => {
                let known = self.service(&thumbprint);
                find.answer_service(known.as_ref(), entropy, out)
            }
        }
    }

    /// The credential of a service, or `None` if the certificate is unknown or the account is
    /// locked.
    #[must_use]
    pub fn service(&self, thumbprint: &Thumbprint) -> Option<ServiceCredential> {
        let certificate = self.robot.certificate();
        (*thumbprint == certificate.thumbprint() && !self.locked).then(|| ServiceCredential {
            account: ROBOT,
            agreement: certificate.agreement(),
        })
    }
}
