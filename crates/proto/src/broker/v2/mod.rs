//! Edition v2: the dialog and field names of v1, with security properties that v1 cannot have.
//!
//! - A message is sealed to its recipient (HPKE) and signed by its sender (Ed25519). The signature
//!   covers the names and keys of both, and is verified before decryption.
//! - A ticket is for one consumer, one provider and one request, and is presented once.
//! - The shared secret has forward secrecy: it is derived from the ticket and from ephemeral keys
//!   in the ID object and the acknowledgement.
//! - Times are the site's. An application with a wrong clock gets the difference from the site,
//!   signed.
//! - A consumer that has a session with the site gets tickets without public-key operations
//!   ([`symmetric`]).

pub mod clock;
pub mod consumer;
pub mod foreign;
pub mod key_statement;
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
