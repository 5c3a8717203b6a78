//! A person's login: the first flight, and the proof once the site is authenticated.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::passphrase::{ClientLogin, Identifiers};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;

use crate::name::AccountName;
use crate::risp::Value;
use crate::session::command as c;
use crate::session::delivered::from_wire;
use crate::session::keys::{Established, login_context};
use crate::session::link::Link;
use crate::session::option::EncryptionOption;
use crate::session::proof::SiteProof;
use crate::session::refusal::LoginError;

use super::attempt::{ClientLoginAttempt, Dialog, Opening, WRONG_VALUE_TYPE};
use super::delivered;
use super::native::Native;
use super::resume::Resumption;

/// The state of a person's login between its flight and the response.
pub(super) struct PersonFlight {
    name: AccountName,
    passphrase: Passphrase,
    sent: Option<Sent>,
}

/// The part of the flight that depends on the option.
enum Sent {
    /// OPAQUE's first message, with its context.
    Opaque(Box<ClientLogin>, [u8; 32]),
    /// Nothing: the site delivers the key. This is the HPKE info of the session key.
    Delivered(Native, Vec<u8>),
}

impl PersonFlight {
    pub(super) fn new(name: AccountName, passphrase: Passphrase) -> Self {
        Self {
            name,
            passphrase,
            sent: None,
        }
    }

    pub(super) fn send(
        &mut self,
        dialog: &mut Dialog,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(), LoginError> {
        let name = self.name.to_string();
        if dialog.option == EncryptionOption::DeliveredKey {
            let native = Native::new()?;
            let who = (c::USERNAME, name.as_bytes());
            let info = delivered::send(who, dialog, entropy, out)?;
            self.sent = Some(Sent::Delivered(native, info));
            return Ok(());
        }
        let max_packet = dialog.settings.max_packet;
        dialog.send(out, c::USERNAME, Value::Bytes(name.as_bytes()))?;
        dialog.send(out, c::MAX_PACKET, Value::U32(max_packet))?;
        let suite = dialog.option.login_suite();
        let (login, start) = ClientLogin::start(suite, &self.passphrase, entropy)
            .map_err(|_| LoginError::Protocol("the pass phrase cannot be used"))?;
        let context = dialog.transcript.digest("login context");
        dialog.send(out, c::LOGIN_START, Value::Bytes(&start))?;
        self.sent = Some(Sent::Opaque(Box::new(login), context));
        Ok(())
    }
}

/// A login whose site is authenticated. The next step is the key stretching function (KSF) on the
/// pass phrase.
///
/// The step is separate because it takes a fraction of a second and 64 MiB of memory. An
/// asynchronous host runs it where blocking is allowed.
pub struct Stretch {
    dialog: Dialog,
    passphrase: Passphrase,
    sent: Sent,
    _proof: SiteProof,
}

impl Stretch {
    pub(super) fn new(
        dialog: Dialog,
        flight: PersonFlight,
        transcript_digest: &[u8; 32],
        signature: &[u8],
    ) -> Result<Self, LoginError> {
        let sent = flight.sent.ok_or(WRONG_VALUE_TYPE)?;
        let proof = dialog.verify_site_proof(transcript_digest, signature)?;
        Ok(Self {
            dialog,
            passphrase: flight.passphrase,
            sent,
            _proof: proof,
        })
    }

    /// Runs the KSF on the pass phrase, decrypts the person's identity and appends the proof to
    /// `out`.
    ///
    /// # Errors
    /// [`LoginError::NotAuthenticated`] if the pass phrase is wrong, or the account unknown or
    /// locked; the client cannot distinguish these.
    pub fn run(
        self,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ClientLoginAttempt, LoginError> {
        let Self {
            mut dialog,
            passphrase,
            sent,
            _proof,
        } = self;
        let (opaque, context) = match sent {
            Sent::Opaque(opaque, context) => (*opaque, context),
            Sent::Delivered(_, info) => return open_delivered(dialog, &passphrase, &info, out),
        };
        let (max_packet, site) = (dialog.agreed_max_packet()?, dialog.site()?);
        let (Some(session_key), Some(certificate)) = (
            dialog.answer.session_key.take(),
            dialog.answer.certificate.take(),
        ) else {
            return Err(LoginError::Protocol(
                "an answer without CERTIFICATE or SESSION-KEY",
            ));
        };
        let done = opaque
            .finish(
                &passphrase,
                &session_key,
                &login_context(&context, max_packet),
                Identifiers {
                    client: None,
                    server: Some(&site.id().0),
                },
                entropy,
            )
            .map_err(|_| LoginError::NotAuthenticated)?;
        let identity = sealed_identity::open(&certificate, &done.export_key)
            .map_err(|_| LoginError::Protocol("the person's identity does not open"))?;
        dialog.send(out, c::SESSION_PROOF, Value::Bytes(&done.ke3))?;
        let established = Established::new(
            dialog.option,
            done.session_key.expose(),
            &dialog.transcript.digest("packets"),
            max_packet,
        );
        let opening = Opening {
            site,
            link: Link::client(&established),
            settings: dialog.settings,
            identity: Some(Box::new(identity)),
            delivered: None,
            resumption: Resumption::first(established.resumption),
        };
        Ok(opening.into())
    }
}

/// Decrypts the delivered key, and the session key with it.
fn open_delivered(
    mut dialog: Dialog,
    passphrase: &Passphrase,
    info: &[u8],
    out: &mut Vec<u8>,
) -> Result<ClientLoginAttempt, LoginError> {
    let certificate = dialog.answer.certificate.take();
    let delivered = certificate.as_deref().and_then(from_wire);
    let delivered = delivered.ok_or(LoginError::Protocol("CERTIFICATE delivers no key"))?;
    let identity = delivered
        .open(passphrase)
        .map_err(|_| LoginError::NotAuthenticated)?;
    let opening = delivered::prove(dialog, &identity, info, out)?;
    let opening = Opening {
        identity: Some(Box::new(identity)),
        delivered: Some(Box::new(delivered)),
        ..opening
    };
    Ok(opening.into())
}
