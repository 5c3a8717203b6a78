//! `self.proof_start` and `self.proof_finish`: a fresh proof, bound to the session, of the pass phrase or key
//! that the session was opened with. What an account logs in with is changed by itself after such a proof
//! alone: a stolen session is not enough.
//!
//! Each proof that begins counts as a guess at the account's pass phrase, in the same budget as logins, and is
//! audited. One that would have to wait is refused until it has.

use std::net::{Ipv4Addr, SocketAddr};

use countersign_crypto::certificate::{Certificate, Thumbprint};
use countersign_crypto::entropy::fresh as fresh_bytes;
use countersign_crypto::passphrase::{Identifiers, ServerLogin};
use countersign_crypto::sign::Signature;
use countersign_proto::session::{SessionId as ProtocolId, fresh};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Done;
use crate::access::Role;
use crate::audit::AuditOutcome;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::AccountId;
use crate::sessions::{Challenge, CloseReason, Fresh, Proof, SessionInfo};
use crate::text::Base64Url;
use crate::throttle::{Rate, Source};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("self", "proof_start")
            .summary("Begins a fresh proof of your pass phrase or key, for one change of what you log in with.")
            .allow_own(&Role::ALL)
            .changes()
            .public_key()
            .example(json!({ "ke1": "…" }))
            .handler(start),
        Entry::new("self", "proof_finish")
            .summary("Finishes a fresh proof; it is good for one change within two minutes.")
            .allow_own(&Role::ALL)
            .changes()
            .public_key()
            .example(json!({ "ke3": "…" }))
            .handler(finish),
    ]
}

/// A proof that begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Start {
    /// OPAQUE's first message, of the hybrid suite; left out where the session was opened with a key.
    ke1: Option<Base64Url>,
}

/// What the proof is to answer: one of these.
#[derive(Debug, Serialize, JsonSchema)]
struct Asked {
    /// OPAQUE's second message, where the session was opened with a pass phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    ke2: Option<Base64Url>,
    /// What is to be signed, where the session was opened with a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<Base64Url>,
}

/// The proof: one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Finish {
    /// OPAQUE's third message.
    ke3: Option<Base64Url>,
    /// The signature (Ed25519) by the key that the session was opened with.
    signature: Option<Base64Url>,
}

async fn start(context: Context, params: Start) -> Result<Answer<Asked>, Refusal> {
    let session = session(&context)?;
    match (session.proof, &params.ke1) {
        (Proof::Passphrase, None) => Err(Refusal::invalid(
            "ke1",
            "this session was opened with a pass phrase: send OPAQUE's first message",
        )),
        (Proof::Device(_), _) => Err(no_proof()),
        (Proof::Key(_) | Proof::DeliveredKey(_), Some(_)) => Err(Refusal::invalid(
            "ke1",
            "this session was opened with a key, which is what is proved: leave it out",
        )),
        _ => Ok(()),
    }?;
    if !with(&context, |fresh| fresh.may_begin())? {
        context
            .site()
            .sessions()
            .cut(session.id, CloseReason::NotProved);
        return Err(Refusal::not_permitted(
            "too many proofs in this session were begun and none of them holds: the session is over",
            "log in again",
        ));
    }
    context.rate(Rate::Began(session.account), "proofs")?;
    let (challenge, asked) = match (session.proof, params.ke1) {
        (Proof::Key(key) | Proof::DeliveredKey(key), _) => {
            let challenge = fresh_bytes(&mut context.site().entropy());
            let asked = Asked {
                ke2: None,
                challenge: Some(Base64Url(challenge.to_vec())),
            };
            (Challenge::Key(key, challenge), asked)
        }
        (Proof::Device(_), _) => return Err(no_proof()),
        (Proof::Passphrase, ke1) => {
            guess(&context, &session)?;
            let ke1 = ke1.map(|ke1| ke1.0).unwrap_or_default();
            let (login, ke2) = opaque(&context, &session, &ke1).await?;
            let asked = Asked {
                ke2: Some(Base64Url(ke2)),
                challenge: None,
            };
            (Challenge::Passphrase(Box::new(login)), asked)
        }
    };
    // An attacker learns from the answer whether the guess was right: no answer goes out that is not audited.
    let (target, details) = (session.name.to_string(), json!({ "session": session.id }));
    context.commit(Vec::new(), target, details).await?;
    with(&context, |fresh| fresh.ask(challenge, context.now()))?;
    Ok(Answer::new(asked))
}

async fn finish(context: Context, params: Finish) -> Result<Answer<Done>, Refusal> {
    let session = session(&context)?;
    let asked = with(&context, |fresh| fresh.asked(context.now()))?.ok_or_else(|| {
        Refusal::conflict(
            "no proof was begun in this session within the last two minutes",
            "begin one with self.proof_start",
        )
    })?;
    let by_passphrase = matches!(asked, Challenge::Passphrase(_));
    let holds = match (asked, params.ke3, params.signature) {
        (Challenge::Passphrase(login), Some(ke3), None) => login.finish(&ke3.0).is_ok(),
        (Challenge::Key(key, challenge), None, Some(signature)) => {
            signed(&context, &session, (key, challenge), &signature.0).await?
        }
        (Challenge::Passphrase(_), ..) => return Err(Refusal::invalid("ke3", "is to be given")),
        (Challenge::Key(..), ..) => return Err(Refusal::invalid("signature", "is to be given")),
    };
    let outcome = match holds {
        true => AuditOutcome::Done,
        false => AuditOutcome::NotPermitted,
    };
    let (target, details) = (session.name.to_string(), json!({ "session": session.id }));
    context.audit(target, details, outcome).await?;
    if !holds {
        return Err(Refusal::not_permitted(
            "the proof does not hold",
            "begin again with self.proof_start; each failure makes the next wait longer",
        )
        .audited_already());
    }
    if by_passphrase {
        let mut logins = context.site().throttle().logins();
        logins.succeeded(&session.name.to_string(), source(&session), context.now());
    }
    if !with(&context, |fresh| fresh.prove(context.now()))? {
        return Err(Refusal::conflict(
            "the session went on over another connection, or another proof was begun, before this one was verified",
            "begin again with self.proof_start",
        ));
    }
    Ok(Answer::new(Done {}).saying("Proved. It is good for one change within two minutes."))
}

/// Checks that a caller who changes the credential of their own account has made a fresh proof.
pub(super) fn expect(context: &Context, account: AccountId) -> Result<(), Refusal> {
    required(context, account, |fresh, now| fresh.is_proved(now))
}

/// As [`expect`]; the proof is spent.
pub(super) fn spend(context: &Context, account: AccountId) -> Result<(), Refusal> {
    required(context, account, Fresh::spend)
}

fn required(
    context: &Context,
    account: AccountId,
    proved: impl FnOnce(&mut Fresh, crate::timestamp::Timestamp) -> bool,
) -> Result<(), Refusal> {
    if context.caller().account != Some(account) {
        return Ok(());
    }
    if with(context, |fresh| proved(fresh, context.now()))? {
        return Ok(());
    }
    Err(Refusal::not_permitted(
        "what you log in with is changed after a fresh proof of it alone",
        "`countersign passphrase change --as NAME` does it; a program proves it with self.proof_start and \
         self.proof_finish, and repeats this within two minutes",
    ))
}

fn session(context: &Context) -> Result<SessionInfo, Refusal> {
    let found = context.caller().session;
    found
        .and_then(|id| context.site().sessions().find(id))
        .ok_or_else(over)
}

fn with<T>(context: &Context, change: impl FnOnce(&mut Fresh) -> T) -> Result<T, Refusal> {
    let id = context.caller().session;
    id.and_then(|id| context.site().sessions().fresh(id, change))
        .ok_or_else(over)
}

/// The table grants devices no proof; an embedding application's table may.
fn no_proof() -> Refusal {
    Refusal::not_permitted(
        "a device proves its key when it connects, and nothing afterwards",
        "log in with your pass phrase to change what you log in with",
    )
}

fn over() -> Refusal {
    Refusal::not_permitted("there is no session to prove anything in", "log in first")
}

/// Counts a guess at the pass phrase of the session's account, as a login from there does. What would have
/// to wait is refused; it was counted, and is not counted again once it has waited.
fn guess(context: &Context, session: &SessionInfo) -> Result<(), Refusal> {
    let now = context.now();
    let wait = match with(context, |fresh| fresh.waits(now))? {
        Some(left) => left,
        None => {
            let name = session.name.to_string();
            let mut logins = context.site().throttle().logins();
            let counted = logins.attempt(&name, source(session), now);
            drop(logins);
            let wait = counted.map_err(|error| Refusal::busy(error.to_string()))?;
            if wait > 0 {
                with(context, |fresh| fresh.wait(now, wait))?;
            }
            wait
        }
    };
    match wait {
        0 => Ok(()),
        wait => Err(Refusal::busy_for(
            "proofs of this pass phrase failed before, and the next one has to wait",
            wait,
        )),
    }
}

fn source(session: &SessionInfo) -> Source {
    let peer = session.peer.parse::<SocketAddr>();
    peer.map_or(Source::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().into())
}

/// Answers KE1 for the record that the account has now.
async fn opaque(
    context: &Context,
    session: &SessionInfo,
    ke1: &[u8],
) -> Result<(ServerLogin, Vec<u8>), Refusal> {
    let site = context.site();
    let found = site.person_for_login(&session.name).await?;
    let login = found
        .filter(|login| login.account == session.account)
        .ok_or_else(|| {
            Refusal::conflict(
                "there is no pass phrase of yours to prove",
                "an admin sets one with `countersign person passphrase NAME`",
            )
        })?;
    ServerLogin::start(
        fresh::SUITE,
        &login.setup,
        Some(&login.record),
        &login.credential_id.0,
        ke1,
        &fresh::passphrase_context(&ProtocolId(*session.id.as_bytes())),
        Identifiers {
            client: None,
            server: Some(&site.public_key().to_bytes()),
        },
        &mut site.entropy(),
    )
    .map_err(|error| Refusal::invalid("ke1", error))
}

/// Whether the key that the session was opened with is still the account's, and signed the challenge.
async fn signed(
    context: &Context,
    session: &SessionInfo,
    (key, challenge): (Thumbprint, [u8; 32]),
    signature: &[u8],
) -> Result<bool, Refusal> {
    let store = context.site().store();
    let certificate = match session.proof {
        Proof::DeliveredKey(_) => {
            let kept = store.delivered_key(session.account).await?;
            kept.map(|kept| kept.key.certificate().clone())
        }
        Proof::Device(_) => None,
        Proof::Key(_) | Proof::Passphrase => {
            let found = store.key_login(&key).await?;
            let own = found.filter(|(account, _)| account.id == session.account);
            own.and_then(|(_, key)| Certificate::from_der(&key.certificate).ok())
        }
    };
    let certificate = certificate.filter(|certificate| certificate.thumbprint() == key);
    let (Some(certificate), Ok(signature)) = (certificate, signature.try_into()) else {
        return Ok(false);
    };
    let session = ProtocolId(*session.id.as_bytes());
    let message = fresh::key_message(&context.site().public_key(), &session, &challenge);
    let verified = certificate
        .signing()
        .verify(&message, &Signature(signature));
    Ok(verified.is_ok())
}
