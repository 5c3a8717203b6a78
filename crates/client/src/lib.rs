//! What an application links: log in as a person or a service, call operations, follow events.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use countersign_client::{Client, Who};
//!
//! let site = "countersign://site.example:4747#AbCd…".parse()?;
//! let who = Who::person("maria".parse()?, "correct horse battery staple".to_owned().into());
//! let client = Client::connect(&site, who).await?;
//! let me: serde_json::Value = client.call("self", "show", &serde_json::json!({})).await?;
//! println!("{me}");
//! client.close().await?;
//! # Ok(())
//! # }
//! ```

mod asks;
mod connection;
mod connector;
mod content;
mod credentials;
mod error;
mod handle;
mod renewal;
mod results;
mod task;

pub use connector::{Connector, Who};
pub use content::{Download, Upload};
pub use credentials::{CredentialError, Finished, PassphraseChanged, Registration, Started};
pub use error::{CallError, ConnectError, Problem};
pub use handle::Client;
pub use results::{Events, Results};
