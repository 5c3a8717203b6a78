//! A service's login: the Noise handshake with its certificate's thumbprint inside.

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

use super::attempt::{Dialog, Opening, UNFIT};
use super::delivered;
use super::resume::Resumption;

/// What a service's login keeps between its flight and the answer.
pub(super) struct ServiceFlight {
    identity: Arc<Identity>,
    sent: Option<(Initiator, Option<KemSecret>)>,
    /// What the session key is to be sealed for, with the option `delivered-key`.
    sealed_for: Option<Vec<u8>>,
}

const UNASKED: LoginError = LoginError::Protocol("an answer to what was not asked");

impl ServiceFlight {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            sent: None,
            sealed_for: None,
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
            self.sealed_for = Some(info);
            return Ok(());
        }
        let kem = option.hybrid().then(|| KemSecret::generate(entropy));
        let mut payload = Vec::with_capacity(1_280);
        let mut hide = |command, value| risp::put(&mut payload, command, value).map_err(|_| UNFIT);
        hide(c::CERTIFICATE_ID, Value::Bytes(&thumbprint))?;
        hide(c::MAX_PACKET, Value::U32(dialog.settings.max_packet))?;
        if let Some((_, key)) = &kem {
            hide(c::KEM_KEY, Value::Bytes(key))?;
        }
        let (initiator, message) = Initiator::start(
            self.identity.agreement(),
            &dialog.settings.site.agreement,
            &dialog.transcript.digest("machine prologue"),
            option.cipher(),
            &payload,
            Some(&dialog.settings.known),
            entropy,
        )
        .map_err(|_| LoginError::Protocol("the site key cannot be agreed with"))?;
        dialog.say(out, c::HANDSHAKE, Value::Bytes(&message))?;
        self.sent = Some((initiator, kem.map(|(secret, _)| secret)));
        Ok(())
    }

    /// With the option `delivered-key`: the site has proved its key with its signature; the service proves
    /// its own by decrypting the session code.
    pub(super) fn prove(
        self,
        dialog: Dialog,
        said: &[u8; 32],
        signature: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Opening, LoginError> {
        let info = self.sealed_for.ok_or(UNASKED)?;
        let _proof = dialog.site_proved(said, signature)?;
        delivered::prove(dialog, &self.identity, &info, out)
    }

    /// Finishes the handshake: the site has proved its key when message 2 opens. `said` is the
    /// transcript before SESSION-KEY.
    pub(super) fn finish(
        self,
        mut dialog: Dialog,
        said: &Transcript,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Opening, LoginError> {
        let Some((initiator, kem)) = self.sent else {
            return Err(UNFIT);
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
        let psk = noise_psk(shared.as_ref(), said);
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
            .map_err(|_| UNFIT)?;
        Ok(Opening {
            settings: dialog.settings,
            link,
            identity: None,
            delivered: None,
            resumption: Resumption::first(established.resumption),
        })
    }
}
