//! `self.proof_start` and `self.proof_finish`: a fresh proof that the caller knows the pass phrase
//! or has the key that the session was opened with. The proof is bound to the session. An account
//! can change its own credentials only after such a proof, so a stolen session is not enough.
//!
//! Each proof of a pass phrase that starts counts as a login attempt in the login throttle, and is
//! audited. The site refuses an attempt that the throttle delays, until the delay has passed.

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
use crate::sessions::{Challenge, CloseReason, FreshProof, NewChallenge, Proof, SessionInfo};
use crate::store::Notice;
use crate::text::Base64Url;
use crate::throttle::{Rate, Source};

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("self", "proof_start")
            .for_programs()
            .summary("Starts a fresh proof of your pass phrase or key. One change of your credentials needs one proof.")
            .allow_own(&Role::ALL)
            .changes()
            .public_key()
            .no_rest("it needs a fresh proof, which is bound to a session")
            .example(json!({ "ke1": "…" }))
            .handler(start),
        Entry::new("self", "proof_finish")
            .for_programs()
            .summary("Finishes a fresh proof, which is valid for one change within two minutes.")
            .allow_own(&Role::ALL)
            .changes()
            // Not counted as public-key work: one can be finished for each that was started, and a
            // stolen session that finishes none must not use up what the owner needs to start one.
            .no_rest("it needs a fresh proof, which is bound to a session")
            .example(json!({ "ke3": "…" }))
            .handler(finish),
    ]
}

/// Starts a proof.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Start {
    /// OPAQUE's first message, of the hybrid suite. Leave it out if the session was opened with a
    /// key.
    ke1: Option<Base64Url>,
}

/// What the client has to answer; one of the two fields is present.
#[derive(Debug, Serialize, JsonSchema)]
struct StartedProof {
    /// OPAQUE's second message, if the session was opened with a pass phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    ke2: Option<Base64Url>,
    /// The challenge to sign, if the session was opened with a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<Base64Url>,
}

/// The proof; exactly one of the two fields.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Finish {
    /// OPAQUE's third message, if the session was opened with a pass phrase.
    ke3: Option<Base64Url>,
    /// The Ed25519 signature by the key that the session was opened with.
    signature: Option<Base64Url>,
}

async fn start(context: Context, params: Start) -> Result<Answer<StartedProof>, Refusal> {
    let session = session(&context)?;
    match (session.proof, &params.ke1) {
        (Proof::Passphrase, None) => Err(Refusal::invalid(
            "ke1",
            "is missing: this session was opened with a pass phrase, so send OPAQUE's first message",
        )),
        (Proof::Device(_), _) => Err(no_proof()),
        (Proof::Key(_) | Proof::DeliveredKey(_), Some(_)) => Err(Refusal::invalid(
            "ke1",
            "must be left out: this session was opened with a key, and the proof is a signature",
        )),
        _ => Ok(()),
    }?;
    let (may_start, resumptions) =
        with(&context, |fresh| (fresh.may_start(), fresh.resumptions()))?;
    if !may_start {
        context
            .site()
            .sessions()
            .cut(session.id, CloseReason::NotProved);
        return Err(Refusal::not_permitted(
            "too many proofs failed in this session, so it was closed",
            "log in again",
        ));
    }
    context.rate(Rate::StartedBy(session.account), "fresh proofs")?;
    let (challenge, started) = match (session.proof, params.ke1) {
        (Proof::Key(key) | Proof::DeliveredKey(key), _) => {
            let challenge = fresh_bytes(&mut context.site().entropy());
            let started = StartedProof {
                ke2: None,
                challenge: Some(Base64Url(challenge.to_vec())),
            };
            (Challenge::Key(key, challenge), started)
        }
        (Proof::Device(_), _) => return Err(no_proof()),
        (Proof::Passphrase, ke1) => {
            count_attempt(&context, &session)?;
            let ke1 = ke1.map(|ke1| ke1.0).unwrap_or_default();
            let (login, ke2) = opaque(&context, &session, &ke1).await?;
            let started = StartedProof {
                ke2: Some(Base64Url(ke2)),
                challenge: None,
            };
            (Challenge::Passphrase(Box::new(login)), started)
        }
    };
    let notice = Notice::ProofStarted {
        session: session.id,
        resumptions,
        challenge: NewChallenge::new(challenge),
        at: context.now(),
    };
    // The client learns from the answer whether its guess was right. So the answer is sent only
    // after the audit entry is stored.
    let (target, details) = (session.name.to_string(), json!({ "session": session.id }));
    let committed = context.commit(notice, target, details).await?;
    match committed.effects.proofs_changed {
        0 => Err(Refusal::conflict(
            "the session ended or moved to another connection, or too many proofs were started at the same time",
            "start again with self.proof_start, or log in again",
        )),
        _ => Ok(Answer::new(started)),
    }
}

async fn finish(context: Context, params: Finish) -> Result<Answer<Done>, Refusal> {
    let session = session(&context)?;
    let (number, challenge) = with(&context, |fresh| fresh.take_challenge(context.now()))?
        .ok_or_else(|| {
            Refusal::conflict(
                "no proof was started in this session within the last two minutes",
                "start one with self.proof_start",
            )
        })?;
    let by_passphrase = matches!(challenge, Challenge::Passphrase(_));
    let valid = match (challenge, params.ke3, params.signature) {
        (Challenge::Passphrase(login), Some(ke3), None) => login.finish(&ke3.0).is_ok(),
        (Challenge::Key(key, challenge), None, Some(signature)) => {
            signed(&context, &session, (key, challenge), &signature.0).await?
        }
        (Challenge::Passphrase(_), ..) => return Err(Refusal::invalid("ke3", "is missing")),
        (Challenge::Key(..), ..) => return Err(Refusal::invalid("signature", "is missing")),
    };
    let (target, details) = (session.name.to_string(), json!({ "session": session.id }));
    if !valid {
        let outcome = AuditOutcome::NotPermitted;
        context.audit(target, details, outcome).await?;
        return Err(Refusal::not_permitted(
            "the proof is wrong",
            "start again with self.proof_start; each failure increases the delay before the next attempt",
        )
        .audited_already());
    }
    let notice = Notice::ProofVerified {
        session: session.id,
        number,
        login: by_passphrase.then(|| (session.name.to_string(), source(&session))),
        at: context.now(),
    };
    let committed = context.commit(notice, target, details).await?;
    if committed.effects.proofs_changed == 0 {
        return Err(Refusal::conflict(
            "the session moved to another connection, or another proof was started, before this one was verified",
            "start again with self.proof_start",
        ));
    }
    Ok(Answer::new(Done {})
        .with_output("The proof is valid. It allows one change within two minutes."))
}

/// Checks that a caller who changes the credentials of their own account has a valid fresh proof.
pub(super) fn require(context: &Context, account: AccountId) -> Result<(), Refusal> {
    required(context, account, |fresh, now| fresh.is_valid(now))
}

/// Like [`require`], and uses the proof up.
pub(super) fn consume(context: &Context, account: AccountId) -> Result<(), Refusal> {
    required(context, account, FreshProof::consume)
}

/// Like [`consume`], for a change of the caller's own email addresses, to which alarms go.
/// `field` is the parameter with the addresses.
pub(super) fn consume_for_emails(
    context: &Context,
    account: AccountId,
    field: &str,
) -> Result<(), Refusal> {
    consume(context, account).map_err(|_| {
        Refusal::not_permitted(
            "changing your own email addresses needs a fresh proof, because alarms go there",
            "ask an admin to change them; a program makes a proof with self.proof_start and self.proof_finish and \
            then repeats this operation within two minutes",
        )
        .of_field(field)
    })
}

/// Like [`consume`], for a change of where the caller's own alarms go. `field` is the parameter that
/// changes it.
pub(super) fn consume_for_alarms(
    context: &Context,
    account: AccountId,
    field: &str,
) -> Result<(), Refusal> {
    consume(context, account).map_err(|_| {
        Refusal::not_permitted(
            "changing where your own alarms go needs a fresh proof",
            "use `countersign call --prove GROUP COMMAND`; a program makes a proof with self.proof_start and \
            self.proof_finish and then repeats this operation within two minutes",
        )
        .of_field(field)
    })
}

fn required(
    context: &Context,
    account: AccountId,
    check: impl FnOnce(&mut FreshProof, crate::timestamp::Timestamp) -> bool,
) -> Result<(), Refusal> {
    if context.caller().account != Some(account) {
        return Ok(());
    }
    if with(context, |fresh| check(fresh, context.now()))? {
        return Ok(());
    }
    Err(Refusal::not_permitted(
        "changing your own credentials needs a fresh proof",
        "use `self passphrase_start --as NAME`; a program makes a proof with self.proof_start and \
        self.proof_finish and then repeats this operation within two minutes",
    ))
}

fn session(context: &Context) -> Result<SessionInfo, Refusal> {
    let found = context.caller().session;
    found
        .and_then(|id| context.site().sessions().find(id))
        .ok_or_else(over)
}

fn with<T>(context: &Context, change: impl FnOnce(&mut FreshProof) -> T) -> Result<T, Refusal> {
    let id = context.caller().session;
    id.and_then(|id| context.site().sessions().fresh_proof(id, change))
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
    Refusal::not_permitted(
        "a fresh proof needs a session, and this request has none",
        "log in first",
    )
}

/// Counts an attempt against the login throttle, as a login from the same source does. If the
/// throttle delays the attempt, it is refused. The client repeats it after the delay, and the
/// repetition is not counted again.
fn count_attempt(context: &Context, session: &SessionInfo) -> Result<(), Refusal> {
    let now = context.now();
    let wait = match with(context, |fresh| fresh.remaining_delay(now))? {
        Some(left) => left,
        None => {
            let name = session.name.to_string();
            let mut logins = context.site().throttle().logins();
            let counted = logins.attempt(&name, source(session), now);
            drop(logins);
            let wait = counted.map_err(|error| Refusal::busy(error.to_string()))?;
            if wait > 0 {
                with(context, |fresh| fresh.delay(now, wait))?;
            }
            wait
        }
    };
    match wait {
        0 => Ok(()),
        wait => Err(Refusal::busy_for(
            "earlier proofs of this pass phrase failed, so the next attempt is delayed",
            wait,
        )),
    }
}

fn source(session: &SessionInfo) -> Source {
    let peer = session.peer.parse::<SocketAddr>();
    peer.map_or(Source::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().into())
}

/// Answers KE1 with the account's current record.
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
                "your account has no pass phrase",
                "an admin can set one with `person passphrase_start NAME`",
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
            server: Some(&site.id().0),
        },
        &mut site.entropy(),
    )
    .map_err(|error| Refusal::invalid("ke1", error))
}

/// Returns whether the session's key still belongs to the account and made this signature.
async fn signed(
    context: &Context,
    session: &SessionInfo,
    (key, challenge): (Thumbprint, [u8; 32]),
    signature: &[u8],
) -> Result<bool, Refusal> {
    let store = context.site().store();
    let certificate = match session.proof {
        Proof::DeliveredKey(_) => {
            let stored = store.delivered_key(session.account).await?;
            stored.map(|stored| stored.key.certificate().clone())
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
    let message = fresh::key_message(&context.site().id(), &session, &challenge);
    let verified = certificate
        .signing()
        .verify(&message, &Signature(signature));
    Ok(verified.is_ok())
}
