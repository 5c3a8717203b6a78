//! Running a site: its folder, its first launch, and serving it.

pub(crate) mod first_launch;
pub(crate) mod folder;
pub(crate) mod listen;
mod reload;
mod run;
pub(crate) mod serve;

pub(crate) use serve::parts;
