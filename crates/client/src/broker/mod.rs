//! The two applications' ends of the broker (`docs/protocol/broker.md`) over HTTP: edition v2, and in [`v1`] the
//! other one.
//!
//! A [`Consumer`] calls other applications: it gets tickets from the site, presents them, and signs each
//! request. A [`Provider`] is called: it takes tickets, and lets through what is signed. Both are layers:
//! put them around the client or the service that is there already.

#[cfg(feature = "consumer")]
mod consumer;
#[cfg(feature = "provider")]
mod provider;

pub mod v1;

mod clock;
mod content;
#[cfg(any(feature = "reqwest", feature = "provider"))]
mod introduction;
mod origin;
mod party;
mod refusal;
mod session;
mod site_address;

#[cfg(feature = "consumer")]
pub use consumer::{By, Calling, Consumer, ConsumerBuilder, ConsumerError};
#[cfg(any(feature = "reqwest", feature = "provider"))]
pub use introduction::IntroductionError;
pub use origin::WrongAddress;
pub use party::{Application, Site};
#[cfg(feature = "sqlite")]
pub use provider::SqliteTickets;
#[cfg(feature = "provider")]
pub use provider::{
    AuthenticatedApp, Guarded, Limits, MemoryTickets, Once, OpenedTicket, Provider,
    ProviderBuilder, ProviderError, RequestName, TicketStore, TicketStoreError,
};

/// Where a provider takes tickets, when nothing else is said.
pub const TICKET_PATH: &str = "/.well-known/countersign/ticket";

/// The error of any service, as in `tower`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
