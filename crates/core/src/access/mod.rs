//! Who calls, on which channel, and what they may call.

mod caller;
mod policy;

pub use caller::{Caller, Channel};
pub use policy::{Access, Role, Scope};
