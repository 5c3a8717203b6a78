//! The broker: an application proves itself to another through the site that both trust, after which they
//! share a secret (`docs/protocol/broker.md`).
//!
//! The *consumer* asks the site for a ticket (auth request, auth response), and shows it to the *provider*
//! (ticket presentation, acknowledgement). What the site says to the provider travels in the ticket.

pub mod v1;
pub mod v2;
