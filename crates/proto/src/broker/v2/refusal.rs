//! What is answered instead of what was asked for: `application/problem+json` (RFC 9457) with a stable code.

use crate::problem::Problem;

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Whatever was wrong with what nobody has proved to have said.
    #[error("not verified")]
    NotVerified,
    /// Made too long ago, or in the future, by the site's clock.
    #[error("not made lately")]
    Clock,
    /// The same came before.
    #[error("came before")]
    Replayed,
    /// There is no such provider, or the consumer may not call it.
    #[error("no such provider, or it may not be called")]
    NotAllowed,
    /// The ticket is over.
    #[error("the ticket is over")]
    Expired,
    /// The parties have no cipher or hash in common.
    #[error("nothing in common")]
    NothingInCommon,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NotVerified | Self::Clock | Self::Expired => 401,
            Self::NotAllowed => 403,
            Self::Replayed | Self::NothingInCommon => 409,
        }
    }

    /// Its stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotVerified => "not-verified",
            Self::Clock => "clock",
            Self::Replayed => "replayed",
            Self::NotAllowed => "not-allowed",
            Self::Expired => "expired",
            Self::NothingInCommon => "nothing-in-common",
        }
    }

    /// The body: the same bytes each time.
    #[must_use]
    pub fn body(self) -> String {
        Problem {
            namespace: "urn:countersign:broker",
            code: self.code(),
            title: &self.to_string(),
            status: self.status(),
        }
        .body()
    }
}
