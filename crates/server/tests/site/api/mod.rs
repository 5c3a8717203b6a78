//! The REST API over sockets.

mod both_channels;
mod client;
mod conditional;
mod content_withdrawn;
mod credentials;
mod description;
mod events;
mod http2;
mod idempotency;
mod limits;
mod operations;
mod refusal_time;
mod refusals;
mod requests;
mod same;
mod signed;
mod ticket_bodies;
mod tickets;
mod tls;
mod unread_bodies;
