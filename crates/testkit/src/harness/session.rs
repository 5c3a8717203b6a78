//! Sessions without a connection.

use std::sync::{Arc, Mutex};

use countersign_core::access::Caller;
use countersign_core::engine::{Decision, NewSession};
use countersign_core::id::AccountId;
use countersign_core::sessions::{CloseReason, Proof, SessionInfo};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_proto::session::EncryptionOption;
use serde_json::{Value, json};

use super::TestSite;

/// An open session.
pub struct TestSession {
    /// The session.
    pub info: SessionInfo,
    /// The caller of operations in the session.
    pub caller: Caller,
    pub(super) cut: Cut,
}

pub(super) type Cut = Arc<Mutex<Option<CloseReason>>>;

impl TestSession {
    /// The reason for which it was closed, if it was.
    #[must_use]
    pub fn was_cut(&self) -> Option<CloseReason> {
        *self.cut.lock().unwrap()
    }
}

impl TestSite {
    /// Creates a person and opens a session for them.
    pub async fn person(&self, name: &str, role: &str) -> TestSession {
        let params = json!({ "name": name, "role": role });
        let created = self.admin("person.create", params).await;
        self.session(&created, Proof::Passphrase).await.unwrap()
    }

    /// Creates a service with a key and opens a session for it.
    pub async fn service(&self, name: &str) -> (TestSession, Identity) {
        let identity = Identity::generate(&mut SystemEntropy);
        let created = self.create_service(name, &identity).await;
        let proof = Proof::Key(identity.certificate().thumbprint());
        (self.session(&created, proof).await.unwrap(), identity)
    }

    /// Opens a session for that account. `None` if the site decides against it.
    pub async fn session(&self, account: &Value, proof: Proof) -> Option<TestSession> {
        self.open(account, proof, self.now()).await
    }

    /// Opens a session for that person at another time.
    pub async fn session_at(&self, account: &Value, now: Timestamp) -> TestSession {
        self.open(account, Proof::Passphrase, now).await.unwrap()
    }

    /// The site's decision on a login of that person, who may have `max_sessions` sessions.
    pub async fn entry(&self, account: AccountId, max_sessions: usize) -> Decision {
        let opening = opening(account, Proof::Passphrase, max_sessions, &Cut::default());
        self.site.open_session(opening, self.now()).await.unwrap()
    }

    async fn open(&self, account: &Value, proof: Proof, now: Timestamp) -> Option<TestSession> {
        let account = account["id"].as_str().unwrap().parse().unwrap();
        let cut = Cut::default();
        let opening = opening(account, proof, 1_000, &cut);
        match self.site.open_session(opening, now).await.unwrap() {
            Decision::Opened(info) => Some(TestSession {
                caller: info.caller(),
                info,
                cut,
            }),
            _ => None,
        }
    }
}

fn opening(account: AccountId, proof: Proof, max_sessions: usize, cut: &Cut) -> NewSession {
    let cut = cut.clone();
    NewSession {
        account,
        proof,
        credential: None,
        option: EncryptionOption::HybridAes256Gcm,
        peer: "192.0.2.7:1234".to_owned(),
        cut: Box::new(move |reason| *cut.lock().unwrap() = Some(reason)),
        max_sessions,
    }
}
