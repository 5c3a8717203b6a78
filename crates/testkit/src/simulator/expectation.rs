//! Compares what each end receives with what the other sent.

use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::session::SessionRefusal;
use countersign_proto::session::client::FromSite;
use countersign_proto::session::limits::piece_cost;
use countersign_proto::session::server::FromClient;

use super::content::Stream;
use super::{EXPIRES, Simulator};

impl Simulator<'_> {
    pub(super) fn server_receives(&mut self) -> Result<(), SessionRefusal> {
        let mut got = Vec::new();
        let inbox = &mut self.inboxes[0];
        let received = self.server.receive(self.now, inbox.unread(), &mut got);
        inbox.consume(*received.as_ref().unwrap_or(&0));
        for message in got {
            match message {
                FromClient::Operation(operation) | FromClient::OperationWithContent(operation) => {
                    assert_eq!(self.sent_operations.get(&operation.id), Some(&operation));
                    assert!(
                        self.received_operations.insert(operation.id),
                        "received twice"
                    );
                    self.answer(operation);
                }
                FromClient::Content { id, bytes } => self.content(true, id, &bytes),
                FromClient::ContentEnd { id } => self.complete(true, id),
                FromClient::Cancelled { id } => self.mark_cancelled(id),
                FromClient::OptionsRequest => {
                    let options = &self.site.settings.options;
                    self.server.send_options(options).unwrap();
                }
                FromClient::KeyOffer(offer) => {
                    let options = &self.site.settings.options;
                    self.server
                        .answer_keys(&offer, options, EXPIRES, &mut self.entropy)
                        .unwrap();
                }
                FromClient::KeysRenewed(renewed) => {
                    assert!(renewed);
                    self.counts.rekeyings += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        received.map(|_| ())
    }

    fn answer(&mut self, operation: Operation) {
        let outcome = Outcome {
            id: operation.id,
            code: Code::SUCCESS,
            data: operation.params,
            output: String::new(),
        };
        if self.choices.one_in(4) {
            self.server.send_outcome_with_content(&outcome).unwrap();
            self.down.insert(outcome.id, Stream::default());
        } else {
            self.server.send_outcome(&outcome).unwrap();
        }
    }

    pub(super) fn client_receives(&mut self) -> Result<(), SessionRefusal> {
        let mut got = Vec::new();
        let inbox = &mut self.inboxes[1];
        let received = self.client.session.receive(inbox.unread(), &mut got);
        inbox.consume(*received.as_ref().unwrap_or(&0));
        for message in got {
            match message {
                FromSite::Outcome(outcome) | FromSite::OutcomeWithContent(outcome) => {
                    assert_eq!(
                        self.sent_operations[&outcome.id].params.get(),
                        outcome.data.get()
                    );
                    assert!(
                        self.received_operations.contains(&outcome.id),
                        "a result arrived before its operation did"
                    );
                    assert!(self.received_results.insert(outcome.id), "answered once");
                    self.counts.results += 1;
                }
                FromSite::Content { id, bytes } => self.content(false, id, &bytes),
                FromSite::ContentEnd { id } => self.complete(false, id),
                FromSite::Cancelled { id } => self.mark_cancelled(id),
                FromSite::Event(event) => assert_eq!(self.pending_events.pop_front(), Some(event)),
                FromSite::Options(options) => assert_eq!(options, self.site.settings.options),
                FromSite::KeyOffer(offer) => {
                    self.client
                        .session
                        .answer_keys(&offer, &mut self.entropy)
                        .unwrap();
                }
                FromSite::KeysRenewed(renewed) => {
                    // The server declines nothing: it offers every option that the client may ask
                    // for.
                    assert!(renewed);
                    self.counts.rekeyings += 1;
                }
                FromSite::Goodbye(_) => panic!("{message:?}"),
            }
        }
        received.map(|_| ())
    }

    fn content(&mut self, up: bool, id: u64, bytes: &[u8]) {
        let stream = self.stream(up, id);
        stream.unconsumed += piece_cost(bytes.len());
        stream.received.extend_from_slice(bytes);
        assert!(stream.sent.starts_with(&stream.received));
    }

    fn complete(&mut self, up: bool, id: u64) {
        let stream = self.stream(up, id);
        assert!(stream.ended && stream.received == stream.sent);
        stream.complete = true;
        self.counts.contents += 1;
    }
}
