//! `lockdown status`, and the view of a lockdown.

use schemars::JsonSchema;
use serde::Serialize;

use crate::access::Channel;
use crate::applications::ApplicationId;
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
    /// The id of the account; absent for other targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<crate::id::AccountId>,
    /// The id of the application; absent for other targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<ApplicationId>,
    /// The id of the registration of the application; absent for other targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceId>,
    /// The site id of the peer; absent for other targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// What the lockdown of the site refuses; absent for other targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<LockdownLevel>,
    /// When it was imposed.
    since: Timestamp,
    /// The name of the caller that imposed it: an account, or a local user of the admin socket.
    by: String,
    /// The channel on which it was imposed.
    channel: Channel,
    /// Why; may be empty.
    reason: String,
}

impl LockdownView {
    pub(super) fn of(target: &LockdownTarget, on: &ImposedOn) -> Self {
        let mut view = Self::by(&on.imposed);
        view.target.clone_from(&on.name);
        match target {
            LockdownTarget::Account(account) => view.account = Some(*account),
            LockdownTarget::Application { id, instance } => {
                view.app = Some(id.clone());
                view.instance = *instance;
            }
            LockdownTarget::Peer(site) => view.peer = Some(site.to_string()),
        }
        view
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
            app: None,
            instance: None,
            peer: None,
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
    /// The accounts, applications and peers in lockdown.
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
