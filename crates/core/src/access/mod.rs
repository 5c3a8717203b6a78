//! Callers, channels, roles, and the access that each operation grants.

mod caller;
mod grant;
mod policy;

pub use caller::{Arrival, Caller, Channel, PeerCaller};
pub use grant::{HttpCredential, HttpGrant};
pub use policy::{Access, Role, Scope};
