//! The session protocol: logins of people and services, and the sessions that they open
//! (`docs/protocol/session.md`).
//!
//! Pure state machines: bytes, time and entropy come in, bytes and what to do next go out. [`client`]
//! and [`server`] hold the two ends; what they share stands beside them.

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

pub use inbox::Inbox;
pub use keys::ResumptionSecret;
pub use live::{Goodbye, SessionId, Welcome};
pub use option::{EncryptionOption, OptionList, Strength};
pub use proof::{KeyProof, PassphraseProof, SessionProof, SiteProof};
pub use refusal::{LoginError, SessionRefusal, WireError};

/// The version of the session protocol that this crate speaks. It stands in the labels of everything
/// that is proved or derived, so two versions never mistake each other.
pub const VERSION: u16 = 1;
