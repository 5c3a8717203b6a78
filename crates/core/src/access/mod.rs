//! Callers, channels, roles, and the access that each operation grants.

mod caller;
mod policy;

pub use caller::{Caller, Channel};
pub use policy::{Access, Role, Scope};
