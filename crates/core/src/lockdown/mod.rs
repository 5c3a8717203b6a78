//! Lockdown: the site refuses an account, an application, or everyone, until an admin lifts it.
//!
//! ```text
//! activity ──▶ Activity::refused_from ──▶ below the level of the site? ──▶ target not in lockdown? ──▶ permitted
//!                 (one table)                   │ no                           │ no
//!                                               ▼                              ▼
//!                                            refused                        refused
//! ```
//!
//! A lockdown is independent of `lock` and `disable`: only `lockdown lift` ends it. [`Lockdowns`] is a
//! setting of the site. Memory holds a copy, so that a check costs no read, and the projection of its
//! change ends what the lockdown refuses.

mod activity;
mod imposed;

pub use activity::{Activity, BadLockdownLevel, LockdownLevel, OperationKind};
pub use imposed::{
    Imposed, ImposedOn, InLockdown, LOCKDOWN, LockdownReason, LockdownTarget, Lockdowns,
    MAX_LOCKDOWNS, SiteLockdown, TooManyLockdowns,
};
