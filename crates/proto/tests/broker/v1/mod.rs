mod errors;
mod flows;
mod hawk;
mod negotiated;
mod ours;
mod recorded;
