//! What is answered instead of what was asked for: statuses and bodies of Serveros, without any text that
//! comes from a key, a message or a library.

use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::RsaHash;
use serde::Deserialize;
use serde_json::{Value, json};

/// Which of the two applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that asks.
    Requester,
    /// The one that the ticket is for.
    Requested,
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum V1Refusal {
    /// Whatever was wrong with what nobody has proved to have said.
    #[error("not verified")]
    NotVerified,
    /// Made too long ago, or in the future: by this clock, in milliseconds.
    #[error("stale at {clock}")]
    Stale {
        /// What the clock shows here.
        clock: u64,
    },
    /// The ID object is not of this ticket, or the ticket was presented before.
    #[error("the nonces do not match")]
    Nonces,
    /// A cipher that is not accepted; these are.
    #[error("unsupported cipher")]
    Cipher {
        /// Its name, where it has one that can be repeated.
        requested: Option<String>,
        /// What is accepted, the best first.
        supported: Vec<Cipher>,
    },
    /// A hash that is not accepted; these are.
    #[error("unsupported hash")]
    Hash {
        /// Its name, where it has one that can be repeated.
        requested: Option<String>,
        /// What is accepted, the best first.
        supported: Vec<RsaHash>,
    },
    /// There is no such application, or the one may not call the other.
    #[error("no such application: {0:?}")]
    Application(Role),
    /// The two applications have no cipher in common.
    #[error("no cipher in common")]
    NoCommonCipher,
    /// The two applications have no hash in common that the site signs with and Hawk knows.
    #[error("no hash in common")]
    NoCommonHash,
}

const NOTHING_PASSED: &str = "No Requested item was passed";

impl V1Refusal {
    /// The status of the answer, which is the HTTP status too.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Stale { .. } => 401,
            Self::Nonces => 403,
            Self::Cipher { .. } => 409,
            Self::Application(_) => 422,
            Self::Hash { .. } => 490,
            // Public consumers ask again after 409 and 490, and after no other status.
            Self::NotVerified | Self::NoCommonCipher | Self::NoCommonHash => 500,
        }
    }

    const fn message(&self) -> &'static str {
        match self {
            Self::NotVerified => "Verifier Returned False.",
            Self::Stale { .. } => "Stale Authentication Request.",
            Self::Nonces => "Nonces don't match",
            Self::Cipher { .. } => "An unsupported cipher was encountered",
            Self::Hash { .. } => "An unsupported hash was encountered",
            Self::Application(_) => "Application resolution failed.",
            Self::NoCommonCipher => "An unrecognized cipher was encountered",
            Self::NoCommonHash => "An unrecognized hash was encountered",
        }
    }

    /// The body of the answer, as JSON.
    #[must_use]
    pub fn body(&self) -> String {
        let more = match self {
            Self::NotVerified | Self::Nonces | Self::NoCommonCipher | Self::NoCommonHash => None,
            Self::Stale { clock } => Some(json!({ "ServerClock": clock })),
            Self::Cipher {
                requested,
                supported,
            } => {
                let names: Vec<_> = supported.iter().map(|cipher| cipher.name()).collect();
                Some(unsupported(requested.as_deref(), &names))
            }
            Self::Hash {
                requested,
                supported,
            } => {
                let names: Vec<_> = supported.iter().map(|hash| hash.name()).collect();
                Some(unsupported(requested.as_deref(), &names))
            }
            Self::Application(which) => {
                let which = match which {
                    Role::Requester => "requester",
                    Role::Requested => "requested",
                };
                Some(json!({ "type": which, "cause": null }))
            }
        };
        let mut body = json!({ "status": self.status(), "message": self.message() });
        if let (Some(more), Some(body)) = (more, body.as_object_mut()) {
            body.insert("additionalInformation".to_owned(), more);
        }
        body.to_string()
    }
}

#[derive(Deserialize)]
struct Body {
    message: String,
}

impl V1Refusal {
    /// Whether the body of a 500 is that of [`V1Refusal::NoCommonCipher`] or [`V1Refusal::NoCommonHash`].
    pub(super) fn is_nothing_in_common(body: &[u8]) -> bool {
        let body: Option<Body> = serde_json::from_slice(body).ok();
        let final_ones = [Self::NoCommonCipher, Self::NoCommonHash];
        body.is_some_and(|body| final_ones.iter().any(|one| one.message() == body.message))
    }
}

fn unsupported(requested: Option<&str>, supported: &[&str]) -> Value {
    json!({ "requested": requested.unwrap_or(NOTHING_PASSED), "supported": supported })
}
