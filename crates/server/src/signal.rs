//! What reaches a live session from outside its connection: events, and the order to end.

use countersign_core::session::CloseReason;
use countersign_proto::operation::Event;
use tokio::sync::mpsc;

/// Something that a session's connection is to do.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// Tell the client.
    Event(Event),
    /// Say goodbye and close.
    Cut(CloseReason),
}

/// The way to one session's connection; never waits.
#[derive(Debug, Clone)]
pub(crate) struct SignalSender(pub(crate) mpsc::UnboundedSender<Signal>);

impl SignalSender {
    /// Sends a signal; a connection that is gone misses nothing.
    pub(crate) fn send(&self, signal: Signal) {
        let _ = self.0.send(signal);
    }
}
