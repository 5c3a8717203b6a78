//! Both ends of a recorded session: state machines that are made from a file and driven by it. The
//! only module of `dialogs` that uses the state machines of sessions.

mod client;
mod server;

use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::EncryptionOption;
use countersign_proto::site_identity::{KeyEventLog, SignedKeyEvent};
use serde_json::value::RawValue;

use super::form::{Inputs, SessionMessage};
use super::tape::Tape;

pub(crate) use client::ClientEnd;
pub(crate) use server::ServerEnd;

/// The encryption options with these names.
#[must_use]
pub(crate) fn options(names: &[String]) -> Vec<EncryptionOption> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn site_key(inputs: &Inputs) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes(inputs.site_seed.array())))
}

fn key_events(inputs: &Inputs) -> KeyEventLog {
    let events = inputs.key_events.iter();
    let events: Vec<SignedKeyEvent> = events
        .map(|event| SignedKeyEvent::from_bytes(&event.0).unwrap())
        .collect();
    KeyEventLog::new(&events).unwrap()
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

/// One end of one connection.
pub(crate) trait End {
    /// Processes bytes that arrived.
    fn receive(&mut self, bytes: &[u8]);
    /// Sends a message of the application.
    fn send_message(&mut self, message: &SessionMessage);
    /// Takes the bytes that are to be sent.
    fn take_output(&mut self) -> Vec<u8>;
    /// Takes the messages that it received since the last call.
    fn received(&mut self) -> Vec<SessionMessage>;
    /// Its entropy.
    fn tape(&self) -> &Tape;
}
