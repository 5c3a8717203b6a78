//! Login: KE1, KE2, KE3 (RFC 9807, section 6), in either suite.

use super::registration::PassphraseRecord;
use super::setup::ServerSetup;
use super::suite::{
    Classical, ExportKey, Hybrid, Identifiers, LoginSuite, PassphraseError, Rng, stretching,
};
use crate::entropy::Entropy;
use crate::secret::{Passphrase, Secret};

/// The client's end of a login, KE1 sent.
pub struct ClientLogin(ClientState);

enum ClientState {
    Classical(Box<opaque_ke::ClientLogin<Classical>>),
    Hybrid(Box<opaque_ke::ClientLogin<Hybrid>>),
}

/// What a login gives the client.
pub struct ClientDone {
    /// The proof for the server.
    pub ke3: Vec<u8>,
    /// The secret that both ends share now.
    pub session_key: Secret<64>,
    /// The key that only the pass phrase gives.
    pub export_key: ExportKey,
}

impl ClientLogin {
    /// Starts a login; returns KE1, which tells nothing of the pass phrase.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] when the pass phrase is longer than 65,535 bytes.
    pub fn start(
        suite: LoginSuite,
        passphrase: &Passphrase,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), PassphraseError> {
        let (rng, passphrase) = (&mut Rng(entropy), passphrase.as_bytes());
        Ok(match suite {
            LoginSuite::Classical => {
                let started = opaque_ke::ClientLogin::<Classical>::start(rng, passphrase)?;
                let ke1 = started.message.serialize().to_vec();
                (Self(ClientState::Classical(Box::new(started.state))), ke1)
            }
            LoginSuite::Hybrid => {
                let started = opaque_ke::ClientLogin::<Hybrid>::start(rng, passphrase)?;
                let ke1 = started.message.serialize().to_vec();
                (Self(ClientState::Hybrid(Box::new(started.state))), ke1)
            }
        })
    }

    /// Reads KE2: stretches the pass phrase (a fraction of a second, 64 MiB), opens the record's
    /// envelope, verifies the server's proof and makes the client's.
    ///
    /// # Errors
    /// [`PassphraseError::Refused`] when the pass phrase is wrong or there is no such record.
    pub fn finish(
        self,
        passphrase: &Passphrase,
        ke2: &[u8],
        context: &[u8],
        identifiers: Identifiers<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<ClientDone, PassphraseError> {
        let ksf = stretching()?;
        let (rng, passphrase) = (&mut Rng(entropy), passphrase.as_bytes());
        macro_rules! finish {
            ($state:expr) => {{
                let ke2 = opaque_ke::CredentialResponse::deserialize(ke2)?;
                let parameters = opaque_ke::ClientLoginFinishParameters::new(
                    Some(context),
                    identifiers.into(),
                    Some(&ksf),
                );
                let finished = $state.finish(rng, passphrase, ke2, parameters)?;
                ClientDone {
                    ke3: finished.message.serialize().to_vec(),
                    session_key: session_key(&finished.session_key)?,
                    export_key: ExportKey::new(&finished.export_key)?,
                }
            }};
        }
        Ok(match self.0 {
            ClientState::Classical(state) => finish!(state),
            ClientState::Hybrid(state) => finish!(state),
        })
    }
}

/// The server's end of a login, KE2 sent.
pub struct ServerLogin {
    state: ServerState,
    context: Vec<u8>,
    client: Option<Vec<u8>>,
    server: Option<Vec<u8>>,
}

enum ServerState {
    Classical(Box<opaque_ke::ServerLogin<Classical>>),
    Hybrid(Box<opaque_ke::ServerLogin<Hybrid>>),
}

impl ServerLogin {
    /// Answers KE1 with KE2. Without a record the answer is made up: as long, as random, and no proof
    /// will verify.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] when KE1 is no such message of this suite.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parameters that RFC 9807 names"
    )]
    pub fn start(
        suite: LoginSuite,
        setup: &ServerSetup,
        record: Option<&PassphraseRecord>,
        credential_id: &[u8],
        ke1: &[u8],
        context: &[u8],
        identifiers: Identifiers<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), PassphraseError> {
        let rng = &mut Rng(entropy);
        macro_rules! start {
            ($suite:ident, $setup:expr, $record:expr) => {{
                let started = opaque_ke::ServerLogin::<$suite>::start(
                    rng,
                    $setup,
                    $record.transpose()?,
                    opaque_ke::CredentialRequest::deserialize(ke1)?,
                    credential_id,
                    parameters(context, identifiers),
                )?;
                let ke2 = started.message.serialize().to_vec();
                (ServerState::$suite(Box::new(started.state)), ke2)
            }};
        }
        let (state, ke2) = match suite {
            LoginSuite::Classical => {
                start!(
                    Classical,
                    &setup.classical,
                    record.map(PassphraseRecord::classical)
                )
            }
            LoginSuite::Hybrid => {
                start!(Hybrid, &setup.hybrid, record.map(PassphraseRecord::hybrid))
            }
        };
        let login = Self {
            state,
            context: context.to_vec(),
            client: identifiers.client.map(<[u8]>::to_vec),
            server: identifiers.server.map(<[u8]>::to_vec),
        };
        Ok((login, ke2))
    }

    /// Verifies KE3; returns the secret that both ends share.
    ///
    /// # Errors
    /// [`PassphraseError::Refused`] when the proof is false.
    pub fn finish(self, ke3: &[u8]) -> Result<Secret<64>, PassphraseError> {
        let identifiers = Identifiers {
            client: self.client.as_deref(),
            server: self.server.as_deref(),
        };
        let parameters = parameters(&self.context, identifiers);
        macro_rules! finish {
            ($state:expr) => {{
                let ke3 = opaque_ke::CredentialFinalization::deserialize(ke3)?;
                session_key(&$state.finish(ke3, parameters)?.session_key)
            }};
        }
        match self.state {
            ServerState::Classical(state) => finish!(state),
            ServerState::Hybrid(state) => finish!(state),
        }
    }
}

fn parameters<'a>(
    context: &'a [u8],
    identifiers: Identifiers<'a>,
) -> opaque_ke::ServerLoginParameters<'a, 'a> {
    opaque_ke::ServerLoginParameters {
        context: Some(context),
        identifiers: identifiers.into(),
    }
}

fn session_key(bytes: &[u8]) -> Result<Secret<64>, PassphraseError> {
    Secret::try_from_slice(bytes).ok_or(PassphraseError::Refused)
}
