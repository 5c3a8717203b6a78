//! The same in edition v1, byte for byte as Serveros 0.3 has it: for applications whose other end cannot be
//! changed.
//!
//! ```text
//! site:     GET  /authenticate?authRequest=…   auth request         -> auth response
//! provider: POST /authenticate                 ticket presentation  -> acknowledgement
//!           any request                        with Hawk 1
//! ```
//!
//! Here the clocks of all have to be right to a minute, and the content of requests is not signed: whoever can
//! use the other edition should.

#[cfg(feature = "consumer")]
mod consumer;
mod party;
#[cfg(feature = "provider")]
mod provider;

#[cfg(feature = "consumer")]
pub use consumer::{Consumer, ConsumerBuilder, NotBuilt};
pub use party::{Application, Site};
#[cfg(feature = "provider")]
pub use provider::{Provider, ProviderBuilder};

/// Where a provider takes tickets, when nothing else is said.
pub const TICKET_PATH: &str = "/authenticate";

/// The longest presentation or answer that is read, in bytes: a sealed message with its signature, and as much
/// again of what is beside it as anybody has.
const LONGEST_MESSAGE: usize = countersign_proto::broker::v1::limits::SEALED + 8_192;
