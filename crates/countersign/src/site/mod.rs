//! Runs a site: its folder, its first launch, its listeners and its signals.

pub(crate) mod channels;
pub(crate) mod dev;
mod dev_login;
pub(crate) mod first_launch;
pub(crate) mod folder;
pub(crate) mod listen;
mod named_file;
mod reload;
mod run;
mod runtime;
pub(crate) mod serve;
mod templates;

pub(crate) use serve::parts;
