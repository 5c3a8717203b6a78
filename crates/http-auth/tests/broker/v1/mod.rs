//! The tests of edition v1.

mod dialog;
mod early_checks;
mod interop;
mod master;
mod negotiated;
pub(crate) mod node;
mod recorded;
mod refused;
mod world;
