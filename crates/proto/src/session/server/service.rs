//! A service's login: the Noise handshake, and its confirmation.

use std::sync::Arc;

use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::Entropy;
use countersign_crypto::kem;
use countersign_crypto::noise::{Responder, StaticKeyCache, StaticKeySecret};

use crate::risp::{self, Reader, Value};
use crate::session::command as c;
use crate::session::flight::put_as_server;
use crate::session::keys::{ResumptionSecret, noise_established, noise_psk};
use crate::session::limits::BeforeLogin;
use crate::session::link::Link;
use crate::session::option::EncryptionOption;
use crate::session::proof::KeyProof;
use crate::session::refusal::{SessionRefusal, WireError};

use super::attempt::Awaiting;
use super::authenticated::{Authenticated, AuthenticatedBy};
use super::partial_flight::asked_max_packet;
use super::{AccountTag, ServerLoginAttempt, ServiceCredential};

/// A login that needs a service's credential.
pub struct FindService {
    login: ServerLoginAttempt,
    option: EncryptionOption,
    responder: Responder,
    proved: AgreementPublic,
    claims: Claims,
}

/// The encrypted contents of the service's first message.
struct Claims {
    thumbprint: Thumbprint,
    max_packet: Option<u32>,
    kem_key: Option<Vec<u8>>,
}

impl FindService {
    pub(super) fn read(
        mut login: ServerLoginAttempt,
        option: EncryptionOption,
        prologue: &[u8; 32],
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Self, SessionRefusal> {
        let settings = &login.settings;
        let read = Responder::read(
            settings.key.agreement(),
            prologue,
            option.cipher(),
            message,
            Some(&settings.static_keys),
        );
        let (responder, payload, proved) = read.map_err(|_| login.refuse_other_key(out))?;
        let claims = Claims::read(&payload)?;
        Ok(Self {
            login,
            option,
            responder,
            proved,
            claims,
        })
    }

    /// The thumbprint of the certificate that the service claims to have.
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.claims.thumbprint
    }

    /// Responds with KEM-CIPHERTEXT (hybrid options) and SESSION-KEY. Without a credential, or with
    /// one for another key, the response has the same form, and the refusal follows in the first
    /// packet.
    ///
    /// # Errors
    /// [`SessionRefusal::BadLogin`] if the service's ML-KEM key is missing or malformed.
    /// [`SessionRefusal::TooManyUnauthenticated`] if the client already received too many bytes.
    pub fn answer(
        self,
        credential: Option<&ServiceCredential>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ServerLoginAttempt, SessionRefusal> {
        let Self {
            mut login,
            option,
            responder,
            proved,
            claims,
        } = self;
        let account = credential.and_then(|credential| {
            let proof = KeyProof::by_handshake(&credential.agreement, &proved)?;
            Some((
                credential.account,
                AuthenticatedBy::Key(claims.thumbprint, proof),
            ))
        });
        login.answer_key_events(out)?;
        let start = out.len();
        let transcript = &mut login.transcript;
        let shared = match (option.hybrid(), claims.kem_key) {
            (true, Some(key)) => {
                let (ciphertext, shared) = kem::encapsulate(&key, entropy)
                    .map_err(|_| SessionRefusal::BadLogin("KEM-KEY is no ML-KEM-768 key"))?;
                put_as_server(
                    transcript,
                    out,
                    c::KEM_CIPHERTEXT,
                    Value::Bytes(&ciphertext),
                )?;
                Some(shared)
            }
            (true, None) => {
                return Err(SessionRefusal::BadLogin("a hybrid option without KEM-KEY"));
            }
            (false, _) => None,
        };
        let psk = noise_psk(shared.as_ref(), transcript);
        let max_packet = login.agreed_max_packet(claims.max_packet);
        let mut payload = Vec::with_capacity(6);
        risp::put(&mut payload, c::MAX_PACKET, Value::U32(max_packet))
            .map_err(|_| SessionRefusal::BadLogin("an answer that does not fit"))?;
        let static_key = responder.static_secret();
        let (message, keys) = responder
            .finish(&psk, &payload, entropy)
            .map_err(|_| SessionRefusal::BadLogin("the handshake failed"))?;
        put_as_server(
            &mut login.transcript,
            out,
            c::SESSION_KEY,
            Value::Bytes(&message),
        )?;
        login.count_answer(start, out)?;
        let established = noise_established(option, &keys, &login.transcript, max_packet);
        let link = Link::server(&established);
        let known = login.settings.static_keys.clone();
        Ok(
            login.awaiting(Awaiting::Confirmation(Box::new(AwaitingConfirmation {
                static_keys: known,
                static_key,
                link,
                resumption: established.resumption,
                account,
                option,
            }))),
        )
    }
}

impl Claims {
    fn read(payload: &[u8]) -> Result<Self, SessionRefusal> {
        let (mut thumbprint, mut max_packet, mut kem_key) = (None, None, None);
        let mut reader = Reader::new(payload, &BeforeLogin);
        for step in reader.by_ref() {
            match step? {
                (c::CERTIFICATE_ID, Value::Bytes(id)) => thumbprint = id.try_into().ok(),
                (c::MAX_PACKET, Value::U32(bytes)) => max_packet = Some(asked_max_packet(bytes)?),
                (c::KEM_KEY, Value::Bytes(key)) => kem_key = Some(key.to_vec()),
                _ => {}
            }
        }
        if reader.consumed() != payload.len() {
            return Err(SessionRefusal::BadLogin(
                "a handshake payload that ends inside a command",
            ));
        }
        let thumbprint = thumbprint.ok_or(SessionRefusal::BadLogin(
            "a handshake without CERTIFICATE-ID",
        ))?;
        Ok(Self {
            thumbprint: Thumbprint(thumbprint),
            max_packet,
            kem_key,
        })
    }
}

/// The response was sent. The client's first packet will confirm that the handshake was not
/// replayed.
pub(super) struct AwaitingConfirmation {
    static_keys: Arc<StaticKeyCache>,
    static_key: Arc<StaticKeySecret>,
    link: Link,
    resumption: ResumptionSecret,
    account: Option<(AccountTag, AuthenticatedBy)>,
    option: EncryptionOption,
}

/// The result of reading the first packet.
pub(super) enum Confirmation {
    /// The packet is incomplete.
    Incomplete(Box<AwaitingConfirmation>),
    /// The packet confirms the login. The number is its length in bytes.
    Confirmed(Box<Authenticated>, usize),
    /// The login is refused, and the output contains the refusal. The number is the packet's length
    /// in bytes.
    Refused(usize),
}

impl AwaitingConfirmation {
    /// Reads the first packet.
    pub(super) fn receive(
        mut self: Box<Self>,
        input: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Confirmation, SessionRefusal> {
        let mut early = Vec::new();
        let used = self.link.receive(input, &mut early)?;
        if used == 0 {
            return Ok(Confirmation::Incomplete(self));
        }
        let Some((account, how)) = self.account else {
            self.link.send_refusal(WireError::NotAuthenticated)?;
            self.link.flush(out)?;
            return Ok(Confirmation::Refused(used));
        };
        // Only now: a replayed HANDSHAKE must not change the cache.
        self.static_keys.remember(&self.static_key);
        let authenticated = Authenticated {
            account,
            how,
            option: self.option,
            link: self.link,
            resumption: self.resumption,
            early,
        };
        Ok(Confirmation::Confirmed(Box::new(authenticated), used))
    }
}
