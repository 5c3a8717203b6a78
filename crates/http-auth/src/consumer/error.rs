//! Errors that occur before a request is sent, and advice about them.

use std::fmt;

use countersign_proto::broker::v2::Refusal;

/// The party whose response was missing or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Responder {
    /// The site.
    Site,
    /// The provider, that is the application that is called.
    Provider,
}

impl fmt::Display for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Site => "the site",
            Self::Provider => "the provider",
        })
    }
}

/// Why a request was not sent. It had no effect at the provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumerError {
    /// The address belongs to no provider of this consumer.
    #[error("no provider is known at {0}: name it with `calls` when building the consumer")]
    UnknownTarget(String),
    /// The connection failed.
    #[error("{responder} cannot be reached: {problem}")]
    Unreachable {
        /// The party that cannot be reached.
        responder: Responder,
        /// The HTTP client's error.
        problem: String,
    },
    /// There was no response before the timeout.
    #[error("{0} did not respond in time: try again, or raise the timeout")]
    Timeout(Responder),
    /// The response is not a ticket or an acknowledgement.
    #[error("{responder} refused ({status}): {}", advice(*responder, *.refusal))]
    Refused {
        /// The party that refused.
        responder: Responder,
        /// The HTTP status.
        status: u16,
        /// The refusal, if its code is known.
        refusal: Option<Refusal>,
    },
    /// A response is not signed by the expected party, or does not belong to the request.
    #[error("the response from {0} failed verification: check its public keys and its id")]
    FailedVerification(Responder),
    /// The time in a response differs too much from the local clock (edition v1 only).
    #[error("the time in the response from {0} differs from this clock: correct the clocks")]
    Stale(Responder),
    /// The operation `broker ticket` in the session with the site failed.
    #[error("the session with the site gave no ticket: {0}")]
    Session(String),
    /// No ticket can be requested with these keys and this address.
    #[error(
        "no ticket can be requested: give a key of this application, a key of the site, and the site's address"
    )]
    CannotRequest,
    /// The content is a stream, which cannot be signed.
    #[error("streamed content cannot be signed: read it into memory first")]
    Streamed,
    /// The content exceeds the maximum length, in bytes.
    #[error("the content is longer than {0} bytes: raise the limit with `max_content`")]
    TooLong(usize),
    /// Reading the content failed.
    #[error("reading the content failed: {0}")]
    Interrupted(String),
    /// Method, address or `host` cannot be signed.
    #[error("this request cannot be signed: check its method, address and `host` header")]
    CannotSign,
}

fn advice(responder: Responder, refusal: Option<Refusal>) -> &'static str {
    match (responder, refusal) {
        (Responder::Site, Some(Refusal::NotVerified)) => {
            "it does not know this id with this key, or the site's id or key differs: see `countersign app show ID`"
        }
        (Responder::Provider, Some(Refusal::NotVerified)) => {
            "it could not verify the ticket: check that it has the id that is called, and its keys"
        }
        (Responder::Site, Some(Refusal::NotAllowed)) => {
            "there is no such application, or a site does not allow the call: an admin sees which one and why with \
             `countersign app ticket CONSUMER PROVIDER`"
        }
        (Responder::Site, Some(Refusal::Clock)) => {
            "the time of the request differs from its clock: correct this machine's clock"
        }
        (Responder::Provider, Some(Refusal::Clock | Refusal::Expired)) => {
            "the time of the ticket differs from its clock: that clock has to follow the site's"
        }
        (_, Some(Refusal::NothingInCommon)) => {
            "there is no cipher or hash that both support: update one of them"
        }
        (Responder::Site, Some(Refusal::PeerUnreachable)) => {
            "the site of the provider does not answer it, or does not accept it: try again later, or ask an admin of \
             the site that issues this application's tickets for `countersign peer doctor`"
        }
        (_, Some(Refusal::Replayed)) => "it received the same message before: try again",
        (Responder::Provider, None) => "check that it accepts tickets at this address",
        _ => "check that the site is at this address",
    }
}
