//! Refusals, sent as `application/problem+json` (RFC 9457) with a stable code.

use crate::problem::Problem;

/// Why a request or a presentation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The message is malformed, or its signature or encryption failed verification.
    #[error("the message failed verification")]
    NotVerified,
    /// The time is too old or in the future, by the site's clock.
    #[error("the message is too old or in the future; compare the clocks")]
    Clock,
    /// The message was already accepted.
    #[error("the message was already accepted; make a new one")]
    Replayed,
    /// The provider does not exist, or the consumer may not call it.
    #[error("the provider does not exist, or this consumer may not call it; ask an admin")]
    NotAllowed,
    /// The ticket's lifetime has ended.
    #[error("the ticket has expired; request a new one")]
    Expired,
    /// The parties have no cipher or hash in common.
    #[error("the parties have no cipher or hash in common")]
    NothingInCommon,
    /// The provider is an application of a peer that does not answer.
    #[error(
        "the site of the provider does not answer, or does not accept this site; try again later, or ask an admin of this site for `countersign peer doctor`"
    )]
    PeerUnreachable,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NotVerified | Self::Clock | Self::Expired => 401,
            Self::NotAllowed => 403,
            Self::Replayed | Self::NothingInCommon => 409,
            Self::PeerUnreachable => 503,
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
            Self::PeerUnreachable => "peer-unreachable",
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
