//! The option `delivered-key`: a name or a thumbprint in the clear, and the proof that the session code was
//! decrypted with the key that belongs to it.

use countersign_crypto::identity::Identity;
use countersign_crypto::sealing;

use crate::risp::Value;
use crate::session::command as c;
use crate::session::delivered::SessionSecrets;
use crate::session::flight::client_says;
use crate::session::keys::Established;
use crate::session::link::Link;
use crate::session::option::EncryptionOption;
use crate::session::refusal::LoginError;

use super::login::Login;
use super::resume::Resumption;

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
    .map_err(|_| LoginError::Protocol("a value that does not fit its command"))?;
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
