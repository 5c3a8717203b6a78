//! Sessions: what is known of one, and the registry of those that are open.

mod events;
mod fresh;
mod registry;

use std::fmt;

use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;
use countersign_proto::session::EncryptionOption;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Caller, Channel, Role};
use crate::id::{AccountId, DeviceId, SessionId};
use crate::timestamp::Timestamp;

pub use events::{Audience, EventSink, Events};
pub(crate) use fresh::{Challenge, Fresh};
pub use registry::{CutHook, Resume, Room, SessionRegistry, Suspension};

/// What is known of an open session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// The account's name.
    pub name: AccountName,
    /// What the account may do.
    pub role: Role,
    /// The encryption option in use; `None` for the connection of a device, which is encrypted with TLS 1.3.
    pub option: Option<EncryptionOption>,
    /// Where it comes from: the peer's address.
    pub peer: String,
    /// What was proved.
    pub proof: Proof,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends unless its keys are renewed.
    pub expires: Timestamp,
    /// When it ends for good: then its account has to log in anew.
    pub ends: Timestamp,
    /// Whether it has a connection; without one it is suspended.
    pub connected: bool,
    /// Which of its connections this is; the first is 0.
    pub connection: u32,
}

impl SessionInfo {
    /// The name of the encryption option in use; `tls` for the connection of a device.
    #[must_use]
    pub fn option_name(&self) -> &'static str {
        self.option.map_or("tls", EncryptionOption::name)
    }

    /// The account as a caller of operations.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller {
            account: Some(self.account),
            name: self.name.to_string(),
            role: self.role,
            channel: match self.proof {
                Proof::Passphrase | Proof::Key(_) | Proof::DeliveredKey(_) => Channel::Session,
                Proof::Device(_) => Channel::Device,
            },
            session: Some(self.id),
        }
    }
}

/// What an account proved to get its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A pass phrase.
    Passphrase,
    /// The key of that thumbprint.
    Key(Thumbprint),
    /// The key of that thumbprint, which was delivered and opened with its pass phrase.
    DeliveredKey(Thumbprint),
    /// The key of a device, in the TLS handshake of its connection.
    Device(DeviceId),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The account said goodbye.
    Goodbye,
    /// The connection broke.
    ConnectionLost,
    /// The peer sent what does not belong into the dialog.
    ProtocolFault,
    /// Its time was over.
    Expired,
    /// Nothing was said for too long.
    Idle,
    /// Its client resumed it over another connection; the session goes on there.
    Replaced,
    /// The site is stopping.
    SiteStopping,
    /// Somebody cut it by hand.
    Cut,
    /// Its account was locked or disabled.
    AccountLocked,
    /// Its account was deleted.
    AccountDeleted,
    /// Its account was renamed or given another role.
    AccountChanged,
    /// Its key was revoked.
    KeyRevoked,
    /// The pass phrase of its account was changed.
    PassphraseChanged,
    /// Its encryption option was taken off, and the sessions that used it with it.
    OptionDisabled,
    /// Too many fresh proofs in it did not hold.
    NotProved,
}

impl CloseReason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::ConnectionLost => "connection_lost",
            Self::ProtocolFault => "protocol_fault",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Replaced => "replaced",
            Self::SiteStopping => "site_stopping",
            Self::Cut => "cut",
            Self::AccountLocked => "account_locked",
            Self::AccountDeleted => "account_deleted",
            Self::AccountChanged => "account_changed",
            Self::KeyRevoked => "key_revoked",
            Self::PassphraseChanged => "passphrase_changed",
            Self::OptionDisabled => "option_disabled",
            Self::NotProved => "not_proved",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
