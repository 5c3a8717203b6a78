//! Access control: roles, and which roles may call an operation on which channels.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Caller, Channel};
use crate::id::AccountId;

/// The role of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An administrator, who may call every operation.
    Admin,
    /// A person who uses the site.
    Member,
    /// A program that uses the site.
    Service,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Member, Self::Service];

    /// Returns the name of the role in JSON.
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

/// The accounts to which a caller has access with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every account.
    All,
    /// The caller's own account only.
    Own(AccountId),
}

impl Scope {
    /// Returns whether an account is in scope. Answer an operation on another account as if that
    /// account did not exist, so that the caller cannot find out which accounts exist.
    #[must_use]
    pub fn admits(self, account: AccountId) -> bool {
        match self {
            Self::All => true,
            Self::Own(own) => own == account,
        }
    }
}

/// The roles that may call an operation, and the channels on which they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    everything: Vec<Role>,
    own: Vec<Role>,
    channels: Vec<Channel>,
}

impl Default for Access {
    /// No role, on the default channels.
    fn default() -> Self {
        Self {
            everything: Vec::new(),
            own: Vec::new(),
            channels: Channel::ALL
                .into_iter()
                .filter(|channel| is_default(*channel))
                .collect(),
        }
    }
}

/// Returns whether operations are available on this channel by default. The match is exhaustive, so
/// that a new channel carries no operations until it is added here or in entries.
const fn is_default(channel: Channel) -> bool {
    match channel {
        Channel::Session | Channel::AdminSocket | Channel::Init | Channel::Site => true,
        Channel::Device | Channel::Peer | Channel::Http | Channel::Application => false,
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

    /// Returns the roles that may call it for every account.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.everything
    }

    /// Returns the roles that may call it for their own account only.
    #[must_use]
    pub fn own_roles(&self) -> &[Role] {
        &self.own
    }

    /// Returns the channels on which it may be called.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// Returns whether an account of this role may call it over HTTP, for every account or for its own, so
    /// that an access token of the account may name it.
    #[must_use]
    pub fn admits_token_of(&self, role: Role) -> bool {
        self.channels.contains(&Channel::Http) && self.is_open_to(role)
    }

    /// Returns whether a role may call it, for every account or for its own.
    fn is_open_to(&self, role: Role) -> bool {
        self.everything.contains(&role) || self.own.contains(&role)
    }

    /// Returns the accounts to which `caller` has access; `None` if it may not call the operation.
    /// A device acts for its owner alone, so that a thief of an admin's phone gets no admin rights.
    #[must_use]
    pub fn scope(&self, caller: &Caller) -> Option<Scope> {
        if !self.channels.contains(&caller.channel) {
            return None;
        }
        // Over HTTP the credential decides, which is a grant of an account.
        if caller.channel == Channel::Http && caller.grant.is_none() {
            return None;
        }
        // A peer has no role and no account: the handler checks what this peer may do.
        if caller.channel == Channel::Peer {
            return caller.peer.map(|_| Scope::All);
        }
        if caller.is_device() {
            // Over HTTP too, a device calls what it may call over its own connection.
            if !self.channels.contains(&Channel::Device) {
                return None;
            }
            let may = self.is_open_to(caller.role);
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
