//! The same in edition v1.

mod dialog;
mod interop;
mod master;
mod negotiated;
mod node;
mod recorded;
mod refused;
mod world;
