//! Removes references from applications to an account or application that is being deleted.

use crate::applications::{Application, ApplicationId, Callee};
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::page::Page;
use crate::store::{Change, ListedApplication};

/// How many applications are read per query.
const PAGE_SIZE: u32 = 500;

/// The updates that remove the references, and the ids of the applications that had one.
pub(in crate::operations) struct Released {
    pub(in crate::operations) changes: Vec<Change>,
    pub(in crate::operations) ids: Vec<ApplicationId>,
}

/// Removes this service from the applications that name it.
pub(in crate::operations) async fn without_service(
    context: &Context,
    service: AccountId,
) -> Result<Released, Refusal> {
    let id = Some(service);
    let concerns = |application: &Application| application.service == id;
    released(context, concerns, |application| application.service = None).await
}

/// Removes this application from the policies of the applications that may call it.
pub(super) async fn without_callee(
    context: &Context,
    callee: &ApplicationId,
) -> Result<Released, Refusal> {
    let callee = Callee::App(callee.clone());
    let Callee::App(own) = &callee else {
        return Err(Refusal::internal("expected an application, not a group"));
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
            limit: PAGE_SIZE,
        };
        let listed = context.site().store().applications(&page).await?;
        let Some(last) = listed.last() else {
            return Ok(released);
        };
        let end = Some(last.id().to_owned());
        if end == page.after {
            // A damaged id may not sort where it is stored; only damaged applications remain.
            return Ok(released);
        }
        after = end;
        // A damaged application has no references to remove.
        let readable = listed.into_iter().filter_map(Result::ok);
        for application in readable.filter(|application| concerns(application)) {
            let application = application.revised(context.now(), &release);
            released.ids.push(application.id.clone());
            let change = Change::UpdateApplication(Box::new(application));
            released.changes.push(change);
        }
    }
}
