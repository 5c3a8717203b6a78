//! Sessions: the description of one, the registry of open sessions, and their event streams.

mod event_streams;
mod events;
mod fresh;
mod kept_events;
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

pub use event_streams::{
    EventStreamId, EventStreamLimits, EventStreamSink, OpenedStream, TooManyEventStreams,
};
pub use events::{Audience, EventSink, Events, Viewer};
pub use fresh::NewChallenge;
pub(crate) use fresh::{Challenge, FreshProof};
pub use kept_events::{BadEventId, EventId, IdentifiedEvent, RecentEvents};
pub(crate) use registry::Activity;
pub use registry::{CutHook, Resume, SessionRegistry, Suspension, SuspensionLimits};

/// The description of an open session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The session's id.
    pub id: SessionId,
    /// The session's account.
    pub account: AccountId,
    /// The account's name.
    pub name: AccountName,
    /// The account's role.
    pub role: Role,
    /// The encryption option of the session; `None` for the connection of a device, which is encrypted with TLS 1.3.
    pub option: Option<EncryptionOption>,
    /// The client's address and port.
    pub peer: String,
    /// How the client authenticated.
    pub proof: Proof,
    /// When the session was opened.
    pub opened: Timestamp,
    /// When the session ends unless its keys are renewed.
    pub expires: Timestamp,
    /// When the session ends even if its keys are renewed. Then its account has to log in again.
    pub ends: Timestamp,
    /// Whether the session has a connection; without one it is suspended.
    pub connected: bool,
    /// The number of the session's current connection; the first is 0.
    pub connection: u32,
}

impl SessionInfo {
    /// Returns the session's name of the encryption option in use; `tls` for the connection of a device.
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
            channel: self.proof.channel(),
            session: Some(self.id),
            peer: None,
            grant: None,
        }
    }
}

/// How the client of a session authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// With the account's pass phrase.
    Passphrase,
    /// With the key that has this thumbprint.
    Key(Thumbprint),
    /// With the delivered key that has this thumbprint, which the client decrypted with its pass
    /// phrase.
    DeliveredKey(Thumbprint),
    /// The key of a device, in the TLS handshake of its connection.
    Device(DeviceId),
}

impl Proof {
    /// Returns the channel on which the operations of the session arrive.
    pub(crate) const fn channel(&self) -> Channel {
        match self {
            Self::Passphrase | Self::Key(_) | Self::DeliveredKey(_) => Channel::Session,
            Self::Device(_) => Channel::Device,
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The client closed the session.
    Goodbye,
    /// The connection was lost.
    ConnectionLost,
    /// The client violated the protocol.
    ProtocolFault,
    /// The session expired.
    Expired,
    /// The client sent nothing for too long.
    Idle,
    /// The client resumed the session on another connection. The session itself continues.
    Replaced,
    /// The site is stopping.
    SiteStopping,
    /// An operation cut the session.
    Cut,
    /// The account was locked or disabled.
    AccountLocked,
    /// The account was deleted.
    AccountDeleted,
    /// The account was renamed or got another role.
    AccountChanged,
    /// The account's key was revoked.
    KeyRevoked,
    /// The access token was revoked.
    TokenRevoked,
    /// The account's pass phrase was changed.
    PassphraseChanged,
    /// The session's encryption option was disabled, with its sessions cut.
    OptionDisabled,
    /// Too many fresh proofs in the session failed.
    NotProved,
    /// The site was sealed.
    SiteSealed,
    /// A lockdown of the account or of the site ended it.
    Lockdown,
}

impl CloseReason {
    /// Returns the name of the reason in JSON.
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
            Self::TokenRevoked => "token_revoked",
            Self::PassphraseChanged => "passphrase_changed",
            Self::OptionDisabled => "option_disabled",
            Self::NotProved => "not_proved",
            Self::SiteSealed => "site_sealed",
            Self::Lockdown => "lockdown",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
