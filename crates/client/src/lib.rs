//! The client library: log in to a site as a person or a service, call operations, receive events; enrol a
//! person's device and connect with its key (feature `device`).
//!
//! Non-goals: it does not store pass phrases or keys, does not discover sites, and does not retry
//! operations. When a connection is lost, it resumes the session; operations in progress fail with
//! [`CallError::Lost`], and the application decides whether to repeat them.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use countersign_client::{Client, LoginAs};
//!
//! let site = "countersign://site.example:4747#AbCd…".parse()?;
//! let login = LoginAs::person("maria".parse()?, "correct horse battery staple".to_owned().into());
//! let client = Client::connect(&site, login).await?;
//! let me: serde_json::Value = client.call("self", "show", &serde_json::json!({})).await?;
//! println!("{me}");
//! client.close().await?;
//! # Ok(())
//! # }
//! ```

#[cfg(all(feature = "device", not(target_arch = "wasm32")))]
pub mod device;

mod calls;
mod connection;
mod connector;
mod content;
mod credentials;
mod error;
mod handle;
mod known_site;
pub mod passphrase_ticket;
mod platform;
mod renewal;
mod requests;
mod results;
mod task;

pub use connector::{Connector, LoginAs};
pub use content::{Download, Upload};
pub use credentials::{
    CredentialError, PassphraseChanged, PassphraseFinish, PassphraseStarted, Registration,
};
pub use error::{CallError, ConnectError, Problem};
pub use handle::Client;
pub use results::{Events, Results};
