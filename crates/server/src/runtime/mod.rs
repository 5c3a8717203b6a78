//! What the connections of a server share: its state, the queue of costly work, sessions, operations and
//! counts.

pub(crate) mod counting;
pub(crate) mod events;
pub(crate) mod lookups;
pub(crate) mod meters;
pub(crate) mod operations;
pub(crate) mod queue;
pub(crate) mod resumptions;
pub(crate) mod sessions;
pub(crate) mod shared;
