//! Edition v2 of the broker's dialog.

#[cfg(feature = "consumer")]
mod consumer;
#[cfg(any(feature = "reqwest", feature = "provider"))]
mod introduction;
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

use countersign_proto::broker::v2::limits;

use crate::edition::Edition;

#[cfg(any(feature = "reqwest", feature = "provider"))]
pub use introduction::IntroductionError;
pub use party::{Application, Site};
#[cfg(feature = "provider")]
pub use provider::ProviderError;

/// Where a provider takes tickets by default.
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

/// A consumer of edition v2.
#[cfg(feature = "consumer")]
pub type Consumer = crate::consumer::Consumer<V2>;
/// A builder of a [`Consumer`].
#[cfg(feature = "consumer")]
pub type ConsumerBuilder = crate::consumer::ConsumerBuilder<V2>;
/// A provider of edition v2.
#[cfg(feature = "provider")]
pub type Provider = crate::provider::Provider<V2>;
/// A builder of a [`Provider`].
#[cfg(feature = "provider")]
pub type ProviderBuilder = crate::provider::ProviderBuilder<V2>;
