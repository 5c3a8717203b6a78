//! The listeners of a site: the session protocol, devices, HTTP for applications, and the local admin
//! socket.
//!
//! The server accepts connections, enforces [`limits`], runs login attempts and sessions, and
//! passes operations to the site. It reads the [`clock`]. It makes no decisions about accounts,
//! sessions or tickets: `countersign_core` does. It [delivers](delivery) alarms from the outbox of
//! the site. It does not store anything and does not parse command lines.
//!
//! ```no_run
//! # async fn example(site: countersign_core::engine::Site) -> Result<(), countersign_server::StartError> {
//! use countersign_server::Server;
//!
//! let mut server = Server::builder(site)
//!     .session(([0, 0, 0, 0], 4747).into())
//!     .http(Some(([127, 0, 0, 1], 4749).into()))
//!     .start()
//!     .await?;
//! // Serve until a required task ends, then end all sessions.
//! let ended = server.ended().await;
//! eprintln!("{ended}");
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod clock;
pub mod delivery;
pub mod descriptors;
mod http;
pub mod limits;

mod accept_loop;
mod admission;
mod connection;
mod console_files;
mod device;
mod handshake;
mod health;
mod line_output;
mod listeners;
mod other_protocol;
mod peer;
mod places;
mod proxies;
mod public_address;
mod runtime;
mod tls;
mod web_socket;

pub use console_files::{BadConsole, ConsoleFiles};
pub use http::{ConsoleRelay, RelayError, RelayedSite};
pub use listeners::{Builder, Ended, Reloader, Server, StartError};
pub use proxies::Proxies;
pub use tls::certificate_source::{BadHttpCertificate, HttpTls};
