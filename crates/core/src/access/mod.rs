//! Who calls, on which channel, and what they may call.

mod caller;
mod policy;

pub use caller::{Caller, Door};
pub use policy::{Access, Role, Scope};
