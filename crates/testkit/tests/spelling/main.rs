//! JSON has many spellings of one value (RFC 8259): escapes, white space, order of members. Other
//! implementations use other spellings than this one, so every reader here has to accept all of
//! them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod enrolment;
mod envelopes;
mod site;
mod speller;
mod v1;
mod v2;
