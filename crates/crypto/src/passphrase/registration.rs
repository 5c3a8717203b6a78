//! Registration: three messages that make a record (RFC 9807, section 5).

use std::fmt;

use super::setup::ServerSetup;
use super::suite::{Classical, ExportKey, Hybrid, Identifiers, PassphraseError, Rng, stretching};
use crate::entropy::Entropy;
use crate::secret::Passphrase;

/// What the server stores of a pass phrase.
#[derive(Clone, PartialEq, Eq)]
pub struct PassphraseRecord(Vec<u8>);

impl PassphraseRecord {
    /// Checks that `bytes` are a record.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PassphraseError> {
        opaque_ke::ServerRegistration::<Classical>::deserialize(bytes)?;
        Ok(Self(bytes.to_vec()))
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
pub struct ClientRegistration(opaque_ke::ClientRegistration<Classical>);

impl ClientRegistration {
    /// Starts a registration; returns the request, which tells nothing of the pass phrase.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] when the pass phrase is longer than 65,535 bytes.
    pub fn start(
        passphrase: &Passphrase,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), PassphraseError> {
        let started = opaque_ke::ClientRegistration::<Classical>::start(
            &mut Rng(entropy),
            passphrase.as_bytes(),
        )?;
        Ok((Self(started.state), started.message.serialize().to_vec()))
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
        let ksf = stretching()?;
        let finished = self.0.finish(
            &mut Rng(entropy),
            passphrase.as_bytes(),
            opaque_ke::RegistrationResponse::deserialize(response)?,
            opaque_ke::ClientRegistrationFinishParameters::new(identifiers.into(), Some(&ksf)),
        )?;
        let record = PassphraseRecord(finished.message.serialize().to_vec());
        Ok((record, ExportKey::new(&finished.export_key)?))
    }
}

impl ServerSetup {
    /// The server's answer to a registration request. It keeps nothing.
    ///
    /// # Errors
    /// [`PassphraseError::Malformed`] when the request is none.
    pub fn registration_response(
        &self,
        credential_id: &[u8],
        request: &[u8],
    ) -> Result<Vec<u8>, PassphraseError> {
        let request = opaque_ke::RegistrationRequest::deserialize(request)?;
        let response = opaque_ke::ServerRegistration::<Classical>::start(
            &self.classical,
            request,
            credential_id,
        )?;
        Ok(response.message.serialize().to_vec())
    }
}
