//! `app update`: changes the settings of an application, and which applications it may call and may be
//! called by.

use countersign_proto::broker::v2::foreign::ForeignName;
use schemars::JsonSchema;
use serde::Deserialize;

use super::relations::{no_longer_calling, void_tickets};
use super::settings::{self, Settings};
use super::view::AppView;
use super::withdrawn::withdrawn;
use super::{find, foreign, policy, put};
use crate::applications::{ApplicationId, Callee};
use crate::engine::{Answer, Changes, Context, Refusal};
use crate::lockdown::LockdownTarget;
use crate::operations::attempts::Attempts;
use crate::operations::lockdown;

/// The changes to make.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Update {
    /// The application's id.
    id: ApplicationId,
    /// The settings to change.
    #[serde(default)]
    settings: Settings,
    /// Applications and groups that the application may call in addition. The applications must
    /// exist; of applications of peers, the peer must.
    #[serde(default)]
    allow: Vec<Callee>,
    /// Applications and groups that the application may no longer call.
    #[serde(default)]
    disallow: Vec<Callee>,
    /// Applications of peers that may call the application in addition: their ids there, `@` and the
    /// zone of the peer.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    allow_callers: Vec<ForeignName>,
    /// Applications of peers that may no longer call the application.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    disallow_callers: Vec<ForeignName>,
}

pub(super) async fn update(context: Context, params: Update) -> Result<Answer<AppView>, Refusal> {
    params.settings.check()?;
    for (field, entries) in [
        ("allow", params.allow.len()),
        ("disallow", params.disallow.len()),
        ("allow_callers", params.allow_callers.len()),
        ("disallow_callers", params.disallow_callers.len()),
    ] {
        settings::few(field, entries)?;
    }
    let mut attempts = Attempts::default();
    loop {
        let done = try_update(&context, params.clone(), &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_update(
    context: &Context,
    params: Update,
    attempts: &mut Attempts,
) -> Result<Answer<AppView>, Refusal> {
    let before = find(context, &params.id).await?;
    context.expect_tag(&before)?;
    let mut application = before.clone();
    params.settings.apply(context, &mut application).await?;
    settings::disallow(&mut application, &params.disallow)?;
    settings::allow(context, &mut application, params.allow, "allow").await?;
    foreign::disallow_callers(&mut application, &params.disallow_callers)?;
    foreign::allow_callers(context, &mut application, params.allow_callers).await?;
    if application == before {
        let output = format!("{} has these settings already.", before.id);
        return Ok(Answer::new(AppView::of(context, before).await?).with_output(output));
    }
    attempts.changes(context, None)?;
    let application = application.revised(context.now(), |_| ());
    let details = policy(&application);
    let details = serde_json::value::to_raw_value(&details)
        .map_err(|error| Refusal::internal(error.to_string()))?;
    let mut void = no_longer_calling(context, &before, &application)?;
    void.extend(withdrawn(context, &before, &application).await?);
    let site = context.site();
    let new_service = application
        .service
        .filter(|_| application.service != before.service);
    let mut changes = Changes::default();
    let mut turn = None;
    if let Some(service) = new_service {
        // Of this change and a lockdown of the service, each fails after the other that it did not see:
        // no application gets the service without the loss of its tickets.
        let own = turn.insert(lockdown::turn(context).await?);
        changes = site.change_app_services(site.app_services().await?).into();
        let target = LockdownTarget::Account(service);
        if site.lockdowns().of(&target).is_some() {
            void.extend(void_tickets(context, &before).await?);
        }
        own.expect()?;
    }
    let changes = void.into_iter().fold(changes, Changes::and);
    let view = put(context, application, changes, details).await?;
    let mut lines = vec![format!("Changed {}.", view.id)];
    lines.extend(view.relations());
    Ok(Answer::new(view).with_output(lines.join("\n")))
}
