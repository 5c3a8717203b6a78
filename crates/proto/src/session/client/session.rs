//! The client's end of a live session.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;

use crate::operation::{Event, Operation, Outcome};
use crate::session::link::Link;
use crate::session::live::{Goodbye, Welcome};
use crate::session::message::{KeyWords, Message};
use crate::session::option::{EncryptionOption, OptionList};
use crate::session::refusal::SessionRefusal;

use super::resume::Resumption;
use super::{ClientSettings, choice};

/// A login that succeeded.
pub struct LoggedIn {
    /// The open session.
    pub session: ClientSession,
    /// What the site said first.
    pub welcome: Welcome,
    /// The person's own identity, recovered with the pass phrase; a service has its own.
    pub identity: Option<Box<Identity>>,
    /// What the site delivered of a person with the option `delivered-key`: to be kept as a key file, if
    /// one likes.
    pub delivered: Option<Box<DeliveredKey>>,
    /// What the client resumes the session with, should the connection be lost.
    pub resumption: Resumption,
}

/// The client's end of a live session.
pub struct ClientSession {
    link: Link,
    expires: u64,
    accepted: Vec<EncryptionOption>,
    own_order: bool,
}

/// What a site sends.
#[derive(Debug, PartialEq)]
pub enum FromSite {
    /// The result of an operation.
    Outcome(Outcome),
    /// The result of an operation; content follows it.
    OutcomeWithContent(Outcome),
    /// A piece of the content of a result. Say when it is used, with [`ClientSession::consumed`].
    Content {
        /// The operation's id.
        id: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// The content of that result is whole, and its digest is right.
    ContentEnd {
        /// The operation's id.
        id: u64,
    },
    /// The site abandons the content of that operation, in both directions.
    Cancelled {
        /// The operation's id.
        id: u64,
    },
    /// Something nobody asked for.
    Event(Event),
    /// The encryption options that the site has on offer now.
    Options(OptionList),
    /// The site offers new keys: answer with [`ClientSession::answer_keys`].
    KeyOffer(ClientKeyOffer),
    /// The site has answered the offer of new keys; `false` when it declined and the keys stay.
    KeysRenewed(bool),
    /// The site ends the session.
    Goodbye(Goodbye),
}

/// An offer of new keys that is to be answered.
#[derive(Debug, PartialEq)]
pub struct ClientKeyOffer(pub(in crate::session) KeyWords);

impl ClientSession {
    pub(super) fn new(link: Link, welcome: &Welcome, settings: &ClientSettings) -> Self {
        Self {
            link,
            expires: welcome.expires,
            accepted: settings.accepted.clone(),
            own_order: settings.own_order,
        }
    }

    /// Takes results of at most this many bytes, in place of 16 MiB. Content is not counted.
    pub fn set_max_result(&mut self, bytes: usize) {
        self.link.set_max_message(bytes);
    }

    /// When the session stops being accepted unless its keys are renewed, milliseconds since 1970 UTC by
    /// the site's clock.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The encryption option of the present keys.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.link.option()
    }

    /// Opens the packets of `input` in place and appends what they say to `got`. Returns how many bytes
    /// were used; what was not is given again, with what follows it.
    ///
    /// # Errors
    /// A [`SessionRefusal`] ends the session: nothing that follows can be trusted.
    pub fn receive(
        &mut self,
        input: &mut [u8],
        got: &mut Vec<FromSite>,
    ) -> Result<usize, SessionRefusal> {
        let mut messages = Vec::new();
        let used = self.link.receive(input, &mut messages)?;
        for message in messages {
            got.push(match message {
                Message::Outcome(outcome, false) => FromSite::Outcome(outcome),
                Message::Outcome(outcome, true) => FromSite::OutcomeWithContent(outcome),
                Message::Content { id, bytes } => FromSite::Content { id, bytes },
                Message::ContentEnd { id } => FromSite::ContentEnd { id },
                Message::Cancelled { id, .. } => FromSite::Cancelled { id },
                Message::Event(event) => FromSite::Event(event),
                Message::Options(list) => FromSite::Options(list),
                Message::KeyOffer(words) => FromSite::KeyOffer(ClientKeyOffer(words)),
                Message::KeyAnswer(words) => {
                    self.expires = words.expires.unwrap_or(self.expires);
                    FromSite::KeysRenewed(words.option != 0)
                }
                Message::Goodbye(reason) => FromSite::Goodbye(Goodbye::from_wire(reason)),
                Message::Credit { .. } | Message::Rekeyed => continue,
                Message::Operation(..) | Message::BadOperation { .. } | Message::OptionsRequest => {
                    return Err(SessionRefusal::BadMessage("an operation from a site"));
                }
            });
        }
        Ok(used)
    }

    /// Queues an operation. Its id is the caller's, below [`u64::MAX`]; results name it, in any order.
    ///
    /// # Errors
    /// [`SessionRefusal::Expired`] when the session's key has sealed all that it may.
    pub fn send_operation(&mut self, operation: &Operation) -> Result<(), SessionRefusal> {
        self.link.send_operation(operation, false)
    }

    /// Queues an operation whose content follows with [`Self::send_content`].
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn send_operation_with_content(
        &mut self,
        operation: &Operation,
    ) -> Result<(), SessionRefusal> {
        self.link.send_operation(operation, true)
    }

    /// Whether that operation takes more content now; `false` also when it takes none at all any more.
    #[must_use]
    pub fn wants_content(&self, id: u64) -> bool {
        self.link.wants_content(id)
    }

    /// Queues a piece of an operation's content.
    pub fn send_content(&mut self, id: u64, bytes: Vec<u8>) {
        self.link.send_content(id, bytes);
    }

    /// The operation's content is all queued.
    pub fn end_content(&mut self, id: u64) {
        self.link.end_content(id);
    }

    /// Wants no more of an operation's content, in either direction.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn cancel(&mut self, id: u64) -> Result<(), SessionRefusal> {
        self.link.cancel(id)
    }

    /// Pieces of a result's content were used that [`piece_cost`] counts as so many bytes; the site may
    /// send as much more.
    ///
    /// [`piece_cost`]: crate::session::limits::piece_cost
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
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

    /// Offers new keys, which also renew the session's time: for the present option, or for another one
    /// that the site has on offer. Packets go on under the old keys meanwhile. `false` when an exchange
    /// is under way already.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn offer_keys(
        &mut self,
        option: EncryptionOption,
        entropy: &mut dyn Entropy,
    ) -> Result<bool, SessionRefusal> {
        self.link.offer_keys(option, entropy)
    }

    /// Whether an exchange of keys is under way.
    #[must_use]
    pub fn renews(&self) -> bool {
        self.link.renews()
    }

    /// Answers the site's offer of new keys. One for an option that this client does not accept, and that
    /// is not the present one, is declined; whether it was accepted.
    ///
    /// # Errors
    /// [`SessionRefusal::BadMessage`] when the offer is none.
    pub fn answer_keys(
        &mut self,
        offer: &ClientKeyOffer,
        entropy: &mut dyn Entropy,
    ) -> Result<bool, SessionRefusal> {
        let mut accepted = self.accepted.clone();
        accepted.push(self.link.option());
        self.link.answer_keys(&offer.0, &accepted, None, entropy)
    }

    /// Which of these options this client takes.
    #[must_use]
    pub fn choose(&self, options: &OptionList) -> Option<EncryptionOption> {
        choice(&self.accepted, self.own_order, options)
    }

    /// Asks for the encryption options that the site has on offer now.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn ask_for_options(&mut self) -> Result<(), SessionRefusal> {
        self.link.send_options_request()
    }

    /// Queues a NOP: the session is not idle.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn keep_alive(&mut self) -> Result<(), SessionRefusal> {
        self.link.send_nop()
    }

    /// Queues the end of the session; send nothing after it.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
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
    /// As for [`Self::send_operation`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        self.link.flush(out)
    }
}
