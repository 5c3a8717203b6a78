//! The site as its callers see it: every test goes through the one door.

mod access;
mod accounts;
mod audit;
mod dump;
mod fixture;
mod passphrase;
mod reference;
mod scripts;
mod secrets;
mod sessions;
mod site;
