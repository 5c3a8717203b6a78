//! Who may call what: roles, and the access that each operation grants them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Caller, Channel};
use crate::id::AccountId;

/// What an account may do at the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the site: may call everything.
    Admin,
    /// A person who uses the site.
    Member,
    /// A program that uses the site.
    Service,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Member, Self::Service];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which accounts a caller may touch with the operation that was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every account.
    All,
    /// The caller's own account and nothing else.
    Own(AccountId),
}

impl Scope {
    /// Whether an account is in scope. One that is not gets the refusal of an account that does not
    /// exist, so that nobody can ask which ones do.
    #[must_use]
    pub fn admits(self, account: AccountId) -> bool {
        match self {
            Self::All => true,
            Self::Own(own) => own == account,
        }
    }
}

/// Who may call an operation, and on which channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    everything: Vec<Role>,
    own: Vec<Role>,
    channels: Vec<Channel>,
}

impl Default for Access {
    /// No role may call it; the channels are those of every operation that says nothing else.
    fn default() -> Self {
        Self {
            everything: Vec::new(),
            own: Vec::new(),
            channels: Channel::ALL
                .into_iter()
                .filter(|channel| usual(*channel))
                .collect(),
        }
    }
}

/// Whether a channel carries an operation whose entry does not name its channels. A new channel is refused everything
/// until it is granted here or in entries.
const fn usual(channel: Channel) -> bool {
    match channel {
        Channel::Session | Channel::AdminSocket | Channel::Init | Channel::Site => true,
        Channel::Device | Channel::Http => false,
    }
}

impl Access {
    pub(crate) fn allow(&mut self, roles: &[Role]) {
        self.everything.extend_from_slice(roles);
    }

    pub(crate) fn allow_own(&mut self, roles: &[Role]) {
        self.own.extend_from_slice(roles);
    }

    pub(crate) fn only_on(&mut self, channels: &[Channel]) {
        self.channels = channels.to_vec();
    }

    pub(crate) fn also_on(&mut self, channel: Channel) {
        self.channels.push(channel);
    }

    /// The roles that may call it for every account.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.everything
    }

    /// The roles that may call it for their own account only.
    #[must_use]
    pub fn own_roles(&self) -> &[Role] {
        &self.own
    }

    /// The channels on which it may be called.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// What `caller` may touch; `None` when it may not call the operation at all. A device acts for its owner alone:
    /// whoever finds an admin's phone has no admin's session.
    #[must_use]
    pub fn scope(&self, caller: &Caller) -> Option<Scope> {
        if !self.channels.contains(&caller.channel) {
            return None;
        }
        if caller.channel == Channel::Device {
            let may = [&self.everything, &self.own];
            let may = may.iter().any(|roles| roles.contains(&caller.role));
            return caller.account.filter(|_| may).map(Scope::Own);
        }
        if self.everything.contains(&caller.role) {
            return Some(Scope::All);
        }
        match caller.account {
            Some(account) if self.own.contains(&caller.role) => Some(Scope::Own(account)),
            _ => None,
        }
    }
}
