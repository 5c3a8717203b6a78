//! What other registrations say of an account or an application that is deleted: it goes with it.

use crate::applications::{Application, ApplicationId, Callee};
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::page::Page;
use crate::store::{Change, ListedApplication};

/// How many applications are read at once.
const STRETCH: u32 = 500;

/// Applications as they are without what they said of something that is deleted, and their ids.
pub(in crate::operations) struct Released {
    pub(in crate::operations) changes: Vec<Change>,
    pub(in crate::operations) ids: Vec<ApplicationId>,
}

/// The applications that this service speaks for, without it.
pub(in crate::operations) async fn without_service(
    context: &Context,
    service: AccountId,
) -> Result<Released, Refusal> {
    let id = Some(service);
    let concerns = |application: &Application| application.service == id;
    released(context, concerns, |application| application.service = None).await
}

/// The applications that may call this one, without that.
pub(super) async fn without_callee(
    context: &Context,
    callee: &ApplicationId,
) -> Result<Released, Refusal> {
    let callee = Callee::App(callee.clone());
    let Callee::App(own) = &callee else {
        return Err(Refusal::internal("an application is no group"));
    };
    let concerns = |application: &Application| {
        let mut grants = application.may_call.iter();
        application.id != *own && grants.any(|grant| grant.callee == callee)
    };
    let release = |application: &mut Application| {
        application.may_call.retain(|grant| grant.callee != callee);
    };
    released(context, concerns, release).await
}

async fn released(
    context: &Context,
    concerns: impl Fn(&Application) -> bool,
    release: impl Fn(&mut Application),
) -> Result<Released, Refusal> {
    let mut released = Released {
        changes: Vec::new(),
        ids: Vec::new(),
    };
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: STRETCH,
        };
        let listed = context.site().store().applications(&page).await?;
        let Some(last) = listed.last() else {
            return Ok(released);
        };
        let end = Some(last.id().to_owned());
        if end == page.after {
            // A damaged id does not sort where it is stored; none but damaged ones come after it.
            return Ok(released);
        }
        after = end;
        // One that cannot be read neither calls nor is spoken for.
        let sound = listed.into_iter().filter_map(Result::ok);
        for application in sound.filter(|application| concerns(application)) {
            let application = application.revised(context.now(), &release);
            released.ids.push(application.id.clone());
            let change = Change::UpdateApplication(Box::new(application));
            released.changes.push(change);
        }
    }
}
