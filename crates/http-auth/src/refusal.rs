//! Refusals as HTTP carries them: `application/problem+json`, and the challenge that belongs to a 401
//! (RFC 9110, section 11.6.1).

use countersign_proto::broker::v2::Refusal;

/// The value of `www-authenticate`.
#[cfg(feature = "provider")]
pub(crate) fn challenge(refusal: Refusal) -> String {
    format!("Countersign error=\"{}\"", refusal.code())
}

/// What such a value says.
#[cfg(feature = "consumer")]
pub(crate) fn of_challenge(value: &str) -> Option<Refusal> {
    let code = value.strip_prefix("Countersign error=\"")?;
    of_code(code.strip_suffix('"')?)
}

/// What a body says.
#[cfg(feature = "consumer")]
pub(crate) fn of_problem(body: &[u8]) -> Option<Refusal> {
    #[derive(serde::Deserialize)]
    struct Problem {
        code: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    of_code(&problem.code)
}

/// What a code says.
#[cfg(feature = "consumer")]
pub(crate) fn of_code(code: &str) -> Option<Refusal> {
    let all = [
        Refusal::NotVerified,
        Refusal::Clock,
        Refusal::Replayed,
        Refusal::NotAllowed,
        Refusal::Expired,
        Refusal::NothingInCommon,
    ];
    all.into_iter().find(|refusal| refusal.code() == code)
}
