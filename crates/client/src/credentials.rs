//! Changing an account's credential: the client's side of setting a pass phrase, and of the fresh
//! proof that precedes it (`docs/protocol/operations.md`, Fresh proofs).
//!
//! [`Client::change_passphrase`] does both in a session. If operations use another channel, such as
//! the admin socket, [`Registration`] creates and reads their parameters and results.

use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::{
    ClientLogin, ClientRegistration, ExportKey, Identifiers, PassphraseError, PassphraseRecord,
};
use countersign_crypto::sealed_identity::{self, SealedIdentityError};
use countersign_crypto::secret::Passphrase;
use countersign_proto::session::{LoginError, fresh};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connector::LoginAs;
use crate::error::{CallError, ConnectError};
use crate::handle::Client;
use crate::platform;

/// How often a throttled proof waits before it fails.
const MAX_WAITS: usize = 3;

/// Why a credential was not changed.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// An operation failed. After [`CallError::Lost`] it is unknown whether the change was made.
    #[error(transparent)]
    Call(#[from] CallError),
    /// There is no login to unseal the identity with, which a session that another program opened
    /// needs.
    #[error(transparent)]
    Connection(#[from] ConnectError),
    /// The current pass phrase is wrong.
    #[error("the current pass phrase is wrong")]
    WrongPassphrase,
    /// The site's result lacks a field, or the field is invalid.
    #[error("the site's result has no valid field `{0}`")]
    InvalidResponse(&'static str),
    /// The result names another site than the session's. Nothing was changed.
    #[error("the registration belongs to another site than this session; nothing was changed")]
    WrongSite,
    /// The pass phrase, or the site's response, cannot be used with OPAQUE.
    #[error(transparent)]
    Opaque(#[from] PassphraseError),
    /// The identity cannot be sealed.
    #[error("the identity cannot be sealed: {0}")]
    Identity(#[from] SealedIdentityError),
    /// The account is a service, which has no pass phrase.
    #[error("a service has a key and no pass phrase")]
    NoPassphrase,
    /// Key stretching was interrupted because the runtime stops.
    #[error("the key stretching was interrupted")]
    Interrupted,
}

/// The registration of a new pass phrase (RFC 9807, section 5) after its request was created.
pub struct Registration {
    state: ClientRegistration,
    passphrase: Passphrase,
    request: String,
}

/// The result of `passphrase_start`.
#[derive(Debug, Clone, Deserialize)]
pub struct PassphraseStarted {
    response: String,
    setup: String,
    binding: String,
    server_identity: String,
}

/// The parameters of `passphrase_finish`.
#[derive(Debug, Clone, Serialize)]
pub struct PassphraseFinish {
    setup: String,
    binding: String,
    record: String,
    sealed_identity: String,
    certificate: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renewal: bool,
}

/// The result of a change of pass phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassphraseChanged {
    /// The number of other sessions of the account that the site ended.
    pub sessions_ended: usize,
}

impl Registration {
    /// Starts a registration.
    ///
    /// # Errors
    /// [`CredentialError::Opaque`] if the pass phrase is longer than 65,535 bytes.
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

    /// Finishes the registration. From then on the pass phrase unseals `identity`: the person's
    /// current one, so that certificates and data for it stay usable, or a new one.
    ///
    /// This stretches the pass phrase, which takes a fraction of a second and 64 MiB. An
    /// asynchronous program has to call it on a thread that may block.
    ///
    /// # Errors
    /// [`CredentialError`] if the response is invalid or the identity cannot be sealed.
    pub fn finish(
        self,
        started: &PassphraseStarted,
        identity: &Identity,
    ) -> Result<PassphraseFinish, CredentialError> {
        let (record, export_key) = self.record(started)?;
        PassphraseFinish::new(started, &record, &export_key, identity)
    }

    fn record(
        self,
        started: &PassphraseStarted,
    ) -> Result<(PassphraseRecord, ExportKey), CredentialError> {
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

impl PassphraseFinish {
    fn new(
        started: &PassphraseStarted,
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
            renewal: false,
        })
    }
}

impl Client {
    /// Sends a fresh proof of the account's pass phrase. It authorises one change of credential
    /// within two minutes. After failed proofs it waits as long as the site demands.
    ///
    /// # Errors
    /// [`CredentialError::WrongPassphrase`] if it is wrong, which counts as a failed login.
    pub async fn prove_passphrase(&self, passphrase: &Passphrase) -> Result<(), CredentialError> {
        let (login, ke1) = ClientLogin::start(fresh::SUITE, passphrase, &mut SystemEntropy)?;
        let response = self
            .begin_proof(&json!({ "ke1": BASE64URL_NOPAD.encode(&ke1) }))
            .await?;
        let ke2 = field(&response, "ke2")?;
        let (passphrase, site) = (passphrase.clone(), self.known_site().id());
        let context = fresh::passphrase_context(&self.welcome().session);
        let done = blocking(move || {
            let identifiers = Identifiers {
                client: None,
                server: Some(&site.0),
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

    /// Sends a fresh proof of possession of the key with which the session was opened.
    ///
    /// # Errors
    /// [`CredentialError::Call`] if the site rejects it.
    pub async fn prove_key(&self, identity: &Identity) -> Result<(), CredentialError> {
        let response = self.begin_proof(&json!({})).await?;
        let challenge = field(&response, "challenge")?.try_into();
        let challenge = challenge.map_err(|_| CredentialError::InvalidResponse("challenge"))?;
        let message =
            fresh::key_message(&self.known_site().id(), &self.welcome().session, &challenge);
        let signature = BASE64URL_NOPAD.encode(&identity.sign(&message).0);
        let _: Value = self
            .call("self", "proof_finish", &json!({ "signature": signature }))
            .await?;
        Ok(())
    }

    /// Changes the person's pass phrase: proves the current one and sets the new one for the same
    /// identity. The site ends the person's other sessions; this one continues.
    ///
    /// # Errors
    /// [`CredentialError`]. The current pass phrase then remains valid, except after
    /// [`CallError::Lost`], when the outcome is unknown.
    pub async fn change_passphrase(
        &self,
        present: &Passphrase,
        new: &Passphrase,
    ) -> Result<PassphraseChanged, CredentialError> {
        let Some(identity) = self.identity() else {
            return self.change_without_identity(present, new).await;
        };
        match self.delivered() {
            Some(_) => self.prove_key(identity).await,
            None => self.prove_passphrase(present).await,
        }?;
        self.register(new, identity, false).await
    }

    /// Changes the pass phrase in a session that another program opened: another login unseals the
    /// identity, which the site gives in a login alone.
    async fn change_without_identity(
        &self,
        present: &Passphrase,
        new: &Passphrase,
    ) -> Result<PassphraseChanged, CredentialError> {
        let name = self.welcome().account.parse();
        let name = name.map_err(|_| CredentialError::InvalidResponse("account"))?;
        let login = self
            .connector()
            .connect(LoginAs::person(name, present.clone()));
        let other = login.await.map_err(|error| match error {
            ConnectError::Login(LoginError::NotAuthenticated) => CredentialError::WrongPassphrase,
            error => CredentialError::Connection(error),
        })?;
        let identity = other.identity().ok_or(CredentialError::NoPassphrase)?;
        self.prove_passphrase(present).await?;
        let changed = self.register(new, identity, false).await;
        // The change has ended it, if there was one.
        let _ = other.end().await;
        changed
    }

    /// Registers the same pass phrase again, if the site asks for it because it has a newer OPAQUE
    /// server setup. Returns whether it did. Call it after a login as a person: it costs one
    /// operation if the site does not ask, and about a second if it does. Sessions continue.
    ///
    /// # Errors
    /// [`CredentialError`]. The record then remains as it was, except after [`CallError::Lost`], when
    /// the outcome is unknown; the pass phrase stays valid in either case.
    pub async fn renew_passphrase(&self, passphrase: &Passphrase) -> Result<bool, CredentialError> {
        let identity = match (self.identity(), self.delivered()) {
            (Some(identity), None) => identity,
            _ => return Ok(false),
        };
        let shown: Value = self.call("self", "show", &json!({})).await?;
        if shown.get("renew_passphrase") != Some(&Value::Bool(true)) {
            return Ok(false);
        }
        self.prove_passphrase(passphrase).await?;
        self.register(passphrase, identity, true).await?;
        Ok(true)
    }

    /// Registers a pass phrase after a fresh proof.
    async fn register(
        &self,
        new: &Passphrase,
        identity: &Identity,
        renewal: bool,
    ) -> Result<PassphraseChanged, CredentialError> {
        let registration = Registration::start(new)?;
        let request = json!({ "request": registration.request() });
        let started: PassphraseStarted = self.call("self", "passphrase_start", &request).await?;
        if decode(&started.server_identity, "server_identity")? != self.known_site().id().0 {
            return Err(CredentialError::WrongSite);
        }
        let (started, registered) = blocking(move || {
            let registered = registration.record(&started);
            (started, registered)
        })
        .await?;
        let (record, export_key) = registered?;
        let finished = PassphraseFinish {
            renewal,
            ..PassphraseFinish::new(&started, &record, &export_key, identity)?
        };
        Ok(self.call("self", "passphrase_finish", &finished).await?)
    }

    /// Starts a proof, and waits as long as the site demands.
    async fn begin_proof(&self, params: &Value) -> Result<Value, CredentialError> {
        for _ in 0..MAX_WAITS {
            match self.call("self", "proof_start", params).await {
                Err(CallError::Failed {
                    problem: Some(problem),
                    ..
                }) if problem.retry_after_ms.is_some() => {
                    let wait = problem.retry_after_ms.unwrap_or_default();
                    platform::sleep(Duration::from_millis(wait)).await;
                }
                other => return Ok(other?),
            }
        }
        Ok(self.call("self", "proof_start", params).await?)
    }
}

/// Runs work that takes a fraction of a second on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CredentialError> {
    let done = platform::blocking(work).await;
    done.ok_or(CredentialError::Interrupted)
}

fn field(answer: &Value, name: &'static str) -> Result<Vec<u8>, CredentialError> {
    let text = answer.get(name).and_then(Value::as_str);
    decode(text.ok_or(CredentialError::InvalidResponse(name))?, name)
}

fn decode(text: &str, name: &'static str) -> Result<Vec<u8>, CredentialError> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
    bytes.map_err(|_| CredentialError::InvalidResponse(name))
}
