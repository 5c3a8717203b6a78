//! Edition v1 of the broker's dialog, byte for byte as Serveros 0.3 speaks it. It is for
//! applications that call, or are called by, an application of Serveros that cannot be changed.
//!
//! ```text
//! site:     GET  /authenticate?authRequest=…   auth request         -> auth response
//! provider: POST /authenticate                 ticket presentation  -> acknowledgement
//!           any request                        with Hawk 1
//! ```
//!
//! In this edition the clocks of site, consumer and provider have to be right to a minute, and the
//! content of requests is not signed. Use edition v2 wherever both applications support it.

#[cfg(feature = "consumer")]
mod consumer;
mod party;
#[cfg(feature = "provider")]
mod provider;

use countersign_proto::broker::v1::limits;

use crate::edition::{ApplicationKeys, Edition};

#[cfg(feature = "consumer")]
pub use consumer::V1BuildError;
pub use party::{V1Application, V1Site};

/// Default path at which a provider accepts tickets.
pub const TICKET_PATH: &str = "/authenticate";

/// Maximum length of a presentation or response, in bytes: a sealed message with its signature, and
/// 8,192 bytes for the JSON around it.
const MAX_MESSAGE: usize = limits::SEALED + 8_192;

/// Edition v1.
#[derive(Debug, Clone, Copy)]
pub struct V1;

impl Edition for V1 {
    type Application = V1Application;
    type Site = V1Site;
    const TICKET_PATH: &'static str = TICKET_PATH;
    const MAX_MESSAGE: usize = MAX_MESSAGE;
}

impl ApplicationKeys for V1Application {
    type Edition = V1;
}
