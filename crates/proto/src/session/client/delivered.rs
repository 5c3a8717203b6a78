//! The option `delivered-key`: a name or a thumbprint in the clear, and the proof that the session code was
//! decrypted with the key that belongs to it.

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::identity::Identity;
use countersign_crypto::sealing;

use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::delivered::{NONCE, SessionSecrets, sealing_info};
use crate::session::flight::client_says;
use crate::session::keys::Established;
use crate::session::link::Link;
use crate::session::option::EncryptionOption;
use crate::session::refusal::LoginError;
use crate::session::transcript::Transcript;

use super::login::Login;
use super::resume::Resumption;

/// Says who logs in, and appends the flight to `out`. Gives what the session key is to be sealed for: this
/// flight and no other, so that nobody can answer with what they recorded of another login.
pub(super) fn send(
    who: (Command, &[u8]),
    max_packet: u32,
    transcript: &mut Transcript,
    entropy: &mut dyn Entropy,
    out: &mut Vec<u8>,
) -> Result<Vec<u8>, LoginError> {
    let nonce: [u8; NONCE] = fresh(entropy);
    let (command, name) = who;
    let flight = [
        (c::NONCE, Value::Bytes(&nonce)),
        (c::MAX_PACKET, Value::U32(max_packet)),
        // The site answers as soon as it knows who.
        (command, Value::Bytes(name)),
    ];
    for (command, value) in flight {
        client_says(transcript, out, command, value).map_err(|_| UNFIT)?;
    }
    Ok(sealing_info(transcript))
}

const UNFIT: LoginError = LoginError::Protocol("a value that does not fit its command");

/// Decrypts the session key, proves it and opens the session. `info` is what it was sealed for.
pub(super) fn prove(
    mut login: Login,
    identity: &Identity,
    info: &[u8],
    out: &mut Vec<u8>,
) -> Result<(Login, Link, Resumption), LoginError> {
    let max_packet = login.agreed_max_packet()?;
    let sealed = login.answer.session_key.take();
    let sealed = sealed.ok_or(LoginError::Protocol("an answer without SESSION-KEY"))?;
    let secrets = sealing::open(identity.agreement(), info, &sealed)
        .ok()
        .and_then(|bytes| SessionSecrets::from_bytes(&bytes))
        .ok_or(LoginError::NotAuthenticated)?;
    let proof = secrets.proof(&login.transcript);
    client_says(
        &mut login.transcript,
        out,
        c::SESSION_PROOF,
        Value::Bytes(proof.expose()),
    )
    .map_err(|_| UNFIT)?;
    let established = Established::new(
        EncryptionOption::DeliveredKey,
        secrets.key.expose(),
        &login.transcript.digest("packets"),
        max_packet,
    );
    let link = Link::client(&established);
    let resumption = Resumption::first(established.resumption);
    Ok((login, link, resumption))
}
