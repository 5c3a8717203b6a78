//! The REST API over sockets.

mod client;
mod conditional;
mod credentials;
mod description;
mod events;
mod http2;
mod operations;
mod refusal_time;
mod requests;
mod signed;
mod tickets;
mod tls;
