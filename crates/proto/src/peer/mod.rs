//! Peer sites (`docs/protocol/peer.md`): how a site becomes the peer of another one with a ticket,
//! and what stands before the first operation on a connection between peers.
//!
//! ```text
//! site B, which has a ticket of site A                 site A
//!   | == TLS 1.3: B pins the key of the ticket =========== |
//!   | --> JoinRequest, sealed to A's key                   |  join::AwaitingAnswer, first::AwaitingFirst
//!   |     JoinAnswer, or nothing                       <-- |
//!   |                                                close |
//!
//! either site                                          the other one
//!   | == TLS 1.3: both ends pin the other's key ========== |
//!   | --> PeerHello: site id, person's id, key events      |
//!   |     PeerWelcome: limits, key events              <-- |
//!   | <== PeerLine: operations and results, both ways ===> |
//! ```
//!
//! A site whose key was replaced while its peer slept is followed with a [`KeyEventsRequest`], which
//! needs no proof: key events are public and prove themselves.
//!
//! [`KeyEventsRequest`]: crate::site_identity::KeyEventsRequest

mod answer;
mod audit_head;
mod end;
mod events;
mod first;
mod hello;
mod join;
mod line;
mod request;
mod sealed;
mod ticket;

pub use answer::{BadJoinAnswer, JoinAnswer};
pub use audit_head::{AuditHead, AuditReceipt, BadAuditHead, SignedAuditHead, WitnessedHead};
pub use end::PeerEnd;
pub use events::{MAX_EVENTS_LINE, MAX_PEER_EVENTS};
pub use first::{AwaitingFirst, FirstRefused, FirstStep, MAX_FIRST};
pub use hello::{BadPeerHello, MAX_PEER_HELLO, PeerHello, PeerWelcome};
pub use join::{AnswerStep, AwaitingAnswer, JoinError, JoinedSite};
pub use line::{BadPeerLine, PeerLine};
pub use request::{BadJoin, JoinRequest, Joining, ProvenSite, join_proof_input};
pub use sealed::{BadSealedJoin, SealedJoin};
pub use ticket::{MAX_PEER_TICKET_JSON, MAX_PEER_TICKET_URI, PeerTicket};
