//! What an account logs in with: the client's side of setting a pass phrase, and of the fresh proof that
//! comes before (`docs/protocol/operations.md`, Fresh proofs).
//!
//! [`Client::change_passphrase`] does all of it in a session. Where operations travel another way, as at the
//! admin socket, [`Registration`] makes and reads what they carry.

use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::{
    ClientLogin, ClientRegistration, ExportKey, Identifiers, PassphraseError, PassphraseRecord,
};
use countersign_crypto::sealed_identity::{self, DoesNotOpen};
use countersign_crypto::secret::Passphrase;
use countersign_proto::session::fresh;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::CallError;
use crate::handle::Client;

/// How often a proof that is told to wait waits before it gives up.
const WAITS: usize = 3;

/// Why what the account logs in with was not changed.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// An operation failed; after [`CallError::Lost`] it is not known whether the change was made.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The present pass phrase is wrong.
    #[error("the present pass phrase is not accepted")]
    WrongPassphrase,
    /// The site answered with something else than an answer.
    #[error("the site's answer has no {0}")]
    Answer(&'static str),
    /// The answer names another site than the one that was pinned: nothing was changed.
    #[error("the registration is of another site than the one that was logged in to")]
    WrongSite,
    /// The pass phrase, or what the site answered, cannot be used with OPAQUE.
    #[error(transparent)]
    Opaque(#[from] PassphraseError),
    /// The identity does not fit its place.
    #[error("the identity cannot be sealed: {0}")]
    Identity(#[from] DoesNotOpen),
    /// The session is a service's, which has no pass phrase.
    #[error("a service has a key and no pass phrase")]
    NoPassphrase,
    /// Ksf the pass phrase was interrupted: the runtime stops.
    #[error("the key stretching was interrupted")]
    Interrupted,
}

/// A registration of a new pass phrase (RFC 9807, section 5), its request made.
pub struct Registration {
    state: ClientRegistration,
    passphrase: Passphrase,
    request: String,
}

/// What `passphrase_start` answers.
#[derive(Debug, Clone, Deserialize)]
pub struct Started {
    response: String,
    setup: String,
    binding: String,
    server_identity: String,
}

/// What `passphrase_finish` takes.
#[derive(Debug, Clone, Serialize)]
pub struct Finished {
    setup: String,
    binding: String,
    record: String,
    sealed_identity: String,
    certificate: String,
}

/// A pass phrase was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassphraseChanged {
    /// How many other sessions of the account the site has ended.
    pub sessions_ended: usize,
}

impl Registration {
    /// Begins a registration.
    ///
    /// # Errors
    /// [`CredentialError::Opaque`] when the pass phrase is longer than 65,535 bytes.
    pub fn start(passphrase: &Passphrase) -> Result<Self, CredentialError> {
        let (state, request) = ClientRegistration::start(passphrase, &mut SystemEntropy)?;
        Ok(Self {
            state,
            passphrase: passphrase.clone(),
            request: BASE64URL_NOPAD.encode(&request),
        })
    }

    /// The parameter `request` of `passphrase_start`.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.request
    }

    /// Finishes it, with the identity that the pass phrase will open from now on: the one that the person
    /// has, so that what was given to it stays of use, or a new one. Stretches the pass phrase (a fraction
    /// of a second, 64 MiB): an asynchronous program calls this where blocking is allowed.
    ///
    /// # Errors
    /// [`CredentialError`] when the answer is none, or the identity does not fit.
    pub fn finish(
        self,
        started: &Started,
        identity: &Identity,
    ) -> Result<Finished, CredentialError> {
        let (record, export_key) = self.record(started)?;
        Finished::new(started, &record, &export_key, identity)
    }

    fn record(self, started: &Started) -> Result<(PassphraseRecord, ExportKey), CredentialError> {
        let response = decode(&started.response, "response")?;
        let server = decode(&started.server_identity, "server_identity")?;
        let identifiers = Identifiers {
            client: None,
            server: Some(&server),
        };
        let entropy = &mut SystemEntropy;
        Ok(self
            .state
            .finish(&self.passphrase, &response, identifiers, entropy)?)
    }
}

impl Finished {
    fn new(
        started: &Started,
        record: &PassphraseRecord,
        export_key: &ExportKey,
        identity: &Identity,
    ) -> Result<Self, CredentialError> {
        let sealed = sealed_identity::seal(identity, export_key, &mut SystemEntropy)?;
        Ok(Self {
            setup: started.setup.clone(),
            binding: started.binding.clone(),
            record: BASE64URL_NOPAD.encode(record.as_bytes()),
            sealed_identity: BASE64URL_NOPAD.encode(&sealed),
            certificate: identity.certificate().to_pem(),
        })
    }
}

impl Client {
    /// Proves the account's pass phrase anew, for one change of what it logs in with within two minutes.
    /// Waits where proofs failed before.
    ///
    /// # Errors
    /// [`CredentialError::WrongPassphrase`] when it is wrong, which counts like a failed login.
    pub async fn prove_passphrase(&self, passphrase: &Passphrase) -> Result<(), CredentialError> {
        let (login, ke1) = ClientLogin::start(fresh::SUITE, passphrase, &mut SystemEntropy)?;
        let asked = self
            .begin_proof(&json!({ "ke1": BASE64URL_NOPAD.encode(&ke1) }))
            .await?;
        let ke2 = field(&asked, "ke2")?;
        let (passphrase, site) = (passphrase.clone(), self.site().to_bytes());
        let context = fresh::passphrase_context(&self.welcome().session);
        let done = aside(move || {
            let identifiers = Identifiers {
                client: None,
                server: Some(&site),
            };
            login.finish(&passphrase, &ke2, &context, identifiers, &mut SystemEntropy)
        })
        .await?;
        let done = done.map_err(|_| CredentialError::WrongPassphrase)?;
        let ke3 = BASE64URL_NOPAD.encode(&done.ke3);
        let _: Value = self
            .call("self", "proof_finish", &json!({ "ke3": ke3 }))
            .await?;
        Ok(())
    }

    /// Proves anew, with the key that the session was opened with, that the account still has it.
    ///
    /// # Errors
    /// [`CredentialError::Call`] when the site does not accept it.
    pub async fn prove_key(&self, identity: &Identity) -> Result<(), CredentialError> {
        let asked = self.begin_proof(&json!({})).await?;
        let challenge = field(&asked, "challenge")?.try_into();
        let challenge = challenge.map_err(|_| CredentialError::Answer("challenge"))?;
        let message = fresh::key_message(self.site(), &self.welcome().session, &challenge);
        let signature = BASE64URL_NOPAD.encode(&identity.sign(&message).0);
        let _: Value = self
            .call("self", "proof_finish", &json!({ "signature": signature }))
            .await?;
        Ok(())
    }

    /// Changes the person's pass phrase: proves the present one anew, and sets the new one for the same
    /// identity. The site ends the person's other sessions; this one goes on.
    ///
    /// # Errors
    /// [`CredentialError`]; the present pass phrase stays then, except after [`CallError::Lost`], when it is
    /// not known.
    pub async fn change_passphrase(
        &self,
        present: &Passphrase,
        new: &Passphrase,
    ) -> Result<PassphraseChanged, CredentialError> {
        let identity = self.identity().ok_or(CredentialError::NoPassphrase)?;
        match self.delivered() {
            Some(_) => self.prove_key(identity).await,
            None => self.prove_passphrase(present).await,
        }?;
        let registration = Registration::start(new)?;
        let request = json!({ "request": registration.request() });
        let started: Started = self.call("self", "passphrase_start", &request).await?;
        if decode(&started.server_identity, "server_identity")? != self.site().to_bytes() {
            return Err(CredentialError::WrongSite);
        }
        let (started, registered) = aside(move || {
            let registered = registration.record(&started);
            (started, registered)
        })
        .await?;
        let (record, export_key) = registered?;
        let finished = Finished::new(&started, &record, &export_key, identity)?;
        Ok(self.call("self", "passphrase_finish", &finished).await?)
    }

    /// Begins a proof, and waits as long as the site says.
    async fn begin_proof(&self, params: &Value) -> Result<Value, CredentialError> {
        for _ in 0..WAITS {
            match self.call("self", "proof_start", params).await {
                Err(CallError::Failed {
                    problem: Some(problem),
                    ..
                }) if problem.retry_after_ms.is_some() => {
                    let wait = problem.retry_after_ms.unwrap_or_default();
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                other => return Ok(other?),
            }
        }
        Ok(self.call("self", "proof_start", params).await?)
    }
}

/// Runs what takes a fraction of a second on a thread that may block.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CredentialError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| CredentialError::Interrupted)
}

fn field(answer: &Value, name: &'static str) -> Result<Vec<u8>, CredentialError> {
    let text = answer.get(name).and_then(Value::as_str);
    decode(text.ok_or(CredentialError::Answer(name))?, name)
}

fn decode(text: &str, name: &'static str) -> Result<Vec<u8>, CredentialError> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
    bytes.map_err(|_| CredentialError::Answer(name))
}
