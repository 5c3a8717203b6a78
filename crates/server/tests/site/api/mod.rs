//! The REST API over sockets.

mod client;
mod conditional;
mod credentials;
mod description;
mod operations;
mod refusal_time;
mod requests;
mod signed;
