//! The same in edition v1, byte for byte as Serveros 0.3 has it: for applications whose other end cannot be
//! changed.
//!
//! ```text
//! site:     GET  /authenticate?authRequest=…   auth request         -> auth response
//! provider: POST /authenticate                 ticket presentation  -> acknowledgement
//!           any request                        with Hawk 1
//! ```
//!
//! Here the clocks of all have to be right to a minute, and the content of requests is not signed: use edition v2
//! between applications that can.

#[cfg(feature = "consumer")]
mod consumer;
mod party;
#[cfg(feature = "provider")]
mod provider;

use countersign_proto::broker::v1::limits;

use crate::edition::Edition;

#[cfg(feature = "consumer")]
pub use consumer::NotBuilt;
pub use party::{Application, Site};

/// Where a provider takes tickets by default.
pub const TICKET_PATH: &str = "/authenticate";

/// The longest presentation or answer that is read, in bytes: a sealed message with its signature, and as much
/// again of what stands beside it as there is at most.
const MAX_MESSAGE: usize = limits::SEALED + 8_192;

/// Edition v1.
#[derive(Debug, Clone, Copy)]
pub struct V1;

impl Edition for V1 {
    type Application = Application;
    type Site = Site;
    const TICKET_PATH: &'static str = TICKET_PATH;
    const MAX_MESSAGE: usize = MAX_MESSAGE;
}

/// A consumer of edition v1.
#[cfg(feature = "consumer")]
pub type Consumer = crate::consumer::Consumer<V1>;
/// A builder of a [`Consumer`].
#[cfg(feature = "consumer")]
pub type ConsumerBuilder = crate::consumer::ConsumerBuilder<V1>;
/// A provider of edition v1.
#[cfg(feature = "provider")]
pub type Provider = crate::provider::Provider<V1>;
/// A builder of a [`Provider`].
#[cfg(feature = "provider")]
pub type ProviderBuilder = crate::provider::ProviderBuilder<V1>;
