//! The same in edition v1.

mod cheap;
mod dialog;
mod interop;
mod master;
mod negotiated;
pub(crate) mod node;
mod recorded;
mod refused;
mod world;
