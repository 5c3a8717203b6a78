//! Edition v2: the same dialog and field names, with what v1 cannot have.
//!
//! - A message is sealed to its recipient (HPKE) and signed by its sender (Ed25519) over everything, the
//!   names and keys of both included, and verified before it is opened.
//! - A ticket is for one consumer, one provider and one request, and is presented once.
//! - The shared secret has forward secrecy: it comes of the ticket and of ephemeral keys in the ID object and
//!   the acknowledgement.
//! - Times are the site's: whoever has another clock is told the difference, signed.
//! - A consumer that has a session with the site gets tickets that cost no public-key operation ([`fast`]).

pub mod clock;
pub mod consumer;
pub mod introduction;
pub mod limits;
pub mod message;
pub mod provider;
pub mod signature;
pub mod site;
pub mod symmetric;

mod presentation;
mod refusal;
mod sealed;
mod ticket_key;

pub use presentation::Credentials;
pub use refusal::Refusal;
pub use sealed::{SealedMessage, TicketHeader};
pub use ticket_key::TicketKey;
