//! Messages between people of two sites.
//!
//! The sender's site numbers the messages of each pair of persons. The receiver's site keeps the
//! number of the last message of the pair, in the transaction that stores the message, so that each
//! message is stored once and in its order.

use std::str::FromStr;

use countersign_proto::name::AccountName;
use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SealedText;
use crate::id::{AccountId, MessageId};
use crate::text::is_allowed;
use crate::timestamp::Timestamp;

/// The longest text of a message, in bytes of UTF-8.
pub const MAX_MESSAGE: usize = 4_096;
/// The most messages of one person that wait for peers, or were refused and not discarded.
pub const MAX_OUTBOX: u64 = 1_000;
/// The most peers for which messages of one person wait. Each is a connection while the peer does
/// not answer: with more, one person could take the connections of all others.
pub const MAX_OUTBOX_PEERS: usize = 32;
/// The most persons of a peer to whom first messages of one person wait.
pub const MAX_NEW_RECIPIENTS: usize = 8;
/// The most messages in the inbox of one person. Further ones wait at their sender's site.
pub const MAX_INBOX: u64 = 1_000;

/// The text of a message: 1 to 4,096 bytes of UTF-8 without control characters other than line
/// ends and tabs, since terminals show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct MessageText(String);

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageTextError {
    /// It is empty or too long.
    #[error("a message has 1 to {MAX_MESSAGE} bytes")]
    Length,
    /// It has control characters.
    #[error("a message has no control characters except line ends and tabs")]
    Character,
}

impl MessageText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageText {
    type Err = MessageTextError;

    fn from_str(text: &str) -> Result<Self, MessageTextError> {
        if text.is_empty() || text.len() > MAX_MESSAGE {
            return Err(MessageTextError::Length);
        }
        let misleads =
            |character: char| !is_allowed(character) && !matches!(character, '\n' | '\t');
        match text.chars().any(misleads) {
            true => Err(MessageTextError::Character),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for MessageText {
    type Error = MessageTextError;

    fn try_from(text: String) -> Result<Self, MessageTextError> {
        text.parse()
    }
}

impl From<MessageText> for String {
    fn from(text: MessageText) -> Self {
        text.0
    }
}

/// A message that waits for a peer, or that the peer refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Its id.
    pub id: MessageId,
    /// The peer.
    pub peer: SiteId,
    /// The sender.
    pub own: AccountId,
    /// The recipient, with the zone that the peer claims.
    pub other: AccountName,
    /// Its number within the pair of persons. The store assigns it: at least the time of the
    /// message in milliseconds, so that numbers grow even after a backup was restored.
    pub number: u64,
    /// The text.
    pub text: SealedText,
    /// When it was sent.
    pub at: Timestamp,
    /// Its state.
    pub state: SendState,
}

/// The state of a message in the outbox. A message that the peer accepted is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendState {
    /// The peer has not accepted it yet.
    Waiting,
    /// The peer will not accept it, or its text is damaged.
    Refused {
        /// The reason, which the peer gave unless the text is damaged.
        why: String,
        /// When that was found.
        at: Timestamp,
    },
}

/// A message that a peer delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// Its id, which the sender's site chose.
    pub id: MessageId,
    /// The peer.
    pub peer: SiteId,
    /// The sender, as the peer claims.
    pub other: AccountName,
    /// The recipient.
    pub own: AccountId,
    /// Its number within the pair of persons.
    pub number: u64,
    /// The text.
    pub text: SealedText,
    /// When it was sent, by the peer's clock.
    pub sent: Timestamp,
    /// When this site accepted it.
    pub received: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_at_the_limit_is_accepted_and_one_byte_more_is_not() {
        let longest = "a".repeat(MAX_MESSAGE);
        assert!(longest.parse::<MessageText>().is_ok());
        for (text, expected) in [
            (String::new(), MessageTextError::Length),
            (longest + "a", MessageTextError::Length),
            ("\u{1b}[2J".to_owned(), MessageTextError::Character),
            ("\u{202e}txt".to_owned(), MessageTextError::Character),
        ] {
            assert_eq!(text.parse::<MessageText>(), Err(expected));
        }
        assert!("two\nlines\t".parse::<MessageText>().is_ok());
    }
}
