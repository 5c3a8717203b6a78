//! A service's login: the Noise handshake, which carries the certificate's thumbprint encrypted.

use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::kem::KemSecret;
use countersign_crypto::noise::Initiator;

use crate::risp::{self, Reader, Value};
use crate::session::command as c;
use crate::session::keys::{noise_established, noise_psk};
use crate::session::limits::BeforeLogin;
use crate::session::link::Link;
use crate::session::option::EncryptionOption;
use crate::session::proof::SiteProof;
use crate::session::refusal::LoginError;
use crate::session::transcript::Transcript;

use super::attempt::{Dialog, Opening, WRONG_VALUE_TYPE};
use super::delivered;
use super::resume::Resumption;

/// The state of a service's login between its flight and the response.
pub(super) struct ServiceFlight {
    identity: Arc<Identity>,
    sent: Option<(Initiator, Option<KemSecret>)>,
    /// The HPKE info of the session key, with the option `delivered-key`.
    sealing_info: Option<Vec<u8>>,
}

const UNEXPECTED_FIELD: LoginError =
    LoginError::Protocol("the server sent a field that the client did not request");

impl ServiceFlight {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            sent: None,
            sealing_info: None,
        }
    }

    pub(super) fn send(
        &mut self,
        dialog: &mut Dialog,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(), LoginError> {
        let thumbprint = self.identity.certificate().thumbprint().0;
        let option = dialog.option;
        if option == EncryptionOption::DeliveredKey {
            let who = (c::CERTIFICATE_ID, &thumbprint[..]);
            let info = delivered::send(who, dialog, entropy, out)?;
            self.sealing_info = Some(info);
            return Ok(());
        }
        let kem = option.hybrid().then(|| KemSecret::generate(entropy));
        let mut payload = Vec::with_capacity(1_280);
        let mut hide =
            |command, value| risp::put(&mut payload, command, value).map_err(|_| WRONG_VALUE_TYPE);
        hide(c::CERTIFICATE_ID, Value::Bytes(&thumbprint))?;
        hide(c::MAX_PACKET, Value::U32(dialog.settings.max_packet))?;
        if let Some((_, key)) = &kem {
            hide(c::KEM_KEY, Value::Bytes(key))?;
        }
        let (initiator, message) = Initiator::start(
            self.identity.agreement(),
            &dialog.settings.expected_keys().agreement,
            &dialog.transcript.digest("machine prologue"),
            option.cipher(),
            &payload,
            Some(&dialog.settings.static_keys),
            entropy,
        )
        .map_err(|_| LoginError::Protocol("the site key cannot be agreed with"))?;
        dialog.send(out, c::HANDSHAKE, Value::Bytes(&message))?;
        self.sent = Some((initiator, kem.map(|(secret, _)| secret)));
        Ok(())
    }

    /// With the option `delivered-key`: the site's signature authenticated it. The service
    /// authenticates by decrypting the session code.
    pub(super) fn prove(
        self,
        dialog: Dialog,
        transcript_digest: &[u8; 32],
        signature: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Opening, LoginError> {
        let info = self.sealing_info.ok_or(UNEXPECTED_FIELD)?;
        let _proof = dialog.verify_site_proof(transcript_digest, signature)?;
        delivered::prove(dialog, &self.identity, &info, out)
    }

    /// Completes the handshake. Decrypting message 2 authenticates the site. The given transcript
    /// ends before SESSION-KEY.
    pub(super) fn finish(
        self,
        mut dialog: Dialog,
        transcript: &Transcript,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Opening, LoginError> {
        let site = dialog.site()?;
        let Some((initiator, kem)) = self.sent else {
            return Err(WRONG_VALUE_TYPE);
        };
        let shared = match (kem, dialog.answer.kem_ciphertext.take()) {
            (Some(secret), Some(ciphertext)) => Some(
                secret
                    .decapsulate(&ciphertext)
                    .map_err(|_| LoginError::WrongSite)?,
            ),
            (Some(_), None) => {
                return Err(LoginError::Protocol("an answer without KEM-CIPHERTEXT"));
            }
            (None, _) => None,
        };
        let psk = noise_psk(shared.as_ref(), transcript);
        let (payload, keys) = initiator
            .finish(&psk, message)
            .map_err(|_| LoginError::WrongSite)?;
        let _proof = SiteProof::by_handshake(&keys);
        for step in Reader::new(&payload, &BeforeLogin) {
            if let (c::MAX_PACKET, Value::U32(bytes)) = step? {
                dialog.answer.max_packet = Some(bytes);
            }
        }
        let max_packet = dialog.agreed_max_packet()?;
        let established = noise_established(dialog.option, &keys, &dialog.transcript, max_packet);
        let mut link = Link::client(&established);
        link.send_nop()
            .and_then(|()| link.flush(out))
            .map_err(|_| WRONG_VALUE_TYPE)?;
        Ok(Opening {
            site,
            settings: dialog.settings,
            link,
            identity: None,
            delivered: None,
            resumption: Resumption::first(established.resumption),
        })
    }
}
