//! Refusals with the statuses and bodies of Serveros, without text from a key, a message or a
//! library.

use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::RsaHash;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::json;

/// One of the two applications of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The consumer.
    Requester,
    /// The provider.
    Requested,
}

/// Why a request or a presentation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum V1Refusal {
    /// The message is malformed or failed verification.
    #[error("not verified")]
    NotVerified,
    /// The time is too old or in the future, compared with the local clock.
    #[error("the message is too old or in the future; the local clock shows {clock}")]
    Stale {
        /// The local clock, in milliseconds since 1970.
        clock: u64,
    },
    /// The ID object does not match the ticket, or the ticket was presented before.
    #[error("the nonces do not match")]
    Nonces,
    /// The cipher is not accepted.
    #[error("unsupported cipher")]
    Cipher {
        /// The name of the cipher, if it is safe to repeat.
        requested: Option<String>,
        /// The accepted ciphers, best first.
        supported: Vec<Cipher>,
    },
    /// The hash is not accepted.
    #[error("unsupported hash")]
    Hash {
        /// The name of the hash, if it is safe to repeat.
        requested: Option<String>,
        /// The accepted hashes, best first.
        supported: Vec<RsaHash>,
    },
    /// The application does not exist, or the consumer may not call the provider.
    #[error("the {0:?} application is unknown, or the call is not allowed")]
    Application(Role),
    /// The two applications have no cipher in common.
    #[error("the applications have no cipher in common")]
    NoCommonCipher,
    /// The applications have no common hash that the site signs with and Hawk supports.
    #[error("the applications have no hash in common")]
    NoCommonHash,
}

const NOTHING_PASSED: &str = "No Requested item was passed";

impl V1Refusal {
    /// The status of the response, which is also the HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Stale { .. } => 401,
            Self::Nonces => 403,
            Self::Cipher { .. } => 409,
            Self::Application(_) => 422,
            Self::Hash { .. } => 490,
            // Published consumers retry after 409 and 490, and after no other status.
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

    /// The body of the response, as JSON.
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
    /// Whether the body of a 500 is that of [`V1Refusal::NoCommonCipher`] or
    /// [`V1Refusal::NoCommonHash`].
    pub(super) fn is_nothing_in_common(body: &[u8]) -> bool {
        let body: Option<Body> = json::read(body).ok();
        let final_ones = [Self::NoCommonCipher, Self::NoCommonHash];
        body.is_some_and(|body| final_ones.iter().any(|one| one.message() == body.message))
    }
}

fn unsupported(requested: Option<&str>, supported: &[&str]) -> Value {
    json!({ "requested": requested.unwrap_or(NOTHING_PASSED), "supported": supported })
}
