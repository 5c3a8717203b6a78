//! The machines of both ends, made from what a file says and driven by it. The one module here that calls those
//! of sessions.

mod client;
mod server;

use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::EncryptionOption;
use serde_json::value::RawValue;

use super::form::{Inputs, Said};
use super::tape::Tape;

pub(crate) use client::ClientEnd;
pub(crate) use server::ServerEnd;

/// The options of these names.
#[must_use]
pub(crate) fn options(names: &[String]) -> Vec<EncryptionOption> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn site_key(inputs: &Inputs) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes(inputs.site_seed.array())))
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// One end of one connection.
pub(crate) trait End {
    /// Takes what arrived, and does all that follows by itself.
    fn receive(&mut self, bytes: &[u8]);
    /// Says what the program on top says.
    fn say(&mut self, said: &Said);
    /// What is to be sent.
    fn send(&mut self) -> Vec<u8>;
    /// What it heard since it was asked last.
    fn heard(&mut self) -> Vec<Said>;
    /// What it drew.
    fn tape(&self) -> &Tape;
}
