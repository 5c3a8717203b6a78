//! An operation, from its entry in the table to its reply.
//!
//! ```text
//! Table ─▶ Entry ─▶ authorisation ─▶ params ─▶ handler, with a Context ─▶ Answer or Refusal
//! ```

mod authorisation;
mod carried;
mod context;
mod delay;
pub(crate) mod params;
pub mod reference;
mod refusal;
mod table;

pub(crate) use carried::RunningTime;
pub use carried::{Carried, Completion};
pub use context::{Changes, Context};
pub(crate) use context::{ContentSlot, Rider};
pub use delay::RefusalDelay;
pub use refusal::Refusal;
pub(crate) use table::Reply;
pub use table::{
    Answer, DisruptiveWhen, Entry, EntryBuilder, MAX_PAGE_BYTES, ParameterIs, Table, TableError,
};
