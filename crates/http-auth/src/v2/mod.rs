//! Edition v2 of the broker's dialog.

#[cfg(feature = "consumer")]
mod consumer;
#[cfg(any(feature = "reqwest", feature = "provider"))]
mod key_statement;
mod party;
#[cfg(feature = "provider")]
mod provider;
#[cfg(feature = "provider")]
mod reply;
#[cfg(feature = "consumer")]
mod symmetric;
#[cfg(feature = "provider")]
mod ticket_keys;
#[cfg(feature = "provider")]
mod time;
#[cfg(feature = "provider")]
mod void_tickets;

use countersign_proto::broker::v2::limits;

use crate::edition::{ApplicationKeys, Edition};

#[cfg(any(feature = "reqwest", feature = "provider"))]
pub use key_statement::{KeyStatementError, VerifiedSite};
pub use party::{Application, Site};
#[cfg(feature = "provider")]
pub use provider::ProviderError;

/// Default path at which a provider accepts tickets.
pub const TICKET_PATH: &str = "/.well-known/countersign/ticket";

/// Edition v2.
#[derive(Debug, Clone, Copy)]
pub struct V2;

impl Edition for V2 {
    type Application = Application;
    type Site = Site;
    const TICKET_PATH: &'static str = TICKET_PATH;
    const MAX_MESSAGE: usize = limits::SEALED;
}

impl ApplicationKeys for Application {
    type Edition = V2;
}
