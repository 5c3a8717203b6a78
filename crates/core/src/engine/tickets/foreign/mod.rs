//! Tickets across sites, with the site's store, its peers and the audit log's counters
//! (`docs/protocol/broker.md`, section "Tickets across sites").
//!
//! ```text
//! site of the consumer                                 site of the provider
//!   request ── its policy ── ask ── peer connection ──▶ answer: its policy, the ticket
//!              its policy ── response ◀────────────────┘
//!   locked, deleted, no longer allowed ── void ────────▶ tells the provider
//! ```

mod answering;
mod asking;
mod policy;
mod void;

pub(super) use asking::NoTicket;
pub(crate) use void::{MAX_VOID_NAMES, Voids};
