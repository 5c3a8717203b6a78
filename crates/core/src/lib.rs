//! The site's decisions: accounts, credentials, sessions, policy, audit, and the table of operations.
//! No input, no output, no clock: time and entropy are passed in, and what was decided goes to a
//! [`store::Store`].
//!
//! [`engine::Site::run`] is the one door; [`engine::Table`] says what can be asked there.

pub mod access;
pub mod accounts;
pub mod alarms;
pub mod applications;
pub mod audit;
pub mod content;
pub mod engine;
pub mod id;
pub mod json;
pub mod offer;
pub mod operations;
pub mod page;
pub mod sessions;
pub mod site_key;
pub mod store;
pub mod text;
pub mod throttle;
pub mod tickets;
pub mod timestamp;
