//! A person's device: it is enrolled with a ticket, and then connects with its own key
//! (`docs/protocol/device.md`).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use countersign_client::device::{DeviceConnector, enrol};
//! use countersign_crypto::device_key::DeviceIdentity;
//! use countersign_crypto::entropy::SystemEntropy;
//!
//! let ticket = "countersign://site.example:4748/e#…".parse()?;
//! let key = Arc::new(DeviceIdentity::generate(&mut SystemEntropy));
//! let id: countersign_proto::name::AccountName = "ada@example.org".parse()?;
//! // Store the key before: if the reply is lost, the same key must repeat the request.
//! let enrolment = enrol(&ticket, id.clone(), &key, "phone".parse()?).await?;
//! let connector = DeviceConnector::from_enrolment(&enrolment, key);
//! let connection = connector.connect(id).await?;
//! let status: serde_json::Value = connection.call("site", "status", &serde_json::json!({})).await?;
//! println!("{status}");
//! connection.close().await?;
//! # Ok(())
//! # }
//! ```

pub(crate) mod connecting;
mod connection;
mod enrolling;
pub(crate) mod site_keys;

pub use connecting::{DeviceConnector, DeviceError};
pub use connection::DeviceConnection;
pub use enrolling::{Enrolment, enrol};
