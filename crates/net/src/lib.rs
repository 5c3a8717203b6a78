//! Tokio adapters that both ends of a connection share: they move bytes between sockets and the state machines of
//! `countersign_proto`, and decide nothing. They know no site, no account and no clock.
//!
//! - [`content`]: the content of a session's operations and results.
//! - [`lines`]: JSON lines over a stream.
//! - `listener`, `admission`, `descriptors`, `proxies`: how connections are accepted, and how many. With the
//!   feature `listener`, which clients do without.
//! - `tls`: TLS 1.3 between a site and its devices, with pinned keys. With the feature `tls`.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use countersign_net::lines::Lines;
//!
//! let (near, far) = tokio::io::duplex(64);
//! let mut near = Lines::new(near, 1024);
//! near.send(b"{\"id\":1}\n").await?;
//! let mut far = Lines::new(far, 1024);
//! assert_eq!(far.next().await?, Some(&b"{\"id\":1}"[..]));
//! # Ok(())
//! # }
//! ```

pub mod content;
pub mod lines;

#[cfg(feature = "listener")]
pub mod admission;
#[cfg(feature = "listener")]
pub mod descriptors;
#[cfg(feature = "listener")]
pub mod listener;
#[cfg(feature = "listener")]
pub mod proxies;
#[cfg(feature = "tls")]
pub mod tls;
