//! What every store promises ([`contract`]), run against each kind of store; and what is special to
//! one of them.

mod contract;
mod sqlite;
