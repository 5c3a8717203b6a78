//! The server's end of a session.

use countersign_crypto::entropy::Entropy;

use crate::operation::{Event, Operation, Outcome};
use crate::session::limits::DEFAULT_MESSAGE_BYTES;
use crate::session::link::Link;
use crate::session::live::Goodbye;
use crate::session::message::{KeyExchangeMessage, Message};
use crate::session::option::{EncryptionOption, OptionList};
use crate::session::refusal::SessionRefusal;

/// The server's end of a session.
pub struct ServerSession {
    link: Link,
    early: Vec<Message>,
    expires: u64,
}

/// A message from the client.
#[derive(Debug, PartialEq)]
pub enum FromClient {
    /// An operation to run.
    Operation(Operation),
    /// An operation to run; content follows it.
    OperationWithContent(Operation),
    /// A piece of an operation's content. Call [`ServerSession::consumed`] once it is used.
    Content {
        /// The operation's id.
        id: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// The content of that operation is complete and its digest is correct.
    ContentEnd {
        /// The operation's id.
        id: u64,
    },
    /// The client cancels the content of that operation in both directions.
    Cancelled {
        /// The operation's id.
        id: u64,
    },
    /// A message that is not a valid operation. Respond with a failed result; the session
    /// continues.
    BadOperation {
        /// The id to respond to.
        id: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The client requests the encryption options. Respond with [`ServerSession::send_options`].
    OptionsRequest,
    /// The client offers new keys. Respond with [`ServerSession::answer_keys`].
    KeyOffer(ServerKeyOffer),
    /// The client answered the offer of new keys. `false` if it declined: the keys do not change.
    KeysRenewed(bool),
    /// The client ends the session.
    Goodbye(Goodbye),
}

/// A client's offer of new keys, which needs an answer.
#[derive(Debug, PartialEq)]
pub struct ServerKeyOffer(KeyExchangeMessage);

impl ServerSession {
    pub(super) fn new(link: Link, early: Vec<Message>, expires: u64) -> Self {
        Self {
            link,
            early,
            expires,
        }
    }

    /// When the session expires, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The encryption option of the present keys.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.link.option()
    }

    /// Sets the maximum length of parameters, in bytes; the default is 16 MiB. Content is not
    /// counted.
    pub fn set_max_params(&mut self, bytes: usize) {
        self.link.set_max_message(bytes.min(DEFAULT_MESSAGE_BYTES));
    }

    /// Decrypts the packets of `input` in place and appends their messages to `got`. Returns how
    /// many bytes were used; pass the rest again, together with the bytes that follow. `now` is in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// A [`SessionRefusal`] ends the session: no later packet can be trusted.
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
    /// [`SessionRefusal::Expired`] if the session's key has encrypted as much as it may.
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

    /// Whether that result accepts more content now. Also `false` after it was cancelled.
    #[must_use]
    pub fn wants_content(&self, id: u64) -> bool {
        self.link.wants_content(id)
    }

    /// Queues a piece of a result's content.
    pub fn send_content(&mut self, id: u64, bytes: Vec<u8>) {
        self.link.send_content(id, bytes);
    }

    /// Reports that the result's content is complete.
    pub fn end_content(&mut self, id: u64) {
        self.link.end_content(id);
    }

    /// Cancels an operation's content or a result's, in both directions.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn cancel(&mut self, id: u64) -> Result<(), SessionRefusal> {
        self.link.cancel(id)
    }

    /// Reports that the application consumed pieces of an operation's content that [`piece_cost`]
    /// counts as `bytes`. The client may then send that much more.
    ///
    /// [`piece_cost`]: crate::session::limits::piece_cost
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn consumed(&mut self, id: u64, bytes: u64) -> Result<(), SessionRefusal> {
        self.link.consumed(id, bytes)
    }

    /// Whether new keys are due, by the number of bytes under the present ones.
    #[must_use]
    pub fn wants_rekey(&self) -> bool {
        self.link.wants_rekey()
    }

    /// Sets after how many bytes in one direction [`Self::wants_rekey`] asks for new keys; the
    /// default is 64 GiB.
    pub fn set_rekey_after(&mut self, bytes: u64) {
        self.link.set_rekey_after(bytes);
    }

    /// Offers new keys for the present option. Packets continue under the old keys meanwhile.
    /// Returns `false` if a key exchange is in progress.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn offer_keys(&mut self, entropy: &mut dyn Entropy) -> Result<bool, SessionRefusal> {
        self.link.offer_keys(self.link.option(), entropy)
    }

    /// Answers the client's offer of new keys and returns whether it was accepted. Accepting renews
    /// the session until `expires`, in milliseconds since 1970 UTC. An offer for an option that is
    /// not enabled is declined.
    ///
    /// # Errors
    /// [`SessionRefusal::BadMessage`] if the offer is malformed.
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

    /// Queues the enabled encryption options.
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

    /// Queues the end of the session. Send nothing after it.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn send_goodbye(&mut self, reason: Goodbye) -> Result<(), SessionRefusal> {
        self.link.send_goodbye(reason)
    }

    /// The number of queued bytes without content.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.link.queued_bytes()
    }

    /// Seals queued messages in as few packets as possible and appends them to `out`. Long messages
    /// and content are sealed only while `out` is within [`SEALED_AHEAD`]: call it again once that
    /// was sent.
    ///
    /// [`SEALED_AHEAD`]: crate::session::limits::SEALED_AHEAD
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        self.link.flush(out)
    }
}
