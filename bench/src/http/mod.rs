//! Benchmarks over HTTP. Each server runs in its own process, so that its processor time can be
//! measured.

pub(crate) mod api;
pub(crate) mod authenticate;
pub(crate) mod provider;

mod process;
mod wire;
