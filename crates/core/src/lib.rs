//! The decisions of a Countersign site: accounts, credentials, sessions, policy, applications,
//! service tickets, the audit log, and the table of operations.
//!
//! A [`Site`](engine::Site) runs operations. Each operation is an entry of an [`engine::Table`],
//! which also says who may call it and on which channels. Decisions are written to a
//! [`store::Store`] as change sets, and their consequences (such as ended sessions) follow from the
//! committed sets.
//!
//! # Non-goals
//!
//! This crate opens no sockets or files, reads no clock and has no source of randomness: the caller
//! passes time and entropy in. It implements no protocol, which is the task of `countersign-proto`,
//! and no durable storage, which is the task of `countersign-store`.
//!
//! # Example
//!
//! Creates a site in memory and a person in it:
//!
//! ```
//! # futures_util::FutureExt::now_or_never(async {
//! use std::sync::Arc;
//!
//! use countersign_core::access::Caller;
//! use countersign_core::engine::{NewSite, Parts, Site};
//! use countersign_core::offer::Offer;
//! use countersign_core::operations;
//! use countersign_core::store::MemoryStore;
//! use countersign_core::timestamp::Timestamp;
//! use countersign_crypto::entropy::SystemEntropy;
//! use countersign_crypto::site_key_slots::{NewSlot, RecoveryCode, SlotFile};
//! use countersign_proto::operation::{Code, Operation};
//! use countersign_proto::session::Strength;
//!
//! let slot = SlotFile::generate(&mut SystemEntropy);
//! let recovery_code = RecoveryCode::generate(&mut SystemEntropy);
//! let parts = Parts {
//!     store: Arc::new(MemoryStore::new()),
//!     table: operations::table()?,
//!     entropy: Box::new(SystemEntropy),
//!     offer: Offer::default(),
//!     floor: Strength::Hybrid,
//! };
//! let new_site = NewSite {
//!     zone: "example.org".parse()?,
//!     slots: &[NewSlot::File(&slot)],
//!     next_slots: &[NewSlot::RecoveryCode(&recovery_code)],
//! };
//! let now = Timestamp::from_millis(1_772_366_400_000);
//! let site = Site::create(parts, new_site, now).await?;
//!
//! let params = serde_json::value::to_raw_value(&serde_json::json!({ "name": "maria" }))?;
//! let operation = Operation::new(1, "person", "create", params);
//! let outcome = site.run(&Caller::admin_socket(), &operation, now).await;
//! assert_eq!(outcome.code, Code::SUCCESS);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).transpose().unwrap();
//! ```

pub mod access;
pub mod access_tokens;
pub mod accounts;
pub mod alarms;
pub mod applications;
pub mod audit;
pub mod checks;
pub mod content;
pub mod counts;
pub mod devices;
pub mod engine;
pub mod enrolment;
pub mod entity_tag;
pub mod id;
pub mod json;
pub mod lockdown;
pub mod offer;
pub mod operations;
pub mod page;
pub mod peers;
pub mod public_url;
pub mod sessions;
pub mod site_key;
pub mod store;
pub mod text;
pub mod throttle;
pub mod tickets;
pub mod timestamp;
pub mod web_origin;
