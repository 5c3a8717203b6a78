//! Why a request was not signed and sent, and what can be done about it.

use std::fmt;

use countersign_proto::broker::v2::Refusal;

/// With whom something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The site.
    Site,
    /// The application that is called.
    Provider,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Site => "the site",
            Self::Provider => "the provider",
        })
    }
}

/// Why a request was not sent. The provider did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsumerError {
    /// The address is of none of the applications that this one calls.
    #[error("no application is known at {0}: name it when the consumer is built")]
    Unknown(String),
    /// Nothing answers there.
    #[error("{by} cannot be reached: {problem}")]
    Unreachable {
        /// Who.
        by: By,
        /// What the client says.
        problem: String,
    },
    /// There was no answer in time.
    #[error("no answer from {0} in time")]
    TooSlow(By),
    /// It was answered with something else than a ticket or an acknowledgement.
    #[error("{by} refused ({status}): {}", advice(*by, *.refusal))]
    Refused {
        /// Who.
        by: By,
        /// The HTTP status.
        status: u16,
        /// The refusal, when it is one that is known.
        refusal: Option<Refusal>,
    },
    /// An answer is not from whom it should be, or not to the question.
    #[error("the answer of {0} is not to be believed: compare its public keys and its id")]
    FailedVerification(By),
    /// An answer is of another time (edition v1, where no clock but the own one is known).
    #[error("the answer of {0} is of another time: set the clocks right")]
    Stale(By),
    /// The session with the site gave no ticket.
    #[error("no ticket in the session with the site: {0}")]
    Session(String),
    /// This application or the site has no keys.
    #[error("nothing can be said with these keys: give this application's and the site's")]
    CannotAsk,
    /// Content that is not there as a whole cannot be signed.
    #[error("content that is streamed cannot be signed: read it first")]
    Streamed,
    /// The content is longer than this consumer sends.
    #[error("the content is longer than {0} bytes: raise the limit when the consumer is built")]
    TooLong(usize),
    /// The content broke off while it was read.
    #[error("the content broke off: {0}")]
    Broken(String),
    /// Method or address are such that they cannot be signed.
    #[error("this request cannot be signed: see its method and its address")]
    CannotSign,
}

fn advice(by: By, refusal: Option<Refusal>) -> &'static str {
    match (by, refusal) {
        (By::Site, Some(Refusal::NotVerified)) => {
            "it does not know this id with this key, or the site's id or key is another: see `countersign app show ID`"
        }
        (By::Provider, Some(Refusal::NotVerified)) => {
            "it does not believe the ticket: see that it answers under the id that is called, and its keys"
        }
        (By::Site, Some(Refusal::NotAllowed)) => {
            "there is no such application, or this one may not call it: see `countersign app update ID --allow OTHER`"
        }
        (By::Site, Some(Refusal::Clock)) => {
            "by its clock the request is not of now: set this one's right"
        }
        (By::Provider, Some(Refusal::Clock | Refusal::Expired)) => {
            "by its clock the ticket is not of now: it has to follow the site's"
        }
        (_, Some(Refusal::NothingInCommon)) => {
            "there is no cipher or hash that both know: update one"
        }
        (_, Some(Refusal::Replayed)) => "the same came before: try again",
        (By::Provider, None) => "see that it takes tickets at this address",
        _ => "see that the site answers at this address",
    }
}
