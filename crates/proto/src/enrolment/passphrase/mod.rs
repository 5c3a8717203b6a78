//! Setting a pass phrase with a ticket (`docs/protocol/device.md`, Pass phrase): OPAQUE
//! registration (RFC 9807, section 5) on the person's side. The site never learns the pass phrase.
//!
//! ```text
//! person's program, which has a ticket               site
//!   | == TLS 1.3: the program pins the ticket's key == |
//!   | --> RegistrationRequest: token, id, key, proof   |  client::AwaitingChallenge, server::AwaitingRequest
//!   |     RegistrationChallenge, or nothing        <-- |
//!   | --> RegistrationRecord: record, sealed identity  |  client::AwaitingConfirmation, AwaitingRecord
//!   |     RegistrationReply, or nothing            <-- |
//!   |                                            close |
//! ```
//!
//! The key is the one of the person's new identity. The ticket is bound to it, so that a program
//! whose connection ended before the reply can repeat the request and gets the reply.

pub mod client;

mod answer;
mod record;
mod request;

pub use answer::{
    BadAnswer, MAX_ANSWER, RegistrationAnswer, RegistrationChallenge, RegistrationReply,
};
pub use record::{AwaitingRecord, MAX_RECORD, RecordStep, RegistrationRecord};
pub use request::RegistrationRequest;
