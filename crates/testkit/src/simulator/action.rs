//! The actions of a simulation.

use countersign_proto::operation::Event;
use serde_json::value::to_raw_value;

use super::content::Stream;
use super::{Choices, DAY, EXPIRES, START, Simulator, operation, some_option};

/// An action of one end, or an event that affects both. A new one needs an entry in
/// [`Action::WEIGHTS`] and an arm in [`Simulator::perform`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The client sends an operation.
    SendOperation,
    /// The client sends an operation with content.
    SendOperationWithContent,
    /// The client sends a NOP, or the server sends an event.
    SendEventOrNop,
    /// The client requests the list of options.
    RequestOptions,
    /// The sender of some open content sends a piece.
    SendContent,
    /// The sender of some open content ends it.
    EndContent,
    /// The receiver of some content consumes what has arrived.
    ConsumeContent,
    /// Either end cancels some content.
    Cancel,
    /// Either end offers new keys.
    OfferKeys,
    /// The connection is lost, and the client resumes the session.
    LoseConnection,
    /// The server's clock is set forward or back by a day.
    SetClock,
    /// The attacker mutates bytes in flight; the receiver detects it, and the client resumes the
    /// session.
    Mutate,
}

impl Action {
    /// The weight of each action, of a total of [`Self::TOTAL_WEIGHT`].
    pub const WEIGHTS: [(Self, usize); 12] = [
        (Self::SendOperation, 24),
        (Self::SendOperationWithContent, 8),
        (Self::SendEventOrNop, 6),
        (Self::RequestOptions, 2),
        (Self::SendContent, 16),
        (Self::EndContent, 8),
        (Self::ConsumeContent, 8),
        (Self::Cancel, 6),
        (Self::OfferKeys, 16),
        (Self::LoseConnection, 1),
        (Self::SetClock, 2),
        (Self::Mutate, 1),
    ];
    /// The sum of all weights.
    pub const TOTAL_WEIGHT: usize = 98;

    /// A random action, by weight.
    pub fn some(choices: &mut Choices) -> Self {
        let mut drawn = choices.below(Self::TOTAL_WEIGHT);
        for (action, weight) in Self::WEIGHTS {
            if drawn < weight {
                return action;
            }
            drawn -= weight;
        }
        Self::SendOperation
    }
}

impl Simulator<'_> {
    /// Performs an action. Its lengths, targets and directions are chosen at random.
    pub fn perform(&mut self, action: Action) {
        match action {
            Action::SendOperation => {
                let length = [0, 10, 300, 40_000][self.choices.below(4)];
                self.send_operation(length);
            }
            Action::SendOperationWithContent => {
                let operation = operation(self.next_id, 10);
                self.next_id += 1;
                let session = &mut self.client.session;
                session.send_operation_with_content(&operation).unwrap();
                self.up.insert(operation.id, Stream::default());
                self.sent_operations.insert(operation.id, operation);
            }
            Action::SendEventOrNop => {
                if self.choices.one_in(2) {
                    self.client.session.keep_alive().unwrap();
                } else {
                    let length = [0, 300, 5_000][self.choices.below(3)];
                    self.send_event(length);
                }
            }
            Action::RequestOptions => self.client.session.ask_for_options().unwrap(),
            Action::SendContent => self.send_content(),
            Action::EndContent => self.end_content(),
            Action::ConsumeContent => self.consume_content(),
            Action::Cancel => self.cancel(),
            Action::OfferKeys => {
                if self.choices.one_in(2) {
                    let option = some_option(self.site, &mut self.choices);
                    let session = &mut self.client.session;
                    session.offer_keys(option, &mut self.entropy).unwrap();
                } else {
                    self.server.offer_keys(&mut self.entropy).unwrap();
                }
            }
            Action::LoseConnection => self.lose_connection(),
            Action::SetClock => {
                self.now = match self.choices.one_in(2) {
                    true => self.now + DAY,
                    // Limits how far back the clock goes, so that sessions still expire.
                    false => (self.now - DAY).max(START - DAY),
                };
            }
            Action::Mutate => self.mutate(),
        }
    }

    /// The client sends an operation whose parameters are a string of `length` characters.
    pub(super) fn send_operation(&mut self, length: u64) {
        let operation = operation(self.next_id, length);
        self.next_id += 1;
        self.client.session.send_operation(&operation).unwrap();
        self.sent_operations.insert(operation.id, operation);
    }

    /// The server sends an event whose data is a string of `length` characters.
    pub(super) fn send_event(&mut self, length: usize) {
        let event = Event {
            group: "test".to_owned(),
            event: "note".to_owned(),
            data: to_raw_value(&"x".repeat(length)).unwrap(),
        };
        self.server.send_event(&event).unwrap();
        self.pending_events.push_back(event);
    }

    /// Whether the session has expired by the server's clock.
    pub(super) fn is_over(&self) -> bool {
        self.now >= EXPIRES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_chosen() {
        let all: usize = Action::WEIGHTS.iter().map(|(_, weight)| weight).sum();
        assert_eq!(all, Action::TOTAL_WEIGHT);
        let mut choices = Choices::seeded(1);
        let some: Vec<Action> = (0..5_000).map(|_| Action::some(&mut choices)).collect();
        for (action, _) in Action::WEIGHTS {
            assert!(some.contains(&action), "{action:?}");
        }
    }
}
