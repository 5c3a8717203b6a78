//! Tokio adapters that client and server share. They move bytes between sockets and the state
//! machines of `countersign_proto`.
//!
//! Non-goals: they make no decisions about authentication or authorization, do not know sites or
//! accounts, and do not read the time of day.
//!
//! - [`content`]: the content of operations and results.
//! - [`lines`]: JSON lines over a stream.
//! - [`sealed_stream`]: a sealed channel over a stream, for pass phrases without TLS.
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
pub mod sealed_stream;

#[cfg(feature = "tls")]
pub mod tls;
