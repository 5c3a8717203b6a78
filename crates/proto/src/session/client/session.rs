//! The client's end of a session.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;

use crate::operation::{Event, Operation, Outcome};
use crate::session::link::Link;
use crate::session::live::{Goodbye, Welcome};
use crate::session::message::{KeyExchangeMessage, Message};
use crate::session::option::{EncryptionOption, OptionList};
use crate::session::refusal::SessionRefusal;

use crate::site_identity::KnownSite;

use super::resume::Resumption;
use super::{ClientSettings, choice};

/// The result of a successful login.
pub struct LoggedIn {
    /// The open session.
    pub session: ClientSession,
    /// The site's welcome.
    pub welcome: Welcome,
    /// What is known of the site now. Store it for the next login.
    pub site: KnownSite,
    /// The person's identity, decrypted with the pass phrase. `None` for a service, which has its
    /// own.
    pub identity: Option<Box<Identity>>,
    /// The delivered key of a person with the option `delivered-key`. It can be stored as a key
    /// file.
    pub delivered: Option<Box<DeliveredKey>>,
    /// Resumes the session after a lost connection.
    pub resumption: Resumption,
}

/// The client's end of a session.
pub struct ClientSession {
    link: Link,
    expires: u64,
    accepted: Vec<EncryptionOption>,
    own_order: bool,
}

/// A message from the site.
#[derive(Debug, PartialEq)]
pub enum FromSite {
    /// The result of an operation.
    Outcome(Outcome),
    /// The result of an operation; content follows it.
    OutcomeWithContent(Outcome),
    /// A piece of a result's content. Call [`ClientSession::consumed`] once it is used.
    Content {
        /// The operation's id.
        id: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// The content of that result is complete and its digest is correct.
    ContentEnd {
        /// The operation's id.
        id: u64,
    },
    /// The site abandons the content of that operation, in both directions.
    Cancelled {
        /// The operation's id.
        id: u64,
    },
    /// An event, which is not the result of an operation.
    Event(Event),
    /// The encryption options that the site has on offer now.
    Options(OptionList),
    /// The site offers new keys: answer with [`ClientSession::answer_keys`].
    KeyOffer(ClientKeyOffer),
    /// The site answered the offer of new keys. `false` if it declined: the keys do not change.
    KeysRenewed(bool),
    /// The site ends the session.
    Goodbye(Goodbye),
}

/// A site's offer of new keys, which needs an answer.
#[derive(Debug, PartialEq)]
pub struct ClientKeyOffer(pub(in crate::session) KeyExchangeMessage);

impl ClientSession {
    pub(super) fn new(link: Link, welcome: &Welcome, settings: &ClientSettings) -> Self {
        Self {
            link,
            expires: welcome.expires,
            accepted: settings.accepted.clone(),
            own_order: settings.own_order,
        }
    }

    /// When the session expires unless its keys are renewed, in milliseconds since 1970 UTC by the
    /// site's clock.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The encryption option of the present keys.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.link.option()
    }

    /// Decrypts the packets of `input` in place and appends their messages to `got`. Returns how
    /// many bytes were used; pass the rest again, together with the bytes that follow.
    ///
    /// # Errors
    /// A [`SessionRefusal`] ends the session: no later packet can be trusted.
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

    /// Queues an operation. The caller chooses its id, below [`u64::MAX`]. Results carry the id and
    /// arrive in any order.
    ///
    /// # Errors
    /// [`SessionRefusal::Expired`] if the session's key has encrypted as much as it may.
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

    /// Whether that operation accepts more content now. Also `false` after it was cancelled.
    #[must_use]
    pub fn wants_content(&self, id: u64) -> bool {
        self.link.wants_content(id)
    }

    /// Queues a piece of an operation's content.
    pub fn send_content(&mut self, id: u64, bytes: Vec<u8>) {
        self.link.send_content(id, bytes);
    }

    /// Reports that the operation's content is complete.
    pub fn end_content(&mut self, id: u64) {
        self.link.end_content(id);
    }

    /// Cancels the content of an operation in both directions.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn cancel(&mut self, id: u64) -> Result<(), SessionRefusal> {
        self.link.cancel(id)
    }

    /// Reports that the application consumed pieces of a result's content that [`piece_cost`]
    /// counts as `bytes`. The site may then send that much more.
    ///
    /// [`piece_cost`]: crate::session::limits::piece_cost
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
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

    /// Offers new keys for the present option or another enabled one. If the site accepts, it also
    /// extends the session. Packets continue under the old keys meanwhile. Returns `false` if a key
    /// exchange is in progress.
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

    /// Whether a key exchange is in progress.
    #[must_use]
    pub fn is_renewing_keys(&self) -> bool {
        self.link.is_renewing_keys()
    }

    /// Answers the site's offer of new keys and returns whether it was accepted. An offer for an
    /// option that is neither accepted by this client nor in use is declined.
    ///
    /// # Errors
    /// [`SessionRefusal::BadMessage`] if the offer is malformed.
    pub fn answer_keys(
        &mut self,
        offer: &ClientKeyOffer,
        entropy: &mut dyn Entropy,
    ) -> Result<bool, SessionRefusal> {
        let mut accepted = self.accepted.clone();
        accepted.push(self.link.option());
        self.link.answer_keys(&offer.0, &accepted, None, entropy)
    }

    /// The option that this client chooses from the list.
    #[must_use]
    pub fn choose(&self, options: &OptionList) -> Option<EncryptionOption> {
        choice(&self.accepted, self.own_order, options)
    }

    /// Requests the encryption options that the site enables now.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn ask_for_options(&mut self) -> Result<(), SessionRefusal> {
        self.link.send_options_request()
    }

    /// Queues a NOP, so that the session is not idle.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn keep_alive(&mut self) -> Result<(), SessionRefusal> {
        self.link.send_nop()
    }

    /// Queues the end of the session. Send nothing after it.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
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
    /// As for [`Self::send_operation`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        self.link.flush(out)
    }
}
