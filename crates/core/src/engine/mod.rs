//! What every operation passes through, and what follows from the changes that it makes.
//!
//! ```text
//! handler ──▶ change set ──▶ store: one transaction ──▶ projection ──▶ the caller is answered
//!             changes                                   ends sessions, renews caches and settings,
//!             notices                                   raises events
//!             audit entry
//! ```
//!
//! A handler never acts on what it committed: what must follow travels with the change set and is applied on the
//! store's own task, in the order of commits. A caller that disconnects meanwhile changes nothing about it.

mod notice;
mod projection;

pub use notice::{Audience, Notice};
pub(crate) use projection::Projection;
