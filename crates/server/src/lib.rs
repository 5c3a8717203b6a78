//! Moves bytes: the session listener, HTTP for applications, the local admin socket, admission, and the clock. It takes no
//! decision of its own: what may be done, `countersign_core` says.

pub mod admission;
pub mod clock;
pub mod descriptors;
mod http;
pub mod limits;

mod admin;
mod connection;
mod counting;
mod listener;
mod queue;
mod resumptions;
mod server;
mod shared;

pub use server::{Builder, Ended, Proxies, Server, StartError};
