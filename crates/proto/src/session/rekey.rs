//! Key renewal within a session, without a pause (`docs/protocol/session.md`, New keys).
//!
//! ```text
//!   offering end                        answering end
//!     | REKEY, KEY-SHARE  ------------->  |   packets go on under the old keys
//!     | <-------- REKEY-ANSWER, KEY-SHARE |   its next packet is under the new key
//!     | REKEYED ----------------------->  |   its next packet is under the new key
//! ```
//!
//! The new keys are derived from the session's chain key and from a fresh key exchange. An attacker
//! who learns only one of them learns no key.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::hash::Sha256;
use countersign_crypto::kdf::derive;
use countersign_crypto::secret::{Secret, SecretBytes};

use super::exchange::{self, Offering};
use super::keys::Established;
use super::option::EncryptionOption;
use super::refusal::SessionRefusal;

/// An end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

/// The keys of both directions after one exchange.
pub(crate) struct NewKeys {
    pub(crate) option: EncryptionOption,
    pub(crate) read: Secret<32>,
    pub(crate) write: Secret<32>,
}

/// The state of key renewal.
pub(crate) struct Rekeying {
    end: End,
    option: EncryptionOption,
    chain: Secret<32>,
    offering: Option<Offering>,
    /// The peer's offer has no answer yet.
    offered: bool,
    /// This end answered. The peer's packets after REKEYED use this key.
    next_read: Option<(EncryptionOption, Secret<32>)>,
}

impl Rekeying {
    pub(crate) fn new(end: End, established: &Established) -> Self {
        Self {
            end,
            option: established.option,
            chain: established.chain.clone(),
            offering: None,
            offered: false,
            next_read: None,
        }
    }

    /// The option of the present keys.
    pub(crate) fn option(&self) -> EncryptionOption {
        self.option
    }

    /// Starts a key exchange. Returns the share to send, or `None` if an exchange is in progress.
    pub(crate) fn offer(
        &mut self,
        option: EncryptionOption,
        entropy: &mut dyn Entropy,
    ) -> Option<Vec<u8>> {
        if self.in_progress() {
            return None;
        }
        let offering = Offering::new(option, entropy);
        let share = offering.share().to_vec();
        self.offering = Some(offering);
        Some(share)
    }

    /// Whether an exchange is in progress.
    pub(crate) fn in_progress(&self) -> bool {
        self.offering.is_some() || self.offered || self.next_read.is_some()
    }

    /// Records the peer's offer, and returns whether to answer it. If both ends offer at once, the
    /// client's offer wins.
    pub(crate) fn record_offer(&mut self) -> Result<bool, SessionRefusal> {
        if self.next_read.is_some() || self.offered {
            return Err(SessionRefusal::BadMessage(
                "an offer of keys before the last one is settled",
            ));
        }
        if self.offering.is_some() && self.end == End::Client {
            return Ok(false);
        }
        self.offering = None;
        self.offered = true;
        Ok(true)
    }

    /// Declines the offer: the keys do not change.
    pub(crate) fn decline(&mut self) {
        self.offered = false;
    }

    /// Answers an offer: returns the share to send, and the keys. Use the write key from the next
    /// packet on, and the read key after REKEYED.
    pub(crate) fn answer(
        &mut self,
        option: EncryptionOption,
        offer: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(Vec<u8>, NewKeys), SessionRefusal> {
        let (share, secret) = exchange::answer(option, offer, entropy)?;
        let keys = self.renew(option, &secret, offer, &share);
        self.offered = false;
        self.next_read = Some((option, keys.read.clone()));
        Ok((share, keys))
    }

    /// Processes the peer's answer: returns the keys, or `None` if it declined.
    pub(crate) fn process_answer(
        &mut self,
        option: u16,
        answer: &[u8],
    ) -> Result<Option<NewKeys>, SessionRefusal> {
        let offering = self.offering.take();
        let offering =
            offering.ok_or(SessionRefusal::BadMessage("an answer to no offer of keys"))?;
        if option == 0 {
            return Ok(None);
        }
        let chosen = offering.option();
        if option != chosen.id() {
            return Err(SessionRefusal::BadMessage(
                "an answer to another offer of keys",
            ));
        }
        let offer = offering.share().to_vec();
        let secret = offering.finish(answer)?;
        Ok(Some(self.renew(chosen, &secret, &offer, answer)))
    }

    /// Processes REKEYED: the peer's packets from now on use its new key.
    pub(crate) fn process_rekeyed(
        &mut self,
    ) -> Result<(EncryptionOption, Secret<32>), SessionRefusal> {
        let next = self.next_read.take();
        next.ok_or(SessionRefusal::BadMessage("REKEYED without an exchange"))
    }

    fn renew(
        &mut self,
        option: EncryptionOption,
        secret: &SecretBytes,
        offer: &[u8],
        answer: &[u8],
    ) -> NewKeys {
        let mut transcript = Sha256::new();
        transcript.update(&option.id().to_be_bytes());
        transcript.update(offer);
        transcript.update(answer);
        let transcript = transcript.finish();
        let known = SecretBytes::from([&self.chain.expose()[..], secret.expose()].concat());
        let fresh: Secret<32> = derive(known.expose(), "new keys", &transcript);
        let from_client = derive(fresh.expose(), "packets from client", &transcript);
        let from_server = derive(fresh.expose(), "packets from server", &transcript);
        self.chain = derive(fresh.expose(), "chain", &transcript);
        self.option = option;
        let (read, write) = match self.end {
            End::Client => (from_server, from_client),
            End::Server => (from_client, from_server),
        };
        NewKeys {
            option,
            read,
            write,
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;

    use super::*;

    /// [SES-45] The second offer in one read arrives before an answer to the first is possible.
    #[test]
    fn only_one_key_offer_is_pending_at_a_time() {
        let option = EncryptionOption::X25519Aes256Gcm;
        let established = Established::new(option, &[1; 32], &[2; 32], 65_536);
        let rekeying = || Rekeying::new(End::Server, &established);

        let mut answered = rekeying();
        assert_eq!(answered.record_offer(), Ok(true));
        let share = Offering::new(option, &mut SystemEntropy).share().to_vec();
        answered.answer(option, &share, &mut SystemEntropy).unwrap();
        assert!(answered.record_offer().is_err() && answered.process_rekeyed().is_ok());
        assert_eq!(answered.record_offer(), Ok(true));

        let mut declined = rekeying();
        assert_eq!(declined.record_offer(), Ok(true));
        assert!(declined.offer(option, &mut SystemEntropy).is_none());
        assert!(declined.record_offer().is_err());
        declined.decline();
        assert_eq!(declined.record_offer(), Ok(true));
    }
}
