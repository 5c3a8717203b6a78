//! Enrolment (`docs/protocol/device.md`): how a device gets its key registered with a ticket.
//!
//! ```text
//! device, which has a ticket                        site
//!   | == TLS 1.3: the device pins the ticket's key == |
//!   | --> Request: token, id, key, name, proof        |  client::AwaitingReply, server::AwaitingRequest
//!   |     Reply, or nothing                       <-- |
//!   |                                           close |
//! ```
//!
//! The proof signs the TLS exporter, so it proves possession of the key on this connection only.
//!
//! With another kind of ticket, a person sets a pass phrase: see [`passphrase`]. A program without
//! TLS does that over a sealed channel: see [`channel`].

pub mod channel;
// A page has no key of a device.
#[cfg(not(target_arch = "wasm32"))]
pub mod client;
pub mod passphrase;
pub mod server;

pub(crate) mod line;
mod proof;
mod reply;
mod request;
mod ticket;
mod token;

pub use proof::{
    BadProof, EXPORTER_LABEL, Exporter, ProvenKey, passphrase_proof_input, proof_input,
};
pub use reply::{BadReply, EnrolmentReply, MAX_REPLY};
pub use request::{BadRequest, EnrolmentRequest, MAX_REQUEST};
pub use ticket::{
    BadTicket, EnrolmentTicket, MAX_TICKET_JSON, MAX_TICKET_URI, TicketKind, UnknownKind,
};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use ticket::{TicketForm, TicketUri};
pub use token::{Token, TokenHash};
