//! A site with one person and one service, in memory.

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

use crate::entropy::SeededEntropy;

/// Maria's pass phrase.
pub const PASSPHRASE: &str = "correct horse battery staple";
/// The person's account.
pub const MARIA: AccountTag = AccountTag([1; 16]);
/// The service's account.
pub const ROBOT: AccountTag = AccountTag([2; 16]);

const SITE_SEED: [u8; 32] = [11; 32];
const CREDENTIAL_ID: &[u8] = b"maria's id";

/// The site `example.org`, which knows `maria` and one service.
pub struct Site {
    /// What its logins need.
    pub settings: Arc<server::ServerSettings>,
    /// What Maria recovers when she logs in.
    pub maria: Arc<Identity>,
    /// The service.
    pub robot: Arc<Identity>,
    /// Whether both accounts are locked.
    pub locked: bool,
    /// What the last session that was opened can be returned to with.
    returnable: Mutex<Option<Returnable>>,
}

/// A session that a client may return to.
struct Returnable {
    account: AccountTag,
    secret: ResumptionSecret,
    attempt: u64,
}

/// What Maria's registration left at the site and with her.
struct Registered {
    setup: ServerSetup,
    record: PassphraseRecord,
    sealed_identity: [u8; SEALED_IDENTITY_LENGTH],
    maria: Arc<Identity>,
}

/// Registration stretches a pass phrase, so a process does it once.
static REGISTERED: LazyLock<Registered> = LazyLock::new(|| {
    let entropy = &mut SeededEntropy::new(0).fork("registration");
    let setup = ServerSetup::generate(entropy);
    let phrase = Passphrase::from(PASSPHRASE.to_owned());
    let (registration, request) = ClientRegistration::start(&phrase, entropy).unwrap();
    let response = setup
        .registration_response(CREDENTIAL_ID, &request)
        .unwrap();
    let server = key().public().to_bytes();
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

/// What is delivered of Maria: her identity, under the same pass phrase.
static DELIVERED: LazyLock<DeliveredKey> = LazyLock::new(|| {
    let entropy = &mut SeededEntropy::new(0).fork("delivered key");
    let phrase = Passphrase::from(PASSPHRASE.to_owned());
    DeliveredKey::new(&REGISTERED.maria, &phrase, entropy)
});

fn key() -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes(SITE_SEED)))
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// A site with the usual options and limits.
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
            returnable: Mutex::default(),
        }
    }

    /// A session was opened: it may be returned to from now on, and no other.
    pub fn opened(&self, account: AccountTag, secret: ResumptionSecret) {
        *self.returnable.lock().unwrap() = Some(Returnable {
            account,
            secret,
            attempt: 0,
        });
    }

    /// Whose session may be returned to, and with what.
    #[must_use]
    pub fn returnable(&self) -> Option<(AccountTag, ResumptionSecret)> {
        let returnable = self.returnable.lock().unwrap();
        let found = returnable.as_ref().filter(|_| !self.locked);
        found.map(|session| (session.account, session.secret.clone()))
    }

    /// Accepts each number of an attempt to return once.
    #[must_use]
    pub fn claim(&self, attempt: u64) -> bool {
        match &mut *self.returnable.lock().unwrap() {
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

    /// What the site stores of a person, if it knows them and they may log in.
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

    /// Answers whoever asks with the option `delivered-key`.
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

    /// What the site stores of a service, if it knows it and it may log in.
    #[must_use]
    pub fn service(&self, thumbprint: &Thumbprint) -> Option<ServiceCredential> {
        let certificate = self.robot.certificate();
        (*thumbprint == certificate.thumbprint() && !self.locked).then(|| ServiceCredential {
            account: ROBOT,
            agreement: certificate.agreement(),
        })
    }
}
