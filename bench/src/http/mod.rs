//! What is measured over HTTP: servers in processes of their own, so that their processor time is theirs alone.

pub(crate) mod authenticate;
pub(crate) mod provider;

mod process;
mod wire;
