//! Why a change set was not written, and what is wrong with a store.

/// What a change set ran into, or what is wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// What has to be unique is taken.
    #[error("{what} is taken")]
    Conflict {
        /// What is taken.
        what: Unique,
    },
    /// Somebody else changed it since it was read; read it again and decide again.
    #[error("{what} was changed by somebody else meanwhile; read it again and repeat")]
    Stale {
        /// What was changed.
        what: Thing,
    },
    /// It is not there any more.
    #[error("there is no such {what}")]
    NotFound {
        /// What is missing.
        what: Thing,
    },
    /// The store cannot do it now (disk full, read-only, closed). Nothing was changed.
    #[error("the store is not available: {problem}")]
    Unavailable {
        /// What it said.
        problem: String,
    },
    /// The store holds something that it cannot have written. Restore a backup.
    #[error("the store is damaged: {problem}; restore the newest sound backup")]
    Damaged {
        /// What does not read.
        problem: String,
    },
}

/// What must be unique.
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
    /// The name of a pass phrase record within OPAQUE.
    #[error("the credential id")]
    CredentialId,
    /// An application's id.
    #[error("the application's id")]
    Application,
    /// A key of an account that is a removed one.
    #[error("the key")]
    RemovedKey,
    /// A public key of an application.
    #[error("the public key")]
    ApplicationKey,
    /// The raiser, target and key of an alarm that is not over.
    #[error("the key of the alarm")]
    Alarm,
    /// The room for alarms: there are as many as there may be, in all or of one person.
    #[error("the room for alarms")]
    AlarmRoom,
}

/// What may be stale or missing.
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
    /// A setting.
    #[error("setting")]
    Setting,
    /// An alarm.
    #[error("alarm")]
    Alarm,
    /// A delivery of an alarm.
    #[error("delivery")]
    Delivery,
    /// How a person wants to be told of alarms.
    #[error("preferences")]
    Preferences,
}
