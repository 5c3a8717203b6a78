//! The audit log of a running site: entries of counted events, and the signatures of the site.

mod counted;
mod signing;

pub(super) use counted::Writing;
pub(crate) use signing::SignedLog;
