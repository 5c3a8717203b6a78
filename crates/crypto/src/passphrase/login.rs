//! Login: KE1, KE2, KE3 (RFC 9807, section 6), in either suite.

use std::fmt;

use super::ksf::{Ksf, OpaqueKsf};
use super::registration::PassphraseRecord;
use super::setup::ServerSetup;
use super::suite::{
    Classical, ExportKey, Hybrid, Identifiers, KE3_LENGTH, LoginSuite, PassphraseError, Rng,
    exactly, take_secret,
};
use crate::entropy::Entropy;
use crate::secret::{Passphrase, Secret};

/// The state of either suite, boxed so that a waiting connection stays small.
enum Either<C, H> {
    Classical(Box<C>),
    Hybrid(Box<H>),
}

/// The client's state of a login after it created KE1.
pub struct ClientLogin {
    state: Either<opaque_ke::ClientLogin<Classical>, opaque_ke::ClientLogin<Hybrid>>,
    pub(super) opaque_ksf: OpaqueKsf,
}

/// The client's result of a login.
#[derive(Debug)]
pub struct ClientLoginResult {
    /// KE3, the proof for the server.
    pub ke3: Vec<u8>,
    /// The secret shared with the server.
    pub session_key: Secret<64>,
    /// The export key.
    pub export_key: ExportKey,
}

impl ClientLogin {
    /// Starts a login. Returns KE1, which reveals nothing about the pass phrase.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] if the pass phrase is longer than 65,535 bytes.
    pub fn start(
        suite: LoginSuite,
        passphrase: &Passphrase,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), PassphraseError> {
        let rng = &mut Rng(entropy);
        macro_rules! start {
            ($suite:ident) => {{
                let started = opaque_ke::ClientLogin::<$suite>::start(rng, passphrase.as_bytes())?;
                let ke1 = started.message.serialize().to_vec();
                (Either::$suite(Box::new(started.state)), ke1)
            }};
        }
        let (state, ke1) = match suite {
            LoginSuite::Classical => start!(Classical),
            LoginSuite::Hybrid => start!(Hybrid),
        };
        let opaque_ksf = OpaqueKsf::default();
        Ok((Self { state, opaque_ksf }, ke1))
    }

    /// Uses another key stretching function than [`Ksf::Recommended`], as the registration did.
    #[must_use]
    pub fn with_ksf(mut self, ksf: Ksf) -> Self {
        self.opaque_ksf = ksf.into();
        self
    }

    /// Handles KE2: stretches the pass phrase (a fraction of a second, 64 MiB), opens the record's
    /// envelope, verifies the server's proof and creates the client's.
    ///
    /// # Errors
    /// [`PassphraseError::Refused`] if the pass phrase is wrong or there is no record.
    pub fn finish(
        self,
        passphrase: &Passphrase,
        ke2: &[u8],
        context: &[u8],
        identifiers: Identifiers<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<ClientLoginResult, PassphraseError> {
        macro_rules! finish {
            ($state:expr, $suite:ident) => {{
                let ke2 = exactly(LoginSuite::$suite.ke2_length(), ke2)?;
                let mut finished = $state.finish(
                    &mut Rng(entropy),
                    passphrase.as_bytes(),
                    opaque_ke::CredentialResponse::deserialize(ke2)?,
                    opaque_ke::ClientLoginFinishParameters::new(
                        Some(context),
                        identifiers.into(),
                        Some(&self.opaque_ksf),
                    ),
                )?;
                ClientLoginResult {
                    ke3: finished.message.serialize().to_vec(),
                    session_key: take_secret(&mut finished.session_key)?,
                    export_key: ExportKey(take_secret(&mut finished.export_key)?),
                }
            }};
        }
        Ok(match self.state {
            Either::Classical(state) => finish!(state, Classical),
            Either::Hybrid(state) => finish!(state, Hybrid),
        })
    }
}

impl fmt::Debug for ClientLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientLogin(..)")
    }
}

/// The server's state of a login after it created KE2.
pub struct ServerLogin(Either<opaque_ke::ServerLogin<Classical>, opaque_ke::ServerLogin<Hybrid>>);

impl ServerLogin {
    /// Handles KE1 and creates KE2. Without a record KE2 is a decoy: it has the same length, looks
    /// as random, takes the same time, and no proof will verify.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] if KE1 is not a valid message of this suite;
    /// [`PassphraseError::Damaged`] if the record is invalid.
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
        let ke1 = exactly(suite.ke1_length(), ke1)?;
        let parameters = opaque_ke::ServerLoginParameters {
            context: Some(context),
            identifiers: identifiers.into(),
        };
        macro_rules! start {
            ($suite:ident, $field:ident) => {{
                let parsed = record.unwrap_or(&setup.placeholder).$field();
                let parsed = parsed.map_err(|_| PassphraseError::Damaged)?;
                let started = opaque_ke::ServerLogin::<$suite>::start(
                    &mut Rng(entropy),
                    &setup.$field,
                    record.is_some().then_some(parsed),
                    opaque_ke::CredentialRequest::deserialize(ke1)?,
                    credential_id,
                    parameters,
                )?;
                let ke2 = started.message.serialize().to_vec();
                (Either::$suite(Box::new(started.state)), ke2)
            }};
        }
        let (state, ke2) = match suite {
            LoginSuite::Classical => start!(Classical, classical),
            LoginSuite::Hybrid => start!(Hybrid, hybrid),
        };
        Ok((Self(state), ke2))
    }

    /// Verifies KE3 and returns the secret shared with the client.
    ///
    /// # Errors
    /// [`PassphraseError::Refused`] if the proof is wrong.
    pub fn finish(self, ke3: &[u8]) -> Result<Secret<64>, PassphraseError> {
        let ke3 = exactly(KE3_LENGTH, ke3)?;
        macro_rules! finish {
            ($state:expr) => {{
                // In 3DH the expected proof already covers context and identifiers; the
                // parameters exist for key exchanges where it does not.
                let ke3 = opaque_ke::CredentialFinalization::deserialize(ke3)?;
                let parameters = opaque_ke::ServerLoginParameters::default();
                take_secret(&mut $state.finish(ke3, parameters)?.session_key)
            }};
        }
        match self.0 {
            Either::Classical(state) => finish!(state),
            Either::Hybrid(state) => finish!(state),
        }
    }
}

impl fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerLogin(..)")
    }
}
