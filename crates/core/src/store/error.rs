//! Errors of a store.

/// Why a change set was not written, or why the store failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A value that must be unique is already in use.
    #[error("{what} is already in use")]
    Conflict {
        /// The value.
        what: Unique,
    },
    /// The object was changed since it was read. Read it again and decide again.
    #[error("the {what} was changed at the same time; read it again and repeat")]
    Stale {
        /// The object that was changed.
        what: Thing,
    },
    /// The object no longer exists.
    #[error("there is no such {what}")]
    NotFound {
        /// The object.
        what: Thing,
    },
    /// The store is not available now (disk full, read-only, closed). Nothing was changed.
    #[error("the store is not available: {problem}")]
    Unavailable {
        /// The problem that the store reported.
        problem: String,
    },
    /// The store contains data that this program cannot have written. Restore a backup.
    #[error("the store is damaged: {problem}; restore the newest intact backup")]
    Damaged {
        /// What cannot be read.
        problem: String,
    },
}

/// A value that must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unique {
    /// An account's id.
    #[error("the account's id")]
    AccountId,
    /// An account's name.
    #[error("the name")]
    Name,
    /// A key.
    #[error("the key")]
    Key,
    /// The credential identifier of a pass phrase record.
    #[error("the credential id")]
    CredentialId,
    /// An application's id.
    #[error("the application's id")]
    Application,
    /// A key that was removed from an account.
    #[error("the key")]
    RemovedKey,
    /// A public key of an application.
    #[error("the public key")]
    ApplicationKey,
    /// An enrolment ticket's id or token.
    #[error("the ticket's id or token")]
    Ticket,
    /// A device's id.
    #[error("the device's id")]
    Device,
    /// A key of a device, which another one has or had.
    #[error("the device's key")]
    DeviceKey,
    /// A peer's site id.
    #[error("the peer")]
    Peer,
    /// The zone that a peer claims.
    #[error("the peer's zone")]
    PeerZone,
    /// The raiser, target and key of an alarm that is not over.
    #[error("the key of the alarm")]
    Alarm,
    /// An access token's id or hash.
    #[error("the access token's id or hash")]
    AccessToken,
    /// The room for access tokens of an account.
    #[error("the room for access tokens")]
    AccessTokenRoom,
    /// An idempotency key, with which the account completed a request before.
    #[error("the idempotency key")]
    CompletedRequest,
    /// The room for alarms: there are as many as there may be, in all or of one person.
    #[error("the room for alarms")]
    AlarmRoom,
}

/// A kind of object that may be stale or missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Thing {
    /// An account.
    #[error("account")]
    Account,
    /// A key of an account.
    #[error("key")]
    Key,
    /// An application.
    #[error("application")]
    Application,
    /// An enrolment ticket.
    #[error("ticket")]
    Ticket,
    /// A device.
    #[error("device")]
    Device,
    /// An access token.
    #[error("access token")]
    AccessToken,
    /// A peer.
    #[error("peer")]
    Peer,
    /// A message.
    #[error("message")]
    Message,
    /// A head of an audit log.
    #[error("audit head")]
    AuditHead,
    /// A setting.
    #[error("setting")]
    Setting,
    /// An alarm.
    #[error("alarm")]
    Alarm,
    /// A delivery of an alarm.
    #[error("delivery")]
    Delivery,
    /// A person's preferences for alarms.
    #[error("preferences")]
    Preferences,
}
