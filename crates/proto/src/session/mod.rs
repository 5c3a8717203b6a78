//! The session protocol: logins of people and services, and the sessions that they open
//! (`docs/protocol/session.md`).
//!
//! Pure state machines. [`client`] and [`server`] implement the two ends; the other modules are
//! shared by both.

pub mod client;
pub mod command;
pub mod fresh;
pub mod limits;
pub mod option;
pub mod refusal;
pub mod server;

mod delivered;
mod exchange;
mod flight;
mod inbox;
mod keys;
mod link;
mod live;
mod message;
mod packet;
mod proof;
mod rekey;
mod resume;
mod transcript;
mod web_socket;

pub use inbox::Inbox;
pub use keys::ResumptionSecret;
pub use live::{Goodbye, SessionId, Welcome};
pub use option::{EncryptionOption, OptionList, Strength};
pub use proof::{KeyProof, PassphraseProof, SessionProof, SiteProof};
pub use refusal::{LoginError, SessionRefusal, WireError};
pub use web_socket::{MAX_SESSION_MESSAGE, SESSION_PATH, SESSION_SUBPROTOCOL};

/// The version of the session protocol. It is part of the labels of every proof and key derivation,
/// so that two versions cannot be confused.
pub const VERSION: u16 = 1;
