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
use crate::session::proof::{KeyProved, PassphraseProved};
use crate::session::refusal::Refusal;
use crate::session::transcript::Transcript;

use super::proved::{HowProved, Proved};
use super::{AccountTag, DeliveredCredential, Login, ServiceCredential};

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
    pub(super) login: Login,
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
    /// [`Refusal::BadLogin`] when nothing can be sealed to the certificate, and
    /// [`Refusal::TooMuchUnproved`] when the client was answered too much before.
    pub fn answer_person(
        self,
        credential: Option<&DeliveredCredential>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Login, Refusal> {
        // Made up for known names too, so that both take the same time.
        let made_up = self.made_up();
        let key = credential.map_or(&made_up, |known| &known.key);
        let proved = PassphraseProved::by_session_code();
        let account = credential.map(|known| (known.account, HowProved::Passphrase(proved)));
        let certificate = key.certificate();
        let (to, wire) = (certificate.agreement(), to_wire(key));
        self.answer(account, to, Some(&wire), entropy, out)
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
    ) -> Result<Login, Refusal> {
        let made_up = self.made_up().certificate().agreement();
        let to = credential.map_or(made_up, |known| known.agreement);
        let Owner::Service(thumbprint) = self.owner else {
            return Err(Refusal::BadLogin("a service's answer to a person"));
        };
        let account = credential.map(|known| {
            let proof = KeyProved::by_session_code();
            (known.account, HowProved::Key(thumbprint, proof))
        });
        self.answer(account, to, None, entropy, out)
    }

    fn made_up(&self) -> DeliveredKey {
        let name = match &self.owner {
            Owner::Person(name) => name.to_string().into_bytes(),
            Owner::Service(thumbprint) => thumbprint.0.to_vec(),
        };
        DeliveredKey::made_up(&self.login.settings.made_up, &name)
    }

    fn answer(
        self,
        account: Option<(AccountTag, HowProved)>,
        to: AgreementPublic,
        certificate: Option<&[u8]>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Login, Refusal> {
        let Self {
            mut login,
            max_packet,
            ..
        } = self;
        let settings = login.settings.clone();
        let secrets = SessionSecrets::generate(entropy);
        let info = sealing_info(&login.transcript);
        let sealed = sealing::seal(&to, &info, secrets.to_bytes().expose(), entropy)
            .map_err(|_| Refusal::BadLogin("a certificate that nothing can be sealed to"))?;
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
        let expected = secrets.proof(&login.transcript);
        Ok(login.await_code(AwaitingCode {
            secrets,
            expected,
            account,
            max_packet,
        }))
    }
}

/// Answered; what is left is the proof that the session code was decrypted.
pub(super) struct AwaitingCode {
    secrets: SessionSecrets,
    expected: Secret<32>,
    account: Option<(AccountTag, HowProved)>,
    max_packet: u32,
}

impl AwaitingCode {
    /// Verifies SESSION-PROOF; `transcript` includes it.
    pub(super) fn verify(self, proof: &[u8], transcript: &Transcript) -> Result<Proved, Refusal> {
        let told = Secret::try_from_slice(proof).ok_or(Refusal::NotAuthenticated)?;
        if told != self.expected {
            return Err(Refusal::NotAuthenticated);
        }
        let (account, how) = self.account.ok_or(Refusal::NotAuthenticated)?;
        let option = EncryptionOption::DeliveredKey;
        let established = Established::new(
            option,
            self.secrets.key.expose(),
            &transcript.digest("packets"),
            self.max_packet,
        );
        Ok(Proved::new(account, how, option, established))
    }
}
