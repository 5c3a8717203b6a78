//! The lockdowns in force, as the site stores them.

use std::collections::BTreeMap;
use std::fmt;

use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activity, LockdownLevel};
use crate::access::{Caller, Channel};
use crate::applications::{Application, ApplicationId};
use crate::id::{AccountId, InstanceId};
use crate::text::Line;
use crate::timestamp::Timestamp;

/// The maximum number of accounts, applications and peers in lockdown. They are one setting, which is
/// written as a whole; above this number, a lockdown of the site is the right means.
pub const MAX_LOCKDOWNS: usize = 1_024;

/// The state that is shown of an account, an application or a peer in lockdown, before its own.
pub const LOCKDOWN: &str = "lockdown";

/// Why a lockdown was imposed; may be empty.
pub type LockdownReason = Line<200>;

/// An account, application or peer in lockdown. Each is bound by id, so that a new account or
/// application of the same name, or another site with the same zone, is not in lockdown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockdownTarget {
    /// A person or a service.
    Account(AccountId),
    /// One registration of an application.
    Application {
        /// Its id.
        id: ApplicationId,
        /// The registration; absent if the registration is older than instance ids.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<InstanceId>,
    },
    /// Another site, also before it becomes a peer again.
    Peer(#[schemars(with = "String")] SiteId),
}

impl LockdownTarget {
    /// Returns the application as a target.
    #[must_use]
    pub fn of_application(application: &Application) -> Self {
        Self::Application {
            id: application.id.clone(),
            instance: application.instance,
        }
    }
}

/// Who imposed a lockdown, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imposed {
    /// When it was imposed.
    pub at: Timestamp,
    /// The name of the caller: an account, or a local user of the admin socket.
    pub by: String,
    /// The channel of the caller.
    pub channel: Channel,
    /// The reason.
    pub reason: LockdownReason,
}

impl Imposed {
    /// Returns a lockdown that `caller` imposes at `at`.
    #[must_use]
    pub fn new(caller: &Caller, reason: LockdownReason, at: Timestamp) -> Self {
        Self {
            at,
            by: caller.name.clone(),
            channel: caller.channel,
            reason,
        }
    }
}

/// A lockdown of an account, application or peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImposedOn {
    /// The kind and name of the account, the id of the application, or the site id and zone of the
    /// peer, when the lockdown was imposed.
    pub name: String,
    /// Who imposed it, when and why.
    pub imposed: Imposed,
}

/// The lockdown of an account, an application or a peer, as its own view shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InLockdown {
    /// When it was imposed.
    since: Timestamp,
    /// Who imposed it.
    by: String,
    /// Why; may be empty.
    reason: String,
}

impl fmt::Display for InLockdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, by, reason } = self;
        write!(f, "since {since}  by {by}")?;
        match reason.is_empty() {
            true => Ok(()),
            // In texts, backticks enclose operations.
            false => write!(f, ": {}", reason.replace('`', "'")),
        }
    }
}

/// A lockdown of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteLockdown {
    /// The level, which says what is refused.
    pub level: LockdownLevel,
    /// Who imposed it, when and why.
    pub imposed: Imposed,
}

/// There are [`MAX_LOCKDOWNS`] accounts, applications and peers in lockdown already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_LOCKDOWNS} accounts, applications and peers are in lockdown, which is the maximum")]
pub struct TooManyLockdowns;

/// The lockdowns in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Lockdowns {
    site: Option<SiteLockdown>,
    targets: BTreeMap<LockdownTarget, ImposedOn>,
    alarms_due: bool,
}

/// The stored form. JSON has no maps with structures as keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<SiteLockdown>,
    #[serde(default)]
    targets: Vec<(LockdownTarget, ImposedOn)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    alarms_due: bool,
}

impl From<Stored> for Lockdowns {
    fn from(stored: Stored) -> Self {
        Self {
            site: stored.site,
            targets: stored.targets.into_iter().collect(),
            alarms_due: stored.alarms_due,
        }
    }
}

impl From<Lockdowns> for Stored {
    fn from(lockdowns: Lockdowns) -> Self {
        Self {
            site: lockdowns.site,
            targets: lockdowns.targets.into_iter().collect(),
            alarms_due: lockdowns.alarms_due,
        }
    }
}

impl Lockdowns {
    /// Returns the lockdown of the site, if there is one.
    #[must_use]
    pub const fn site(&self) -> Option<&SiteLockdown> {
        self.site.as_ref()
    }

    /// Returns the level of the lockdown of the site, if there is one.
    #[must_use]
    pub fn level(&self) -> Option<LockdownLevel> {
        self.site.as_ref().map(|site| site.level)
    }

    /// Returns the lockdown of this account, application or peer, if there is one.
    #[must_use]
    pub fn of(&self, target: &LockdownTarget) -> Option<&ImposedOn> {
        self.targets.get(target)
    }

    /// Returns what is shown of the lockdown of this account, application or peer, if there is one.
    #[must_use]
    pub fn shown_of(&self, target: &LockdownTarget) -> Option<InLockdown> {
        let Imposed { at, by, reason, .. } = &self.of(target)?.imposed;
        Some(InLockdown {
            since: *at,
            by: by.clone(),
            reason: reason.as_str().to_owned(),
        })
    }

    /// Returns the accounts, applications and peers in lockdown.
    #[must_use]
    pub const fn targets(&self) -> &BTreeMap<LockdownTarget, ImposedOn> {
        &self.targets
    }

    /// Returns the accounts in lockdown.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountId> {
        let account = |target: &LockdownTarget| match target {
            LockdownTarget::Account(id) => Some(*id),
            _ => None,
        };
        self.targets.keys().filter_map(account).collect()
    }

    /// Returns whether the site permits the activity.
    #[must_use]
    pub fn permits(&self, activity: Activity) -> bool {
        activity.is_permitted_at(self.level())
    }

    /// Returns whether the site permits the activity and the account is not in lockdown.
    #[must_use]
    pub fn permits_account(&self, activity: Activity, account: AccountId) -> bool {
        self.permits(activity) && self.of(&LockdownTarget::Account(account)).is_none()
    }

    /// Returns whether the site permits the activity and the peer with this site id is not in
    /// lockdown.
    #[must_use]
    pub fn permits_peer(&self, activity: Activity, peer: SiteId) -> bool {
        self.permits(activity) && self.of(&LockdownTarget::Peer(peer)).is_none()
    }

    /// Returns whether this application is not in lockdown.
    #[must_use]
    pub fn permits_application(&self, application: &Application) -> bool {
        self.targets.is_empty()
            || self
                .of(&LockdownTarget::of_application(application))
                .is_none()
    }

    /// Returns the lockdowns with this one of the site; `None` lifts it.
    #[must_use]
    pub fn with_site(mut self, site: Option<SiteLockdown>) -> Self {
        self.site = site;
        self
    }

    /// Returns the lockdowns with one more.
    ///
    /// # Errors
    /// [`TooManyLockdowns`].
    pub fn with(
        mut self,
        target: LockdownTarget,
        imposed: ImposedOn,
    ) -> Result<Self, TooManyLockdowns> {
        if self.targets.len() >= MAX_LOCKDOWNS && !self.targets.contains_key(&target) {
            return Err(TooManyLockdowns);
        }
        self.targets.insert(target, imposed);
        Ok(self)
    }

    /// Whether a lockdown was imposed or lifted without its alarm: [`crate::engine::Site::check_system`]
    /// makes the alarms agree with the lockdowns then.
    #[must_use]
    pub const fn are_alarms_due(&self) -> bool {
        self.alarms_due
    }

    /// Returns the lockdowns with alarms that are due or not.
    #[must_use]
    pub const fn with_alarms_due(mut self, due: bool) -> Self {
        self.alarms_due = due;
        self
    }

    /// Returns the lockdowns without this one.
    #[must_use]
    pub fn without(mut self, target: &LockdownTarget) -> Self {
        self.targets.remove(target);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imposed() -> Imposed {
        let reason = "a stolen laptop".to_owned().try_into().unwrap();
        Imposed::new(
            &Caller::admin_socket(),
            reason,
            Timestamp::from_millis(1_000),
        )
    }

    fn on(name: &str) -> ImposedOn {
        ImposedOn {
            name: name.to_owned(),
            imposed: imposed(),
        }
    }

    fn account(number: u32) -> LockdownTarget {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        LockdownTarget::Account(AccountId::from_bytes(bytes))
    }

    #[test]
    fn lockdowns_are_stored_and_read_again() {
        let app = LockdownTarget::Application {
            id: "billing".parse().unwrap(),
            instance: Some(InstanceId::from_bytes([7; 16])),
        };
        let site = SiteLockdown {
            level: LockdownLevel::Logins,
            imposed: imposed(),
        };
        let all = Lockdowns::default().with_site(Some(site));
        let all = all.with(account(1), on("maria@example.org")).unwrap();
        let all = all.with(app.clone(), on("billing")).unwrap();
        let stored = serde_json::to_vec(&all).unwrap();
        assert_eq!(serde_json::from_slice::<Lockdowns>(&stored).unwrap(), all);
        assert!(all.without(&app).of(&app).is_none());
    }

    #[test]
    fn at_most_1024_accounts_and_applications_are_in_lockdown() {
        let limit = u32::try_from(MAX_LOCKDOWNS).unwrap();
        let mut all = Lockdowns::default();
        for number in 0..limit {
            all = all.with(account(number), on("maria")).unwrap();
        }
        let again = all.clone().with(account(0), on("maria"));
        assert!(again.is_ok(), "one that is in lockdown already finds room");
        assert_eq!(all.with(account(limit), on("maria")), Err(TooManyLockdowns));
    }

    #[test]
    fn a_lockdown_of_an_account_refuses_that_account_only() {
        let all = Lockdowns::default().with(account(1), on("maria")).unwrap();
        let (LockdownTarget::Account(maria), LockdownTarget::Account(bob)) =
            (account(1), account(2))
        else {
            panic!("not accounts");
        };
        for activity in Activity::OTHERS {
            assert!(!all.permits_account(activity, maria));
            assert!(all.permits_account(activity, bob) && all.permits(activity));
        }
    }
}
