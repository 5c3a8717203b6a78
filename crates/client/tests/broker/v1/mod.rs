//! The same in edition v1.

mod dialog;

mod master;
mod negotiated;

mod refused;
mod world;
