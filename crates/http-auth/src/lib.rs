//! HTTP authentication between applications: the consumer's and the provider's end of the broker's dialog
//! (`docs/protocol/broker.md`), as middleware. Edition v2, and in [`v1`] the other one.
//!
//! A [`Consumer`] calls other applications: it gets service tickets from the site, presents them, and signs each
//! request. A [`Provider`] is called: it accepts tickets, verifies requests and passes on those that are signed. Both
//! are layers of `tower`; with the feature `reqwest` a consumer is middleware of reqwest too.
//!
//! This crate neither decides who may call whom, which is the site's part, nor protects what it does not sign: use
//! TLS.
//!
//! ```no_run
//! # #[cfg(feature = "reqwest")]
//! # async fn example(key: &str, keys: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use countersign_http_auth::{Application, Consumer, Site};
//!
//! let site = Site::from_pem("local", "http://127.0.0.1:4749".parse()?, keys)?;
//! let consumer = Consumer::builder(Application::from_pem("billing", key, None)?, site)
//!     .calls("ledger", "http://127.0.0.1:8080".parse()?)
//!     .build()?;
//! let answer = consumer.client()?.get("http://127.0.0.1:8080/balance").send().await?;
//! println!("{}", answer.text().await?);
//! # Ok(())
//! # }
//! ```

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
pub use session::{SessionError, SiteSession};

/// Where a provider takes tickets, when nothing else is said.
pub const TICKET_PATH: &str = "/.well-known/countersign/ticket";

/// The error of any service, as in `tower`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
