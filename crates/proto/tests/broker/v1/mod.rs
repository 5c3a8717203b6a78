mod errors;
mod flows;
mod hawk;
mod ours;
mod recorded;
