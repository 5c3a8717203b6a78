//! Enrolment tickets: one-time authority to register a key for an account.
//!
//! ```text
//!           right token, id and proof            the same key and id: the same answer
//!  Open ───────────────────────────────▶ Bound ─────┐
//!   │                                      │  ◀─────┘
//!   │ revoked, or a right token with       │ revoked, or the bound key with a wrong id or proof
//!   │ a wrong id, key or proof             ▼
//!   └──────────────────────────────────▶ Revoked
//! ```
//!
//! A ticket that has expired is of no use in any state. The site stores the SHA-256 of the token,
//! never the token.

use countersign_crypto::certificate::Thumbprint;
use countersign_proto::enrolment::{TicketKind, TokenHash};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, DeviceId, TicketId};
use crate::timestamp::Timestamp;

/// The most tickets of one account that can be open at a time.
pub const OPEN_TICKETS: usize = 64;
/// The longest lifetime of a ticket, in seconds: 7 days.
pub const MAX_LIFETIME: u32 = 7 * 24 * 60 * 60;
/// The lifetime of a ticket if its issuer names none, in seconds: 1 hour.
pub const USUAL_LIFETIME: u32 = 60 * 60;
/// The time after its expiry during which a ticket is still listed, in seconds: 7 days.
pub const LISTED_AFTER_EXPIRY: u32 = 7 * 24 * 60 * 60;

/// Why a ticket was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// Its person or an admin revoked it.
    ByHand,
    /// Its token came with another person's id.
    WrongId,
    /// Its token came to a dialog for another kind of ticket.
    WrongKind,
    /// Its token came with a proof that did not verify.
    WrongProof,
    /// Its token came with a key that an account has, or had.
    KeyInUse,
    /// Its token came from a site that claims the zone of another one.
    ZoneInUse,
    /// Its token came with an OPAQUE message, sealed identity or certificate that cannot be used.
    BadRecord,
    /// The person's pass phrase was set: an attacker who knew the previous one, or had an earlier
    /// ticket, must not keep a ticket.
    PassphraseChanged,
    /// A later ticket for a pass phrase was issued for its person.
    Replaced,
    /// Its person was locked or disabled.
    AccountLocked,
    /// The site has an admin: the ticket of the first admin creates no second one.
    ThereIsAnAdmin,
}

impl RevocationReason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::ByHand,
        Self::WrongId,
        Self::WrongKind,
        Self::WrongProof,
        Self::KeyInUse,
        Self::ZoneInUse,
        Self::BadRecord,
        Self::PassphraseChanged,
        Self::Replaced,
        Self::AccountLocked,
        Self::ThereIsAnAdmin,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::WrongId => "wrong_id",
            Self::WrongKind => "wrong_kind",
            Self::WrongProof => "wrong_proof",
            Self::KeyInUse => "key_in_use",
            Self::ZoneInUse => "zone_in_use",
            Self::BadRecord => "bad_record",
            Self::PassphraseChanged => "passphrase_changed",
            Self::Replaced => "replaced",
            Self::AccountLocked => "account_locked",
            Self::ThereIsAnAdmin => "there_is_an_admin",
        }
    }
}

/// The state of a ticket, apart from its expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketState {
    /// No key was presented with its token yet.
    Open,
    /// A key was registered with it.
    Bound {
        /// SHA-256 of the key's SubjectPublicKeyInfo.
        thumbprint: Thumbprint,
        /// The device that has the key; `None` if a pass phrase was set.
        device: Option<DeviceId>,
        /// When the key was registered.
        at: Timestamp,
    },
    /// It registers nothing any more.
    Revoked {
        /// When it was revoked.
        at: Timestamp,
        /// Why it was revoked.
        why: RevocationReason,
    },
}

/// An enrolment ticket as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentTicket {
    /// Its id; the ticket that a person gets does not contain it.
    pub id: TicketId,
    /// What the ticket can be used for.
    pub kind: TicketKind,
    /// The account that a key is registered for.
    pub account: AccountId,
    /// SHA-256 of its token; unique in the site.
    pub token_hash: TokenHash,
    /// When it was issued.
    pub issued: Timestamp,
    /// The first moment at which it is of no use any more.
    pub expires: Timestamp,
    /// Its state.
    pub state: TicketState,
}

/// What a right token is good for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usable {
    /// It registers the key.
    Registers,
    /// It registered this very key, for this device or a pass phrase: the answer is the same again.
    Repeats(Option<DeviceId>),
    /// It registered another key.
    SecondKey,
    /// It has expired.
    Expired,
    /// It was revoked.
    Revoked,
}

impl EnrolmentTicket {
    /// What its token is good for at `now`, when it comes with the key of that thumbprint.
    #[must_use]
    pub fn usable(&self, thumbprint: &Thumbprint, now: Timestamp) -> Usable {
        match self.state {
            TicketState::Revoked { .. } => Usable::Revoked,
            _ if now >= self.expires => Usable::Expired,
            TicketState::Open => Usable::Registers,
            TicketState::Bound {
                thumbprint: bound,
                device,
                ..
            } if bound == *thumbprint => Usable::Repeats(device),
            TicketState::Bound { .. } => Usable::SecondKey,
        }
    }

    /// Whether its token can still register a key at `now`.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        matches!(self.state, TicketState::Open) && now < self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Thumbprint = Thumbprint([1; 32]);
    const OTHER: Thumbprint = Thumbprint([2; 32]);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn ticket(state: TicketState) -> EnrolmentTicket {
        EnrolmentTicket {
            id: TicketId::from_bytes([3; 16]),
            kind: TicketKind::Device,
            account: AccountId::from_bytes([4; 16]),
            token_hash: TokenHash([6; 32]),
            issued: at(0),
            expires: at(60),
            state,
        }
    }

    fn bound() -> TicketState {
        TicketState::Bound {
            thumbprint: KEY,
            device: Some(DeviceId::from_bytes([5; 16])),
            at: at(1),
        }
    }

    #[test]
    fn an_open_ticket_registers_a_key_until_the_moment_of_its_expiry() {
        let ticket = ticket(TicketState::Open);
        let last = Timestamp::from_millis(59_999);
        assert_eq!(ticket.usable(&KEY, last), Usable::Registers);
        assert_eq!(ticket.usable(&KEY, at(60)), Usable::Expired);
        assert!(ticket.is_open(last) && !ticket.is_open(at(60)));
    }

    #[test]
    fn a_bound_ticket_answers_its_key_alone_and_until_it_expires() {
        let ticket = ticket(bound());
        let device = DeviceId::from_bytes([5; 16]);
        assert_eq!(ticket.usable(&KEY, at(2)), Usable::Repeats(Some(device)));
        assert_eq!(ticket.usable(&OTHER, at(2)), Usable::SecondKey);
        assert_eq!(ticket.usable(&KEY, at(60)), Usable::Expired);
        assert!(!ticket.is_open(at(2)));
    }

    #[test]
    fn a_revoked_ticket_registers_nothing() {
        let why = RevocationReason::WrongProof;
        let ticket = ticket(TicketState::Revoked { at: at(1), why });
        assert_eq!(ticket.usable(&KEY, at(2)), Usable::Revoked);
        assert_eq!(ticket.usable(&KEY, at(60)), Usable::Revoked);
    }
}
