//! The option `delivered-key`: a plaintext name or thumbprint, and the proof that the client
//! decrypted the session code with the account's key.

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::identity::Identity;
use countersign_crypto::sealing;

use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::delivered::{NONCE, SessionSecrets, sealing_info};
use crate::session::keys::Established;
use crate::session::link::Link;
use crate::session::option::EncryptionOption;
use crate::session::refusal::LoginError;

use super::attempt::{Dialog, Opening};
use super::resume::Resumption;

/// Appends the flight to `out`. Returns the HPKE info of the session key, which binds it to this
/// flight, so that an attacker cannot replay a response to another login.
pub(super) fn send(
    who: (Command, &[u8]),
    dialog: &mut Dialog,
    entropy: &mut dyn Entropy,
    out: &mut Vec<u8>,
) -> Result<Vec<u8>, LoginError> {
    let nonce: [u8; NONCE] = fresh(entropy);
    let max_packet = dialog.settings.max_packet;
    let (command, name) = who;
    dialog.send(out, c::NONCE, Value::Bytes(&nonce))?;
    dialog.send(out, c::MAX_PACKET, Value::U32(max_packet))?;
    // This command is last, since the site responds as soon as it has it.
    dialog.send(out, command, Value::Bytes(name))?;
    Ok(sealing_info(&dialog.transcript))
}

/// Decrypts the session key, sends the proof, and derives the session's keys. `info` is the HPKE
/// info.
pub(super) fn prove(
    mut dialog: Dialog,
    identity: &Identity,
    info: &[u8],
    out: &mut Vec<u8>,
) -> Result<Opening, LoginError> {
    let max_packet = dialog.agreed_max_packet()?;
    let sealed = dialog.answer.session_key.take();
    let sealed = sealed.ok_or(LoginError::Protocol("an answer without SESSION-KEY"))?;
    let secrets = sealing::open(identity.agreement(), info, &sealed)
        .ok()
        .and_then(|bytes| SessionSecrets::from_bytes(&bytes))
        .ok_or(LoginError::NotAuthenticated)?;
    let proof = secrets.proof(&dialog.transcript);
    dialog.send(out, c::SESSION_PROOF, Value::Bytes(proof.expose()))?;
    let established = Established::new(
        EncryptionOption::DeliveredKey,
        secrets.key.expose(),
        &dialog.transcript.digest("packets"),
        max_packet,
    );
    Ok(Opening {
        site: dialog.site()?,
        link: Link::client(&established),
        settings: dialog.settings,
        identity: None,
        delivered: None,
        resumption: Resumption::first(established.resumption),
    })
}
