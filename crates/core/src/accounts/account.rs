//! Accounts. A person logs in with a pass phrase, a service with a key.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::id::AccountId;
use crate::timestamp::Timestamp;

/// The kind of an account, which determines how it logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A human user, who logs in with a pass phrase.
    Person,
    /// A program, which logs in with a key.
    Service,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Person, Self::Service];

    /// Returns the name of the kind in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
        }
    }
}

/// The state of an account, which determines whether it may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The account may log in.
    Active,
    /// The account may not log in until an admin unlocks it, for instance during an investigation.
    Locked,
    /// The account is no longer used and may not log in. It is kept for the record.
    Disabled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Active, Self::Locked, Self::Disabled];

    /// Returns the name of the state in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
        }
    }
}

/// An account, as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account's id. It never changes and is never used again.
    pub id: AccountId,
    /// The account's name with its zone; unique in the site.
    pub name: AccountName,
    /// Whether the account is a person or a service.
    pub kind: Kind,
    /// The account's role.
    pub role: Role,
    /// The full name; may be empty.
    pub full_name: String,
    /// The first email address, to which alarms go; may be empty. Others are in the
    /// [data](super::PersonData::other_emails) of the person.
    pub email: String,
    /// Whether the account may log in.
    pub state: State,
    /// The revision: 1 at first, incremented by each change. A change names the revision that it is
    /// based on.
    pub revision: u64,
    /// When the account was created.
    pub created: Timestamp,
    /// When the account was last changed.
    pub changed: Timestamp,
}

impl Account {
    /// Returns whether the account may log in.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.state, State::Active)
    }

    /// Returns whether the account is a person with the role admin who may log in.
    #[must_use]
    pub fn is_active_admin(&self) -> bool {
        self.kind == Kind::Person && self.role == Role::Admin && self.is_active()
    }

    /// Returns the next revision of the account, changed at `now` by `change`.
    #[must_use]
    pub fn revised(mut self, now: Timestamp, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self.changed = now;
        self
    }
}
