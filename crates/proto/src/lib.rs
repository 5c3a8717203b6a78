//! Every dialog as pure state machines: bytes, time and entropy come in, bytes and what to do next go
//! out. No socket, no clock, no log, and no entropy but what is passed in.

pub mod broker;
pub mod clock;
pub mod device;
pub mod enrolment;
pub mod lines;
pub mod name;
pub mod operation;
pub mod problem;
pub mod replay;
pub mod risp;
pub mod session;
pub mod uri;

mod json;
