//! HTTP authentication between applications: consumer and provider middleware for the broker's
//! dialog (`docs/protocol/broker.md`).
//!
//! A [`Consumer`] calls other applications. It requests service tickets from the site, presents
//! them to providers, and signs each request. A [`Provider`] is called by other applications. It
//! accepts tickets, verifies requests and passes the signed ones to the service behind it. Both are
//! layers of `tower`; with the feature `reqwest` a consumer is also a middleware of reqwest.
//!
//! Both are generic over the edition of the dialog, which follows from the type of the application:
//! [`Application`] for edition v2, [`V1Application`] for edition v1, which Serveros 0.3 speaks.
//!
//! Non-goals: this crate does not decide which application may call which (the site does), and it
//! does not protect what it does not sign. Use TLS for that.
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
//! let response = consumer.client()?.get("http://127.0.0.1:8080/balance").send().await?;
//! println!("{}", response.text().await?);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(any(feature = "consumer", feature = "provider")),
    allow(dead_code, reason = "neither consumer nor provider is built")
)]

#[cfg(feature = "consumer")]
pub mod consumer;
#[cfg(feature = "provider")]
pub mod provider;
pub mod v1;

#[cfg(any(feature = "consumer", feature = "provider"))]
mod clock;
#[cfg(any(feature = "consumer", feature = "provider"))]
mod content;
mod edition;
mod origin;
#[cfg(any(feature = "consumer", feature = "provider"))]
mod refusal;
mod session;
#[cfg(any(feature = "consumer", feature = "provider"))]
mod site_address;
#[cfg(any(feature = "consumer", feature = "provider"))]
mod slot;
mod v2;

#[cfg(feature = "consumer")]
pub use consumer::{Consumer, ConsumerBuilder, ConsumerError, Responder, SigningClient};
#[cfg(feature = "provider")]
pub use countersign_proto::broker::v2::foreign::{TicketPath, Via};
pub use edition::{ApplicationKeys, Edition};
pub use origin::{Origin, WrongAddress};
#[cfg(feature = "sqlite")]
pub use provider::SqliteTickets;
#[cfg(feature = "provider")]
pub use provider::{
    AuthenticatedApp, Insertion, Limits, MemoryTickets, OpenedTicket, Provider, ProviderBuilder,
    RequestName, TicketStore, TicketStoreError, VerifiedService,
};
pub use session::{SessionError, SiteEvents, SiteSession};
#[cfg(feature = "consumer")]
pub use v1::V1BuildError;
pub use v1::{V1, V1Application, V1Site};
#[cfg(feature = "provider")]
pub use v2::ProviderError;
pub use v2::{Application, Site, TICKET_PATH, V2};
#[cfg(any(feature = "reqwest", feature = "provider"))]
pub use v2::{KeyStatementError, VerifiedSite};

/// The error of an arbitrary service, as in `tower`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
