//! Countersign's protocols as pure state machines, and their codecs. Bytes, time and entropy are
//! inputs; bytes and the next step are outputs.
//!
//! | module | contents |
//! |---|---|
//! | [`risp`] | the binary command stream below the session protocol |
//! | [`session`] | logins, resumption and sessions, client and server |
//! | [`operation`], [`lines`] | the envelopes of operations, results and events, and their JSON lines |
//! | [`broker`] | service tickets between applications, editions v1 and v2 |
//! | [`replay`] | the replay cache |
//! | [`peer`] | how sites become peers, and the first lines between them |
//! | [`site_identity`] | the site's id and its key events |
//! | [`name`], [`uri`] | account names, and site URIs |
//! | [`webhook`] | the requests that carry alarms as short texts |
//! | [`problem`], [`clock`] | HTTP problem details, and a fallback for clocks that were never set |
//!
//! Non-goals: this crate opens no socket, reads no clock, draws no randomness except from the
//! entropy source that the caller passes, writes no log, and stores no account. It names no
//! cryptographic primitive; those are in `countersign-crypto`.
//!
//! ```
//! use countersign_proto::lines::{Decoder, read_operation};
//!
//! let mut decoder = Decoder::new(1024);
//! let line = b"{\"id\":1,\"group\":\"person\",\"command\":\"show\",\"params\":{\"name\":\"maria\"}}\n";
//! decoder.tail(line.len()).extend_from_slice(line);
//! let line = decoder.next_line()?.ok_or("the line is incomplete")?;
//! let (operation, has_content) = read_operation(line)?;
//! assert_eq!((operation.group.as_str(), operation.command.as_str()), ("person", "show"));
//! assert!(!has_content);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod broker;
pub mod clock;
pub mod device;
pub mod enrolment;
pub mod json;
pub mod lines;
pub mod name;
pub mod operation;
#[cfg(not(target_arch = "wasm32"))]
pub mod peer;
pub mod problem;
pub mod replay;
pub mod risp;
pub mod session;
pub mod signed_request;
pub mod site_identity;
pub mod template;
pub mod uri;
pub mod webhook;
