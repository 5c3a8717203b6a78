//! Moves bytes: the session listener, HTTP for applications, the local admin socket, admission, and the clock. It takes no
//! decision of its own: what may be done, `countersign_core` says.

pub mod clock;
pub mod descriptors;
mod http;
pub mod limits;

mod admin;
mod admission;
mod connection;
mod counting;
mod listeners;
mod lookups;
mod operations;
mod queue;
mod resumptions;
mod sessions;
mod shared;

pub use countersign_net::proxies::Proxies;
pub use listeners::{Builder, Ended, Server, StartError};
