//! The site's decisions: accounts, credentials, sessions, policy, audit, and the table of operations.
//! No input, no output, no clock: time and entropy are passed in, and what was decided goes to a
//! [`store::Store`].
//!
//! [`site::Site::run`] is the one door; [`table::Table`] says what can be asked there.

pub mod account;
pub mod application;
pub mod audit;
pub mod caller;
pub mod content;
pub mod context;
pub mod credential;
pub mod engine;
pub mod guard;
pub mod id;
pub mod json;
pub mod offer;
pub mod operations;
pub mod policy;
pub mod reference;
pub mod refusal;
mod registration;
pub mod session;
pub mod site;
pub mod store;
pub mod table;
pub mod text;
pub mod tickets;
pub mod timestamp;

mod params;
