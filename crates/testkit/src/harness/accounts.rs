//! Accounts and applications of a site.

use std::sync::Arc;

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_crypto::identity::Identity;
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_crypto::passphrase::{ClientRegistration, Identifiers};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;
use countersign_proto::broker::v2::consumer::Consumer;
use countersign_proto::broker::v2::provider::Provider;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::TestSite;

/// The pass phrase of every person.
pub const PASSPHRASE: &str = "correct horse battery staple";

impl TestSite {
    /// Creates a service that logs in with this key.
    pub async fn create_service(&self, name: &str, identity: &Identity) -> Value {
        let pem = identity.certificate().to_pem();
        let params = json!({ "name": name, "certificate": pem });
        self.admin("service.create", params).await
    }

    /// Creates an application with a new key and these settings.
    pub async fn create_application(&self, id: &str, settings: Value) -> PartyKey {
        let key = party();
        let keys = [key.public().to_pem()];
        let params = json!({ "id": id, "public_keys": keys, "settings": settings });
        self.admin("app.create", params).await;
        key
    }

    /// Creates the application `billing`, which may call `ledger` with the `auth_data` `{"team":
    /// 7}`, and `ledger`.
    pub async fn billing_and_ledger(&self) -> (Consumer, Provider) {
        let ledger = self.create_application("ledger", json!({})).await;
        let settings = json!({ "may_call": [{ "app": "ledger" }], "auth_data": { "team": 7 } });
        let billing = self.create_application("billing", settings).await;
        (
            self.consumer("billing", billing),
            self.provider("ledger", ledger),
        )
    }

    /// The consumer's configuration for an application of this site.
    #[must_use]
    pub fn consumer(&self, id: &str, key: PartyKey) -> Consumer {
        let broker = &self.site.unsealed_keys().unwrap().broker;
        Consumer {
            id: id.to_owned(),
            keys: vec![key],
            site: broker.id().to_owned(),
            site_keys: vec![broker.party().unwrap().public().clone()],
            suite: SealingSuite::XWing,
        }
    }

    /// The provider's configuration for an application of this site.
    #[must_use]
    pub fn provider(&self, id: &str, key: PartyKey) -> Provider {
        let broker = &self.site.unsealed_keys().unwrap().broker;
        Provider {
            id: id.to_owned(),
            keys: vec![key],
            site: broker.id().to_owned(),
            site_keys: vec![broker.party().unwrap().public().clone()],
            ticket_keys: Vec::new(),
        }
    }

    /// Registers a pass phrase for a person, with the steps of a client.
    pub async fn set_passphrase(&self, name: &str, text: &str) {
        let phrase: Passphrase = text.to_owned().into();
        let entropy = &mut SystemEntropy;
        let (registration, request) = ClientRegistration::start(&phrase, entropy).unwrap();
        let request = json!({ "name": name, "request": BASE64URL_NOPAD.encode(&request) });
        let started = self.admin("person.passphrase_start", request).await;
        let mut params = finish_registration(registration, &phrase, &started);
        params["name"] = name.into();
        self.admin("person.passphrase_finish", params).await;
    }
}

/// The parameters of `passphrase_finish` except for the name, computed from the result of
/// `passphrase_start`.
#[must_use]
pub fn finish_registration(
    registration: ClientRegistration,
    phrase: &Passphrase,
    started: &Value,
) -> Value {
    finish_registration_with(registration, phrase, started, &mut SystemEntropy)
}

/// As [`finish_registration`], with this entropy.
pub(super) fn finish_registration_with(
    registration: ClientRegistration,
    phrase: &Passphrase,
    started: &Value,
    entropy: &mut dyn Entropy,
) -> Value {
    let decode = |field: &str| {
        let text = started[field].as_str().unwrap();
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
    };
    let server = decode("server_identity");
    let identifiers = Identifiers {
        client: None,
        server: Some(&server),
    };
    let (record, export_key) = registration
        .finish(phrase, &decode("response"), identifiers, entropy)
        .unwrap();
    let identity = Identity::generate(entropy);
    let sealed = sealed_identity::seal(&identity, &export_key, entropy).unwrap();
    json!({
        "setup": started["setup"],
        "binding": started["binding"],
        "record": BASE64URL_NOPAD.encode(record.as_bytes()),
        "sealed_identity": BASE64URL_NOPAD.encode(&sealed),
    })
}

/// A new key of an application.
#[must_use]
pub fn party() -> PartyKey {
    PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)))
}

/// A new certificate in PEM, and its thumbprint.
#[must_use]
pub fn certificate() -> (String, Thumbprint) {
    let identity = Identity::generate(&mut SystemEntropy);
    let certificate = identity.certificate();
    (certificate.to_pem(), certificate.thumbprint())
}
