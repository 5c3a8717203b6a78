//! A session over one connection: handles callers' requests and received messages.

use countersign_crypto::entropy::SystemEntropy;
use countersign_net::content::ContentError;
use countersign_proto::operation::Event;
use countersign_proto::session::client::{ClientSession, FromSite};
use countersign_proto::session::{Goodbye, Inbox, OptionList, SessionRefusal};
use tokio::sync::broadcast;

use crate::content::{Download, Streams};
use crate::platform;
use crate::renewal::Renewal;
use crate::requests::{Pending, Request};

/// A session over one connection.
pub(crate) struct Connection {
    pub(crate) session: ClientSession,
    pub(crate) inbox: Inbox,
    pub(crate) pending: Pending,
    pub(crate) streams: Streams,
    pub(crate) renewal: Renewal,
    pub(crate) closing: bool,
}

impl Connection {
    pub(crate) fn new(session: ClientSession, inbox: Inbox) -> Self {
        Self {
            session,
            inbox,
            pending: Pending::default(),
            streams: Streams::default(),
            renewal: Renewal::NotDue,
            closing: false,
        }
    }

    /// Fails all pending requests and content.
    pub(crate) fn fail(&mut self, error: ContentError) {
        self.pending.fail(error);
        self.streams.fail(error);
    }

    /// Handles the site's reply to an offer of new keys.
    fn renewed(&mut self, renewed: bool) -> Result<(), SessionRefusal> {
        let Some(reply) = self.pending.rekey.take() else {
            return self.renewal.handle_reply(renewed, &mut self.session);
        };
        let _ = reply.send(Ok(renewed));
        if renewed {
            self.renewal.renewed_for_caller();
        }
        Ok(())
    }

    /// Handles the site's list of options.
    fn handle_options(&mut self, list: &OptionList) -> Result<(), SessionRefusal> {
        self.renewal.handle_options(list, &mut self.session)?;
        for reply in self.pending.options.drain(..) {
            let _ = reply.send(Ok(list.clone()));
        }
        Ok(())
    }

    /// Handles a caller's request.
    pub(crate) fn handle_request(&mut self, request: Request) -> Result<(), SessionRefusal> {
        match request {
            Request::Call(operation, reply) => {
                self.session.send_operation(&operation)?;
                self.pending.results.insert(operation.id, reply);
            }
            Request::Stream(operation, upload, reply) => {
                match upload {
                    Some(upload) => {
                        self.session.send_operation_with_content(&operation)?;
                        self.streams.send(operation.id, upload.0);
                    }
                    None => self.session.send_operation(&operation)?,
                }
                self.pending.streamed.insert(operation.id, reply);
            }
            Request::Rekey(option, reply) => {
                let option = option.unwrap_or_else(|| self.session.option());
                if self.session.offer_keys(option, &mut SystemEntropy)? {
                    self.pending.rekey = Some(reply);
                } else {
                    let _ = reply.send(Ok(false));
                }
            }
            Request::Options(reply) => {
                self.session.ask_for_options()?;
                self.pending.options.push(reply);
            }
            Request::Close => {
                self.closing = true;
                self.session.send_goodbye(Goodbye::Done)?;
            }
        }
        Ok(())
    }

    /// Handles all received messages. Returns the reason if the site ended the session.
    pub(crate) fn receive(
        &mut self,
        events: &broadcast::Sender<Event>,
    ) -> Result<Option<Goodbye>, SessionRefusal> {
        let mut received = Vec::new();
        let used = self.session.receive(self.inbox.unread(), &mut received)?;
        self.inbox.consume(used);
        for message in received {
            match message {
                FromSite::Outcome(outcome) => {
                    if self.streams.withdraw(outcome.id) {
                        self.session.cancel(outcome.id)?;
                    }
                    if let Some(reply) = self.pending.results.remove(&outcome.id) {
                        let _ = reply.send(Ok(outcome));
                    } else if let Some(reply) = self.pending.streamed.remove(&outcome.id) {
                        let _ = reply.send(Ok((outcome, None)));
                    }
                }
                FromSite::OutcomeWithContent(outcome) => {
                    let id = outcome.id;
                    if let Some(reply) = self.pending.streamed.remove(&id) {
                        let download = Download(self.streams.receive(id));
                        let _ = reply.send(Ok((outcome, Some(download))));
                    } else {
                        // The caller used `call`, which has no place for content.
                        self.session.cancel(id)?;
                        if let Some(reply) = self.pending.results.remove(&id) {
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
                        self.renewal = Renewal::Due(platform::now());
                    }
                    let _ = events.send(event);
                }
                FromSite::Options(list) => self.handle_options(&list)?,
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
