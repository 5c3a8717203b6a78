//! Accounts: who may log in. A person proves a pass phrase, a service proves a key.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::id::AccountId;
use crate::timestamp::Timestamp;

/// How an account logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Interactively: proves a pass phrase.
    Person,
    /// Non-interactively: proves a key.
    Service,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Person, Self::Service];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
        }
    }
}

/// Whether an account may log in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It may.
    Active,
    /// It may not, until an admin unlocks it: something is being looked into.
    Locked,
    /// It may not: it is out of use and kept for its history.
    Disabled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Active, Self::Locked, Self::Disabled];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
        }
    }
}

/// An account as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Never changes and is never used again.
    pub id: AccountId,
    /// Unique in the site; of the site's own zone when it names none.
    pub name: AccountName,
    /// Person or service.
    pub kind: Kind,
    /// What it may do.
    pub role: Role,
    /// The name to show to people; may be empty.
    pub full_name: String,
    /// Where mail to it goes; may be empty.
    pub email: String,
    /// Whether it may log in.
    pub state: State,
    /// 1 at first, one more with each change: a change says which revision it was decided on.
    pub revision: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub changed: Timestamp,
}

impl Account {
    /// Whether it may log in.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.state, State::Active)
    }

    /// The account one revision on, changed at `now` by `change`.
    #[must_use]
    pub fn revised(mut self, now: Timestamp, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self.changed = now;
        self
    }
}
