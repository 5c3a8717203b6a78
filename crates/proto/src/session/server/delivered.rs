//! The option `delivered-key`: the answer to a name or a thumbprint, and the proof.

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
use crate::session::flight::server_says;
use crate::session::keys::Established;
use crate::session::option::EncryptionOption;
use crate::session::proof::KeyProof;
use crate::session::refusal::SessionRefusal;
use crate::session::transcript::Transcript;

use super::attempt::Awaiting;
use super::authenticated::{Authenticated, AuthenticatedBy};
use super::{AccountTag, DeliveredCredential, ServerLoginAttempt, ServiceCredential};

/// Whose certificate the session key is to be sealed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A person's, which is delivered along with its encrypted key.
    Person(AccountName),
    /// A service's, which has it.
    Service(Thumbprint),
}

/// A login that waits for a certificate.
pub struct FindDelivered {
    pub(super) login: ServerLoginAttempt,
    pub(super) owner: Owner,
    pub(super) max_packet: u32,
}

impl FindDelivered {
    /// Whose certificate is needed; a name with its zone.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Answers a person: CERTIFICATE, SESSION-KEY, MAX-PACKET, SITE-PROOF. Without a credential the answer is
    /// made up, of the same form and length, and no proof will verify.
    ///
    /// # Errors
    /// [`SessionRefusal::BadLogin`] when nothing can be sealed to the certificate, and
    /// [`SessionRefusal::TooManyUnauthenticated`] when the client was answered too much before.
    pub fn answer_person(
        self,
        credential: Option<&DeliveredCredential>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ServerLoginAttempt, SessionRefusal> {
        // Made up for known names too, so that both take the same time.
        let decoy = self.decoy();
        let key = credential.map_or(&decoy, |known| &known.key);
        let certificate = key.certificate();
        let whose = Whose {
            account: credential.map(|known| known.account),
            thumbprint: certificate.thumbprint(),
            agreement: certificate.agreement(),
            proves: AuthenticatedBy::DeliveredKey,
        };
        self.answer(whose, Some(&to_wire(key)), entropy, out)
    }

    /// Answers a service: SESSION-KEY, MAX-PACKET, SITE-PROOF.
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
        let whose = Whose {
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
        whose: Whose,
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
        let start = out.len();
        let said = &mut login.transcript;
        if let Some(certificate) = certificate {
            server_says(said, out, c::CERTIFICATE, Value::Bytes(certificate))?;
        }
        server_says(said, out, c::SESSION_KEY, Value::Bytes(&sealed))?;
        server_says(said, out, c::MAX_PACKET, Value::U32(max_packet))?;
        let proof = settings.key.signing().sign(&said.digest("site proof"));
        server_says(said, out, c::SITE_PROOF, Value::Bytes(&proof.0))?;
        login.count_answer(start, out)?;
        Ok(login.then(Awaiting::Code(Box::new(AwaitingCode {
            secrets,
            whose,
            max_packet,
        }))))
    }
}

/// Whom the session key is sealed to.
struct Whose {
    /// `None` when the answer is made up.
    account: Option<AccountTag>,
    thumbprint: Thumbprint,
    agreement: AgreementPublic,
    /// What the session code then proves.
    proves: fn(Thumbprint, KeyProof) -> AuthenticatedBy,
}

/// Answered; what is left is the proof that the session code was decrypted.
pub(super) struct AwaitingCode {
    secrets: SessionSecrets,
    whose: Whose,
    max_packet: u32,
}

impl AwaitingCode {
    /// The client takes packets of at most so many bytes.
    pub(super) fn lower_max_packet(&mut self, bytes: u32) {
        self.max_packet = self.max_packet.min(bytes);
    }

    /// Verifies SESSION-PROOF, which stood on the wire as `wire`. It covers all that came before it, also
    /// what somebody put in after the answer.
    pub(super) fn verify(
        self,
        proof: &[u8],
        wire: &[u8],
        said: &mut Transcript,
    ) -> Result<Authenticated, SessionRefusal> {
        let told = Secret::try_from_slice(proof).ok_or(SessionRefusal::NotAuthenticated)?;
        let proof = KeyProof::by_session_code(&told, &self.secrets.proof(said));
        said.client_sent(wire);
        let proof = proof.ok_or(SessionRefusal::NotAuthenticated)?;
        let account = self.whose.account.ok_or(SessionRefusal::NotAuthenticated)?;
        let how = (self.whose.proves)(self.whose.thumbprint, proof);
        let established = Established::new(
            EncryptionOption::DeliveredKey,
            self.secrets.key.expose(),
            &said.digest("packets"),
            self.max_packet,
        );
        Ok(Authenticated::new(account, how, established))
    }
}
