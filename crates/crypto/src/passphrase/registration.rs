//! Registration: three messages that make a record (RFC 9807, section 5).

use std::fmt;

use super::ksf::{Ksf, OpaqueKsf};
use super::setup::ServerSetup;
use super::suite::{
    Classical, ExportKey, Hybrid, Identifiers, PassphraseError, Rng, exactly, take_secret,
};
use crate::entropy::Entropy;
use crate::secret::Passphrase;

/// The client's public key, its masking key, and the envelope.
pub(super) const RECORD_LENGTH: usize = 32 + 64 + 96;
const REQUEST_LENGTH: usize = 32;
const RESPONSE_LENGTH: usize = 32 + 32;

/// What the server stores of a pass phrase.
#[derive(Clone, PartialEq, Eq)]
pub struct PassphraseRecord([u8; RECORD_LENGTH]);

impl PassphraseRecord {
    /// Checks that `bytes` are a record: for what somebody sends.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PassphraseError> {
        let record = Self::from_stored(bytes)?;
        record.classical()?;
        Ok(record)
    }

    /// Takes a record that was checked when it was stored. Logins read theirs with this one: to check
    /// it again would take time that an unknown name does not, which tells the two apart.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] when the length is not a record's.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, PassphraseError> {
        let record = bytes.try_into();
        record.map(Self).map_err(|_| PassphraseError::Malformed)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn classical(
        &self,
    ) -> Result<opaque_ke::ServerRegistration<Classical>, PassphraseError> {
        Ok(opaque_ke::ServerRegistration::deserialize(&self.0)?)
    }

    pub(super) fn hybrid(&self) -> Result<opaque_ke::ServerRegistration<Hybrid>, PassphraseError> {
        Ok(opaque_ke::ServerRegistration::deserialize(&self.0)?)
    }
}

impl fmt::Debug for PassphraseRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassphraseRecord(..)")
    }
}

/// The client's end of a registration, its request sent.
pub struct ClientRegistration {
    state: opaque_ke::ClientRegistration<Classical>,
    pub(super) opaque_ksf: OpaqueKsf,
}

impl ClientRegistration {
    /// Starts a registration; returns the request, which tells nothing of the pass phrase.
    ///
    /// # Errors
    /// [`PassphraseError::Unfit`] when the pass phrase could not be typed again everywhere;
    /// [`PassphraseError::Malformed`] when it is longer than 65,535 bytes.
    pub fn start(
        passphrase: &Passphrase,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), PassphraseError> {
        passphrase.check_new()?;
        let started =
            opaque_ke::ClientRegistration::start(&mut Rng(entropy), passphrase.as_bytes())?;
        let registration = Self {
            state: started.state,
            opaque_ksf: OpaqueKsf::default(),
        };
        Ok((registration, started.message.serialize().to_vec()))
    }

    /// Stretches otherwise than [`Ksf::Recommended`]; each login must then do the same.
    #[must_use]
    pub fn stretched(mut self, ksf: Ksf) -> Self {
        self.opaque_ksf = ksf.into();
        self
    }

    /// Finishes it: stretches the pass phrase (a fraction of a second, 64 MiB), and returns the record
    /// for the server and the export key, which stays here.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] when the server's response is none.
    pub fn finish(
        self,
        passphrase: &Passphrase,
        response: &[u8],
        identifiers: Identifiers<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<(PassphraseRecord, ExportKey), PassphraseError> {
        let response = exactly(RESPONSE_LENGTH, response)?;
        let mut finished = self.state.finish(
            &mut Rng(entropy),
            passphrase.as_bytes(),
            opaque_ke::RegistrationResponse::deserialize(response)?,
            opaque_ke::ClientRegistrationFinishParameters::new(
                identifiers.into(),
                Some(&self.opaque_ksf),
            ),
        )?;
        let record = PassphraseRecord::from_stored(&finished.message.serialize())?;
        Ok((record, ExportKey(take_secret(&mut finished.export_key)?)))
    }
}

impl fmt::Debug for ClientRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientRegistration(..)")
    }
}

impl ServerSetup {
    /// The server's answer to a registration request. It keeps nothing.
    ///
    /// `credential_id` names the account within OPAQUE, and logins must give the same one. Derive it in
    /// one way for accounts and for names that are none, so that it tells nobody which they are.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] when the request is none.
    pub fn registration_response(
        &self,
        credential_id: &[u8],
        request: &[u8],
    ) -> Result<Vec<u8>, PassphraseError> {
        let request = exactly(REQUEST_LENGTH, request)?;
        let response = opaque_ke::ServerRegistration::start(
            &self.classical,
            opaque_ke::RegistrationRequest::deserialize(request)?,
            credential_id,
        )?;
        Ok(response.message.serialize().to_vec())
    }
}
