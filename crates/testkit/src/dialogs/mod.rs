//! Records whole dialogs with fixed keys and entropy for implementations in any language
//! (`vectors/dialogs`), and replays each party alone against the recorded messages of the others.

pub mod form;
pub mod play;
pub mod sessions;
pub mod tickets;
pub mod tickets_v1;

mod ends;
mod names;
mod page;
mod tape;
