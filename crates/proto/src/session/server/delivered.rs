//! The option `delivered-key`: the response to a name or a thumbprint, and the client's proof.

use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::Entropy;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::sealing;
use countersign_crypto::secret::Secret;

use crate::name::AccountName;
use crate::risp::Value;
use crate::session::command as c;
use crate::session::delivered::{SessionSecrets, sealing_info, to_wire};
use crate::session::flight::put_as_server;
use crate::session::keys::Established;
use crate::session::option::EncryptionOption;
use crate::session::proof::KeyProof;
use crate::session::refusal::SessionRefusal;
use crate::session::transcript::Transcript;

use super::attempt::Awaiting;
use super::authenticated::{Authenticated, AuthenticatedBy};
use super::{AccountTag, DeliveredCredential, ServerLoginAttempt, ServiceCredential};

/// The account whose certificate the session key is sealed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A person. The server sends the certificate together with the encrypted key.
    Person(AccountName),
    /// A service. It has its certificate.
    Service(Thumbprint),
}

/// A login that needs a certificate.
pub struct FindDelivered {
    pub(super) login: ServerLoginAttempt,
    pub(super) owner: Owner,
    pub(super) max_packet: u32,
}

impl FindDelivered {
    /// The owner of the certificate. A person's name includes the zone.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Responds to a person with CERTIFICATE, SESSION-KEY, MAX-PACKET and SITE-PROOF. Without a
    /// credential the response is a decoy of the same form and length, and no proof verifies.
    ///
    /// # Errors
    /// [`SessionRefusal::BadLogin`] if nothing can be sealed to the certificate.
    /// [`SessionRefusal::TooManyUnauthenticated`] if the client already received too many bytes.
    pub fn answer_person(
        self,
        credential: Option<&DeliveredCredential>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ServerLoginAttempt, SessionRefusal> {
        // The decoy is computed for known names too, so that both take the same time.
        let decoy = self.decoy();
        let key = credential.map_or(&decoy, |known| &known.key);
        let certificate = key.certificate();
        let whose = SealingTarget {
            account: credential.map(|known| known.account),
            thumbprint: certificate.thumbprint(),
            agreement: certificate.agreement(),
            proves: AuthenticatedBy::DeliveredKey,
        };
        self.answer(whose, Some(&to_wire(key)), entropy, out)
    }

    /// Responds to a service with SESSION-KEY, MAX-PACKET and SITE-PROOF.
    ///
    /// # Errors
    /// As for [`Self::answer_person`].
    pub fn answer_service(
        self,
        credential: Option<&ServiceCredential>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ServerLoginAttempt, SessionRefusal> {
        let Owner::Service(thumbprint) = self.owner else {
            return Err(SessionRefusal::BadLogin("a service's answer to a person"));
        };
        let decoy = self.decoy().certificate().agreement();
        let whose = SealingTarget {
            account: credential.map(|known| known.account),
            thumbprint,
            agreement: credential.map_or(decoy, |known| known.agreement),
            proves: AuthenticatedBy::Key,
        };
        self.answer(whose, None, entropy, out)
    }

    fn decoy(&self) -> DeliveredKey {
        let name = match &self.owner {
            Owner::Person(name) => name.to_string().into_bytes(),
            Owner::Service(thumbprint) => thumbprint.0.to_vec(),
        };
        DeliveredKey::decoy(&self.login.settings.decoy, &name)
    }

    fn answer(
        self,
        whose: SealingTarget,
        certificate: Option<&[u8]>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ServerLoginAttempt, SessionRefusal> {
        let Self {
            mut login,
            max_packet,
            ..
        } = self;
        let settings = login.settings.clone();
        let secrets = SessionSecrets::generate(entropy);
        let info = sealing_info(&login.transcript);
        let sealed = sealing::seal(
            &whose.agreement,
            &info,
            secrets.to_bytes().expose(),
            entropy,
        )
        .map_err(|_| SessionRefusal::BadLogin("a certificate that nothing can be sealed to"))?;
        login.answer_key_events(out)?;
        let start = out.len();
        let transcript = &mut login.transcript;
        if let Some(certificate) = certificate {
            put_as_server(transcript, out, c::CERTIFICATE, Value::Bytes(certificate))?;
        }
        put_as_server(transcript, out, c::SESSION_KEY, Value::Bytes(&sealed))?;
        put_as_server(transcript, out, c::MAX_PACKET, Value::U32(max_packet))?;
        let proof = settings
            .key
            .signing()
            .sign(&transcript.digest("site proof"));
        put_as_server(transcript, out, c::SITE_PROOF, Value::Bytes(&proof.0))?;
        login.count_answer(start, out)?;
        Ok(login.awaiting(Awaiting::Code(Box::new(AwaitingCode {
            secrets,
            whose,
            max_packet,
        }))))
    }
}

/// The account that the session key is sealed to.
struct SealingTarget {
    /// `None` for a decoy.
    account: Option<AccountTag>,
    thumbprint: Thumbprint,
    agreement: AgreementPublic,
    /// How the client is authenticated once its proof verifies.
    proves: fn(Thumbprint, KeyProof) -> AuthenticatedBy,
}

/// The response was sent; the proof that the client decrypted the session code is pending.
pub(super) struct AwaitingCode {
    secrets: SessionSecrets,
    whose: SealingTarget,
    max_packet: u32,
}

impl AwaitingCode {
    /// Lowers the packet limit to what the client accepts.
    pub(super) fn lower_max_packet(&mut self, bytes: u32) {
        self.max_packet = self.max_packet.min(bytes);
    }

    /// Verifies SESSION-PROOF, whose encoded command is `wire`. The proof covers everything before
    /// it, including commands that an attacker inserted after the response.
    pub(super) fn verify(
        self,
        proof: &[u8],
        wire: &[u8],
        transcript: &mut Transcript,
    ) -> Result<Authenticated, SessionRefusal> {
        let received = Secret::try_from_slice(proof).ok_or(SessionRefusal::NotAuthenticated)?;
        let proof = KeyProof::by_session_code(&received, &self.secrets.proof(transcript));
        transcript.client_sent(wire);
        let proof = proof.ok_or(SessionRefusal::NotAuthenticated)?;
        let account = self.whose.account.ok_or(SessionRefusal::NotAuthenticated)?;
        let how = (self.whose.proves)(self.whose.thumbprint, proof);
        let established = Established::new(
            EncryptionOption::DeliveredKey,
            self.secrets.key.expose(),
            &transcript.digest("packets"),
            self.max_packet,
        );
        Ok(Authenticated::new(account, how, established))
    }
}
