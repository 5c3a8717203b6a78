//! What may happen to a session at any time.

use countersign_proto::operation::Event;
use serde_json::value::to_raw_value;

use super::content::Stream;
use super::{Choices, DAY, EXPIRES, START, Simulator, operation, some_option};

/// Something that an end does of its own accord, or that happens to both. A new one gets a line in
/// [`Act::CHANCES`] and an arm in [`Life::act`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The client asks for an operation.
    Ask,
    /// The client asks for an operation that content follows.
    AskWithContent,
    /// Either end says something that needs no answer: a NOP, or an event.
    Tell,
    /// The client asks what options are on offer.
    AskForOptions,
    /// Some open content gets another piece.
    SendContent,
    /// Some open content ends.
    EndContent,
    /// What arrived of some content is used.
    UseContent,
    /// Either end gives some content up.
    Cancel,
    /// Either end offers new keys.
    OfferKeys,
    /// The connection is lost; the client returns.
    Lose,
    /// The server's clock is set by a day, forward or back.
    SetClock,
    /// Somebody in between does harm; it is found, and the client returns.
    Mutation,
}

impl Action {
    /// How often each happens, of [`Self::ALL_CHANCES`] times.
    pub const CHANCES: [(Self, usize); 12] = [
        (Self::Ask, 24),
        (Self::AskWithContent, 8),
        (Self::Tell, 6),
        (Self::AskForOptions, 2),
        (Self::SendContent, 16),
        (Self::EndContent, 8),
        (Self::UseContent, 8),
        (Self::Cancel, 6),
        (Self::OfferKeys, 16),
        (Self::Lose, 1),
        (Self::SetClock, 2),
        (Self::Mutation, 1),
    ];
    /// The sum of all chances.
    pub const ALL_CHANCES: usize = 98;

    /// The act that the dice say.
    pub fn some(choices: &mut Choices) -> Self {
        let mut thrown = choices.below(Self::ALL_CHANCES);
        for (act, chances) in Self::CHANCES {
            if thrown < chances {
                return act;
            }
            thrown -= chances;
        }
        Self::Ask
    }
}

impl Simulator<'_> {
    /// Lets this happen; the dice say the rest: how long, to whom, which way.
    pub fn act(&mut self, act: Action) {
        match act {
            Action::Ask => {
                let length = [0, 10, 300, 40_000][self.choices.below(4)];
                self.ask(length);
            }
            Action::AskWithContent => {
                let operation = operation(self.next_id, 10);
                self.next_id += 1;
                let session = &mut self.client.session;
                session.send_operation_with_content(&operation).unwrap();
                self.up.insert(operation.id, Stream::default());
                self.asked.insert(operation.id, operation);
            }
            Action::Tell => {
                if self.choices.one_in(2) {
                    self.client.session.keep_alive().unwrap();
                } else {
                    let length = [0, 300, 5_000][self.choices.below(3)];
                    self.tell(length);
                }
            }
            Action::AskForOptions => self.client.session.ask_for_options().unwrap(),
            Action::SendContent => self.send_content(),
            Action::EndContent => self.end_content(),
            Action::UseContent => self.use_content(),
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
            Action::Lose => self.lose(),
            Action::SetClock => {
                self.now = match self.choices.one_in(2) {
                    true => self.now + DAY,
                    // Not so far back that the way to the end of the session's time is long.
                    false => (self.now - DAY).max(START - DAY),
                };
            }
            Action::Mutation => self.mutation(),
        }
    }

    /// The client asks for an operation with so many bytes of parameters.
    pub(super) fn ask(&mut self, length: u64) {
        let operation = operation(self.next_id, length);
        self.next_id += 1;
        self.client.session.send_operation(&operation).unwrap();
        self.asked.insert(operation.id, operation);
    }

    /// The server tells the client something of that length.
    pub(super) fn tell(&mut self, length: usize) {
        let event = Event {
            group: "test".to_owned(),
            event: "told".to_owned(),
            data: to_raw_value(&"x".repeat(length)).unwrap(),
        };
        self.server.send_event(&event).unwrap();
        self.told.push_back(event);
    }

    /// Whether the session's time is over by the server's clock.
    pub(super) fn is_over(&self) -> bool {
        self.now >= EXPIRES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_has_its_chance() {
        let all: usize = Action::CHANCES.iter().map(|(_, chances)| chances).sum();
        assert_eq!(all, Action::ALL_CHANCES);
        let mut choices = Choices::seeded(1);
        let some: Vec<Action> = (0..5_000).map(|_| Action::some(&mut choices)).collect();
        for (act, _) in Action::CHANCES {
            assert!(some.contains(&act), "{act:?}");
        }
    }
}
