//! The site as its callers see it. Every test uses the public interface of `countersign-core`.

mod access;
mod accounts;
mod applications;
mod audit;
mod bound;
mod broker;
mod clocks;
mod consequences;
mod delivered;
mod devices;
mod dump;
mod enrolment;
mod enrolment_races;
mod enrolment_tickets;
mod faults;
mod loops;
mod options;
mod oracle;
mod passphrase;
mod proof;
mod scripts;
mod sealing;
mod secrets;
mod sessions;
mod symmetric;
