//! What each end hears, compared with what the other said.

use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::session::client::FromSite;
use countersign_proto::session::limits::piece_cost;
use countersign_proto::session::server::FromClient;
use countersign_proto::session::{EncryptionOption, OptionList, Refusal};

use super::{EXPIRES, Life, Stream};

impl Life<'_> {
    /// Some of what is under way arrives, in one direction.
    pub(super) fn deliver(&mut self, most: usize) -> Result<(), Refusal> {
        let to_client = usize::from(self.dice.one_in(2));
        self.flush();
        let wire = &mut self.wires[to_client];
        let arriving = wire.len().min(1 + self.dice.below(most));
        let bytes: Vec<u8> = wire.drain(..arriving).collect();
        self.inboxes[to_client]
            .tail(bytes.len())
            .extend_from_slice(&bytes);
        if to_client == 1 {
            self.client_hears()
        } else {
            self.server_hears()
        }
    }

    pub(super) fn flush(&mut self) {
        let [to_server, to_client] = &mut self.wires;
        if to_server.len() < 200_000 {
            self.client.session.flush(to_server).unwrap();
        }
        if to_client.len() < 200_000 {
            self.server.flush(to_client).unwrap();
        }
    }

    pub(super) fn server_hears(&mut self) -> Result<(), Refusal> {
        let mut got = Vec::new();
        let inbox = &mut self.inboxes[0];
        let received = self.server.receive(self.now, inbox.unread(), &mut got);
        inbox.consume(*received.as_ref().unwrap_or(&0));
        for message in got {
            match message {
                FromClient::Operation(operation) | FromClient::OperationWithContent(operation) => {
                    assert_eq!(self.asked.get(&operation.id), Some(&operation));
                    assert!(self.heard.insert(operation.id), "heard once");
                    self.answer(operation);
                }
                FromClient::Content { id, bytes } => {
                    let stream = self.stream(true, id);
                    stream.unused += piece_cost(bytes.len());
                    stream.heard.extend(bytes);
                    assert!(stream.sent.starts_with(&stream.heard));
                }
                FromClient::ContentEnd { id } => {
                    let stream = self.stream(true, id);
                    assert!(stream.ended && stream.heard == stream.sent);
                    stream.whole = true;
                }
                FromClient::Cancelled { id } => self.given_up(id),
                FromClient::KeyOffer(offer) => {
                    let all = OptionList::new(EncryptionOption::ALL);
                    self.server
                        .answer_keys(&offer, &all, EXPIRES, &mut self.entropy)
                        .unwrap();
                }
                FromClient::KeysRenewed(renewed) => {
                    assert!(renewed);
                    self.renewed += 1;
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
        if self.dice.one_in(4) {
            self.server.send_outcome_with_content(&outcome).unwrap();
            self.down.insert(outcome.id, Stream::default());
        } else {
            self.server.send_outcome(&outcome).unwrap();
        }
    }

    fn client_hears(&mut self) -> Result<(), Refusal> {
        let mut got = Vec::new();
        let inbox = &mut self.inboxes[1];
        let received = self.client.session.receive(inbox.unread(), &mut got);
        inbox.consume(*received.as_ref().unwrap_or(&0));
        for message in got {
            match message {
                FromSite::Outcome(outcome) | FromSite::OutcomeWithContent(outcome) => {
                    assert_eq!(self.asked[&outcome.id].params.get(), outcome.data.get());
                    assert!(self.answered.insert(outcome.id), "answered once");
                }
                FromSite::Content { id, bytes } => {
                    let stream = self.stream(false, id);
                    stream.unused += piece_cost(bytes.len());
                    stream.heard.extend(bytes);
                    assert!(stream.sent.starts_with(&stream.heard));
                }
                FromSite::ContentEnd { id } => {
                    let stream = self.stream(false, id);
                    assert!(stream.ended && stream.heard == stream.sent);
                    stream.whole = true;
                }
                FromSite::Cancelled { id } => self.given_up(id),
                FromSite::KeyOffer(offer) => {
                    self.client
                        .session
                        .answer_keys(&offer, &mut self.entropy)
                        .unwrap();
                }
                FromSite::KeysRenewed(renewed) => {
                    // The server declines nothing: it offers every option.
                    assert!(renewed);
                    self.renewed += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        received.map(|_| ())
    }
}
