//! Registration: three messages that create a record (RFC 9807, section 5).

use std::fmt;

use super::ksf::{Ksf, OpaqueKsf};
use super::setup::ServerSetup;
use super::suite::{
    Classical, ExportKey, Hybrid, Identifiers, PassphraseError, Rng, exactly, take_secret,
};
use crate::entropy::Entropy;
use crate::secret::Passphrase;

/// Length of a record: the client's public key, its masking key, and the envelope.
pub(super) const RECORD_LENGTH: usize = 32 + 64 + 96;
const REQUEST_LENGTH: usize = 32;
const RESPONSE_LENGTH: usize = 32 + 32;

/// The record that the server stores for a pass phrase.
#[derive(Clone, PartialEq, Eq)]
pub struct PassphraseRecord([u8; RECORD_LENGTH]);

impl PassphraseRecord {
    /// Parses and checks a record that a client sent.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PassphraseError> {
        let record = Self::from_stored(bytes)?;
        record.classical()?;
        Ok(record)
    }

    /// Parses a record that was checked before it was stored. Logins use this function: another
    /// check would take time that a login with an unknown name does not need, so an attacker could
    /// distinguish the two.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] if the length is wrong.
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

/// The client's state of a registration after it created its request.
pub struct ClientRegistration {
    state: opaque_ke::ClientRegistration<Classical>,
    pub(super) opaque_ksf: OpaqueKsf,
}

impl ClientRegistration {
    /// Starts a registration. Returns the request, which reveals nothing about the pass phrase.
    ///
    /// # Errors
    /// [`PassphraseError::Unfit`] if the pass phrase contains characters that are not allowed;
    /// [`PassphraseError::Malformed`] if it is longer than 65,535 bytes.
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

    /// Uses another key stretching function than [`Ksf::Recommended`]. Each login has to use the
    /// same.
    #[must_use]
    pub fn with_ksf(mut self, ksf: Ksf) -> Self {
        self.opaque_ksf = ksf.into();
        self
    }

    /// Stretches the pass phrase (a fraction of a second, 64 MiB), and returns the record for the
    /// server and the export key, which is not sent.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] if the server's response is invalid.
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
    /// The server's response to a registration request. The server stores no state.
    ///
    /// `credential_id` identifies the account within OPAQUE; logins have to use the same one.
    /// Derive it for unknown names in the same way as for accounts, so that it does not reveal
    /// which names have accounts.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] if the request is invalid.
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
