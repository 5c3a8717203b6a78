//! `lockdown status`, and the view of a lockdown.

use schemars::JsonSchema;
use serde::Serialize;

use crate::access::Channel;
use crate::engine::{Answer, Context, Refusal};
use crate::id::InstanceId;
use crate::lockdown::{Imposed, ImposedOn, LockdownLevel, LockdownTarget, SiteLockdown};
use crate::operations::NoParams;
use crate::timestamp::Timestamp;

/// A lockdown.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LockdownView {
    /// `site`, or the kind and the name when the lockdown was imposed, such as `person maria@example.org`.
    target: String,
    /// The id of the account; absent for an application and for the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<crate::id::AccountId>,
    /// The id of the registration of the application; absent for an account and for the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceId>,
    /// What the lockdown of the site refuses; absent for an account or application.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<LockdownLevel>,
    /// When it was imposed.
    since: Timestamp,
    /// Who imposed it.
    by: String,
    /// The channel on which it was imposed.
    channel: Channel,
    /// Why; may be empty.
    reason: String,
}

impl LockdownView {
    pub(super) fn of(target: &LockdownTarget, on: &ImposedOn) -> Self {
        let (account, instance) = match target {
            LockdownTarget::Account(account) => (Some(*account), None),
            LockdownTarget::Application { instance, .. } => (None, *instance),
        };
        Self {
            target: on.name.clone(),
            account,
            instance,
            ..Self::by(&on.imposed)
        }
    }

    pub(super) fn of_site(site: &SiteLockdown) -> Self {
        Self {
            target: "site".to_owned(),
            level: Some(site.level),
            ..Self::by(&site.imposed)
        }
    }

    fn by(imposed: &Imposed) -> Self {
        Self {
            target: String::new(),
            account: None,
            instance: None,
            level: None,
            since: imposed.at,
            by: imposed.by.clone(),
            channel: imposed.channel,
            reason: imposed.reason.as_str().to_owned(),
        }
    }

    fn line(&self) -> String {
        let level = self.level.map(|level| format!(" at the level {level}"));
        let (target, since, by) = (&self.target, self.since, &self.by);
        let reason = match self.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        format!(
            "{target}{}  since {since}  by {by}{reason}",
            level.unwrap_or_default()
        )
    }
}

/// The lockdowns in force.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LockdownStatus {
    /// The lockdown of the site; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<LockdownView>,
    /// The accounts and applications in lockdown.
    entries: Vec<LockdownView>,
}

pub(super) async fn status(
    context: Context,
    _: NoParams,
) -> Result<Answer<LockdownStatus>, Refusal> {
    let lockdowns = context.site().lockdowns();
    let targets = lockdowns.targets().iter();
    let status = LockdownStatus {
        site: lockdowns.site().map(LockdownView::of_site),
        entries: targets
            .map(|(target, on)| LockdownView::of(target, on))
            .collect(),
    };
    let lines = status.site.iter().chain(&status.entries);
    let lines: Vec<String> = lines.map(LockdownView::line).collect();
    let output = match lines.as_slice() {
        [] => "No lockdown is in force.".to_owned(),
        lines => lines.join("\n"),
    };
    Ok(Answer::new(status).with_output(output))
}
