//! The site as its callers see it: every test goes through the one door of `countersign-core`.

mod access;
mod accounts;
mod alarms;
mod applications;
mod audit;
mod bound;
mod broker;
mod clocks;
mod delivered;
mod dump;
mod faults;
mod follows;
mod loops;
mod options;
mod oracle;
mod outbox;
mod outbox_worker;
mod passphrase;
mod proof;
mod scripts;
mod sealing;
mod secrets;
mod sessions;
mod symmetric;
