//! A site that is sealed, replaces its key, or changes its OPAQUE setup, while clients use it.

mod after_rotations;
mod key_events;
mod rotation;
mod sealed;
