//! The server's end of a live session.

use countersign_crypto::entropy::Entropy;

use crate::operation::{Event, Operation, Outcome};
use crate::session::limits::DEFAULT_MESSAGE_BYTES;
use crate::session::link::Link;
use crate::session::live::Goodbye;
use crate::session::message::{KeyWords, Message};
use crate::session::option::{EncryptionOption, OptionList};
use crate::session::refusal::SessionRefusal;

/// The server's end of a live session.
pub struct ServerSession {
    link: Link,
    early: Vec<Message>,
    expires: u64,
}

/// What a client sends.
#[derive(Debug, PartialEq)]
pub enum FromClient {
    /// An operation to run.
    Operation(Operation),
    /// An operation to run; content follows it.
    OperationWithContent(Operation),
    /// A piece of the content of an operation. Say when it is used, with [`ServerSession::consumed`].
    Content {
        /// The operation's id.
        id: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// The content of that operation is whole, and its digest is right.
    ContentEnd {
        /// The operation's id.
        id: u64,
    },
    /// The client abandons the content of that operation, in both directions.
    Cancelled {
        /// The operation's id.
        id: u64,
    },
    /// Something that is no operation; it is answered with a result, and the session goes on.
    BadOperation {
        /// The id to answer.
        id: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The client asks for the encryption options: answer with [`ServerSession::send_options`].
    OptionsRequest,
    /// The client offers new keys: answer with [`ServerSession::answer_keys`].
    KeyOffer(ServerKeyOffer),
    /// The client has answered the offer of new keys; `false` when it declined and the keys stay.
    KeysRenewed(bool),
    /// The client ends the session.
    Goodbye(Goodbye),
}

/// An offer of new keys that is to be answered.
#[derive(Debug, PartialEq)]
pub struct ServerKeyOffer(KeyWords);

impl ServerSession {
    pub(super) fn new(link: Link, early: Vec<Message>, expires: u64) -> Self {
        Self {
            link,
            early,
            expires,
        }
    }

    /// When the session stops being accepted, milliseconds since 1970 UTC.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The encryption option of the present keys.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.link.option()
    }

    /// Takes parameters of at most this many bytes, in place of 16 MiB. Content is not counted.
    pub fn set_max_params(&mut self, bytes: usize) {
        self.link.set_max_message(bytes.min(DEFAULT_MESSAGE_BYTES));
    }

    /// Opens the packets of `input` in place and appends what they say to `got`. Returns how many bytes
    /// were used; what was not is given again, with what follows it.
    ///
    /// # Errors
    /// A [`SessionRefusal`] ends the session: nothing that follows can be trusted.
    pub fn receive(
        &mut self,
        now: u64,
        input: &mut [u8],
        got: &mut Vec<FromClient>,
    ) -> Result<usize, SessionRefusal> {
        if now >= self.expires {
            return Err(SessionRefusal::Expired);
        }
        let mut messages = std::mem::take(&mut self.early);
        let used = self.link.receive(input, &mut messages)?;
        for message in messages {
            got.push(match message {
                Message::Operation(operation, false) => FromClient::Operation(operation),
                Message::Operation(operation, true) => FromClient::OperationWithContent(operation),
                Message::Content { id, bytes } => FromClient::Content { id, bytes },
                Message::ContentEnd { id } => FromClient::ContentEnd { id },
                Message::Cancelled { id, .. } => FromClient::Cancelled { id },
                Message::BadOperation { id, problem } => FromClient::BadOperation { id, problem },
                Message::OptionsRequest => FromClient::OptionsRequest,
                Message::KeyOffer(words) => FromClient::KeyOffer(ServerKeyOffer(words)),
                Message::KeyAnswer(words) => FromClient::KeysRenewed(words.option != 0),
                Message::Goodbye(reason) => FromClient::Goodbye(Goodbye::from_wire(reason)),
                Message::Credit { .. } | Message::Rekeyed => continue,
                Message::Outcome(..) | Message::Event(_) | Message::Options(_) => {
                    return Err(SessionRefusal::BadMessage("a result from a client"));
                }
            });
        }
        Ok(used)
    }

    /// Queues a result.
    ///
    /// # Errors
    /// [`SessionRefusal::Expired`] when the session's key has sealed all that it may.
    pub fn send_outcome(&mut self, outcome: &Outcome) -> Result<(), SessionRefusal> {
        self.link.send_outcome(outcome, false)
    }

    /// Queues a result whose content follows with [`Self::send_content`].
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn send_outcome_with_content(&mut self, outcome: &Outcome) -> Result<(), SessionRefusal> {
        self.link.send_outcome(outcome, true)
    }

    /// Whether that result takes more content now; `false` also when it takes none at all any more.
    #[must_use]
    pub fn wants_content(&self, id: u64) -> bool {
        self.link.wants_content(id)
    }

    /// Queues a piece of a result's content.
    pub fn send_content(&mut self, id: u64, bytes: Vec<u8>) {
        self.link.send_content(id, bytes);
    }

    /// The result's content is all queued.
    pub fn end_content(&mut self, id: u64) {
        self.link.end_content(id);
    }

    /// Wants no more of an operation's content, or has no more of a result's: both end.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn cancel(&mut self, id: u64) -> Result<(), SessionRefusal> {
        self.link.cancel(id)
    }

    /// Pieces of an operation's content were used that [`piece_cost`] counts as so many bytes; the client
    /// may send as much more.
    ///
    /// [`piece_cost`]: crate::session::limits::piece_cost
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn consumed(&mut self, id: u64, bytes: u64) -> Result<(), SessionRefusal> {
        self.link.consumed(id, bytes)
    }

    /// Whether it is time to offer new keys, for what the present ones have done.
    #[must_use]
    pub fn wants_rekey(&self) -> bool {
        self.link.wants_rekey()
    }

    /// Wants new keys after this many bytes in one direction, in place of 64 GiB.
    pub fn set_rekey_after(&mut self, bytes: u64) {
        self.link.set_rekey_after(bytes);
    }

    /// Offers new keys for the present option. Packets go on under the old keys meanwhile. `false` when
    /// an exchange is under way already.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn offer_keys(&mut self, entropy: &mut dyn Entropy) -> Result<bool, SessionRefusal> {
        self.link.offer_keys(self.link.option(), entropy)
    }

    /// Answers the client's offer of new keys; with them the session is renewed: it expires at `expires`,
    /// milliseconds since 1970 UTC. An offer for an option that is not on offer is declined and renews
    /// nothing; whether it was accepted.
    ///
    /// # Errors
    /// [`SessionRefusal::BadMessage`] when the offer is none.
    pub fn answer_keys(
        &mut self,
        offer: &ServerKeyOffer,
        options: &OptionList,
        expires: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<bool, SessionRefusal> {
        let accepted = self
            .link
            .answer_keys(&offer.0, options.ranked(), Some(expires), entropy)?;
        if accepted {
            self.expires = expires;
        }
        Ok(accepted)
    }

    /// Queues the encryption options on offer.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn send_options(&mut self, options: &OptionList) -> Result<(), SessionRefusal> {
        self.link.send_options(options)
    }

    /// Queues an event.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn send_event(&mut self, event: &Event) -> Result<(), SessionRefusal> {
        self.link.send_event(event)
    }

    /// Queues the end of the session; send nothing after it.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn send_goodbye(&mut self, reason: Goodbye) -> Result<(), SessionRefusal> {
        self.link.send_goodbye(reason)
    }

    /// Bytes that wait to be flushed, or for their turn; content is not counted.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.link.queued_bytes()
    }

    /// Seals what is queued, as few packets as it fits, and appends them to `out`. Of long messages and
    /// content only as much as keeps `out` within [`SEALED_AHEAD`]: call it again when that was sent.
    ///
    /// [`SEALED_AHEAD`]: crate::session::limits::SEALED_AHEAD
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        self.link.flush(out)
    }
}
