//! Whole dialogs with fixed keys and entropy, for implementations in any language (`vectors/dialogs`): how they
//! are recorded, and how each end is played again alone, with what was recorded of the others.

pub mod form;
pub mod play;
pub mod sessions;
pub mod tickets;
pub mod tickets_v1;

mod machines;
mod names;
mod page;
mod tape;
