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

#![cfg_attr(
    not(any(feature = "consumer", feature = "provider")),
    allow(dead_code, reason = "without either end there is nothing to use it")
)]

#[cfg(feature = "consumer")]
pub mod consumer;
#[cfg(feature = "provider")]
pub mod provider;
pub mod v1;

mod clock;
mod content;
mod edition;
mod origin;
mod refusal;
mod session;
mod site_address;
mod slot;
mod v2;

#[cfg(feature = "consumer")]
pub use consumer::{By, ConsumerError, SigningClient};
pub use edition::Edition;
pub use origin::{Origin, WrongAddress};
#[cfg(feature = "sqlite")]
pub use provider::SqliteTickets;
#[cfg(feature = "provider")]
pub use provider::{
    AuthenticatedApp, Limits, MemoryTickets, Once, OpenedTicket, RequestName, TicketStore,
    TicketStoreError, VerifiedService,
};
pub use session::{SessionError, SiteSession};
#[cfg(any(feature = "reqwest", feature = "provider"))]
pub use v2::IntroductionError;
pub use v2::{Application, Site, TICKET_PATH, V2};
#[cfg(feature = "consumer")]
pub use v2::{Consumer, ConsumerBuilder};
#[cfg(feature = "provider")]
pub use v2::{Provider, ProviderBuilder, ProviderError};

/// The error of any service, as in `tower`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
