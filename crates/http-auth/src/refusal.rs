//! Refusals in HTTP responses: `application/problem+json`, and the challenge of a 401 (RFC 9110,
//! section 11.6.1).

use countersign_proto::broker::v2::Refusal;

/// The value of `www-authenticate`.
#[cfg(feature = "provider")]
pub(crate) fn challenge(refusal: Refusal) -> String {
    format!("Countersign error=\"{}\"", refusal.code())
}

/// Parses a value of `www-authenticate`.
#[cfg(feature = "consumer")]
pub(crate) fn from_challenge(value: &str) -> Option<Refusal> {
    let code = value.strip_prefix("Countersign error=\"")?;
    from_code(code.strip_suffix('"')?)
}

/// Parses the body of a response.
#[cfg(feature = "consumer")]
pub(crate) fn from_problem(body: &[u8]) -> Option<Refusal> {
    #[derive(serde::Deserialize)]
    struct Problem {
        code: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    from_code(&problem.code)
}

/// The refusal with this code.
#[cfg(feature = "consumer")]
pub(crate) fn from_code(code: &str) -> Option<Refusal> {
    let all = [
        Refusal::NotVerified,
        Refusal::Clock,
        Refusal::Replayed,
        Refusal::NotAllowed,
        Refusal::Expired,
        Refusal::NothingInCommon,
        Refusal::PeerUnreachable,
    ];
    all.into_iter().find(|refusal| refusal.code() == code)
}
