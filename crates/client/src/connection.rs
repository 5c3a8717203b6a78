//! A session over one connection: what callers send, and what arrives.

use countersign_crypto::entropy::SystemEntropy;
use countersign_net::content::Broken;
use countersign_proto::operation::Event;
use countersign_proto::session::client::{ClientSession, FromSite};
use countersign_proto::session::{Goodbye, Inbox, OptionList, SessionRefusal};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::asks::{Ask, Waiting};
use crate::content::{Download, Streams};
use crate::renewal::Renewal;

/// A session over one connection.
pub(crate) struct Connection {
    pub(crate) session: ClientSession,
    pub(crate) inbox: Inbox,
    pub(crate) waiting: Waiting,
    pub(crate) streams: Streams,
    pub(crate) renewal: Renewal,
    pub(crate) closing: bool,
}

impl Connection {
    pub(crate) fn new(session: ClientSession, inbox: Inbox) -> Self {
        Self {
            session,
            inbox,
            waiting: Waiting::default(),
            streams: Streams::default(),
            renewal: Renewal::NotDue,
            closing: false,
        }
    }

    /// What was under way fails.
    pub(crate) fn fail(&mut self, over: Broken) {
        self.waiting.fail(over);
        self.streams.fail(over);
    }

    /// The site answered an offer of new keys.
    fn renewed(&mut self, renewed: bool) -> Result<(), SessionRefusal> {
        let Some(reply) = self.waiting.rekey.take() else {
            return self.renewal.answered(renewed, &mut self.session);
        };
        let _ = reply.send(Ok(renewed));
        if renewed {
            self.renewal.renewed_for_caller();
        }
        Ok(())
    }

    /// The site told its options.
    fn options(&mut self, list: &OptionList) -> Result<(), SessionRefusal> {
        self.renewal.options(list, &mut self.session)?;
        for reply in self.waiting.options.drain(..) {
            let _ = reply.send(Ok(list.clone()));
        }
        Ok(())
    }

    /// Does what a caller asks for.
    pub(crate) fn take(&mut self, ask: Ask) -> Result<(), SessionRefusal> {
        match ask {
            Ask::Call(operation, reply) => {
                self.session.send_operation(&operation)?;
                self.waiting.results.insert(operation.id, reply);
            }
            Ask::Stream(operation, upload, reply) => {
                match upload {
                    Some(upload) => {
                        self.session.send_operation_with_content(&operation)?;
                        self.streams.send(operation.id, upload.0);
                    }
                    None => self.session.send_operation(&operation)?,
                }
                self.waiting.streamed.insert(operation.id, reply);
            }
            Ask::Rekey(option, reply) => {
                let option = option.unwrap_or_else(|| self.session.option());
                if self.session.offer_keys(option, &mut SystemEntropy)? {
                    self.waiting.rekey = Some(reply);
                } else {
                    let _ = reply.send(Ok(false));
                }
            }
            Ask::Options(reply) => {
                self.session.ask_for_options()?;
                self.waiting.options.push(reply);
            }
            Ask::Close => {
                self.closing = true;
                self.session.send_goodbye(Goodbye::Done)?;
            }
        }
        Ok(())
    }

    /// Hands out what arrived; the reason when the site ended the session.
    pub(crate) fn take_in(
        &mut self,
        events: &broadcast::Sender<Event>,
    ) -> Result<Option<Goodbye>, SessionRefusal> {
        let mut got = Vec::new();
        let used = self.session.receive(self.inbox.unread(), &mut got)?;
        self.inbox.consume(used);
        for message in got {
            match message {
                FromSite::Outcome(outcome) => {
                    if self.streams.withdraw(outcome.id) {
                        self.session.cancel(outcome.id)?;
                    }
                    if let Some(reply) = self.waiting.results.remove(&outcome.id) {
                        let _ = reply.send(Ok(outcome));
                    } else if let Some(reply) = self.waiting.streamed.remove(&outcome.id) {
                        let _ = reply.send(Ok((outcome, None)));
                    }
                }
                FromSite::OutcomeWithContent(outcome) => {
                    let id = outcome.id;
                    if let Some(reply) = self.waiting.streamed.remove(&id) {
                        let download = Download(self.streams.receive(id));
                        let _ = reply.send(Ok((outcome, Some(download))));
                    } else {
                        // The caller wants the result alone.
                        self.session.cancel(id)?;
                        if let Some(reply) = self.waiting.results.remove(&id) {
                            let _ = reply.send(Ok(outcome));
                        }
                    }
                }
                FromSite::Content { id, bytes } => {
                    if !self.streams.arrived(id, bytes) {
                        self.session.cancel(id)?;
                    }
                }
                FromSite::ContentEnd { id } => {
                    self.streams.ended(id);
                    self.streams.release(id);
                }
                FromSite::Cancelled { id } => {
                    self.streams.cancelled(id);
                    self.streams.release(id);
                }
                FromSite::Event(event) => {
                    if (event.group.as_str(), event.event.as_str()) == ("session", "expiring") {
                        self.renewal = Renewal::Due(Instant::now());
                    }
                    let _ = events.send(event);
                }
                FromSite::Options(list) => self.options(&list)?,
                FromSite::KeyOffer(offer) => {
                    self.session.answer_keys(&offer, &mut SystemEntropy)?;
                }
                FromSite::KeysRenewed(renewed) => self.renewed(renewed)?,
                FromSite::Goodbye(reason) => return Ok(Some(reason)),
            }
        }
        Ok(None)
    }
}
