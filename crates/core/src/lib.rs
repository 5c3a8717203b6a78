//! The site's decisions: accounts, credentials, sessions, policy, audit, and the table of operations.
//! No input, no output, no clock: time and entropy are passed in, and what was decided goes to a
//! [`store::Store`].

pub mod account;
pub mod audit;
pub mod caller;
pub mod credential;
pub mod id;
pub mod policy;
pub mod session;
pub mod store;
pub mod timestamp;
