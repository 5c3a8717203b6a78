//! The relations of an application to others: references to an account or application that is
//! being deleted, and the providers that hold its tickets.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use crate::applications::{Application, ApplicationId, Callee};
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::page::Page;
use crate::sessions::Audience;
use crate::store::{Change, ListedApplication, Notice};

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

/// Returns the notice that tells providers that every ticket that was given to this application, or
/// for it, is void: `broker.tickets_void`. It goes to the services of the applications that it may
/// call, and to its own. A provider without a session is not told; there, a ticket ends with its
/// lifetime.
pub(in crate::operations) async fn void_tickets(
    context: &Context,
    application: &Application,
) -> Result<Vec<Notice>, Refusal> {
    void_tickets_at(context, application, |provider| {
        let mut grants = application.may_call.iter();
        provider.id == application.id || grants.any(|grant| grant.allows(provider))
    })
    .await
}

/// Like [`void_tickets`], for the providers that an application may no longer call after a change.
pub(super) async fn no_longer_called(
    context: &Context,
    before: &Application,
    after: &Application,
) -> Result<Vec<Notice>, Refusal> {
    let may_call = |application: &Application, provider: &Application| {
        let mut grants = application.may_call.iter();
        grants.any(|grant| grant.allows(provider))
    };
    void_tickets_at(context, after, |provider| {
        may_call(before, provider) && !may_call(after, provider)
    })
    .await
}

/// Like [`void_tickets`], for the providers that `concerns` selects.
async fn void_tickets_at(
    context: &Context,
    application: &Application,
    concerns: impl Fn(&Application) -> bool,
) -> Result<Vec<Notice>, Refusal> {
    let mut services = BTreeSet::new();
    each(context, |provider| {
        if let Some(service) = provider.service.filter(|_| concerns(&provider)) {
            services.insert(service);
        }
    })
    .await?;
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let to = Audience::Accounts(Arc::new(services));
    let data = json!({ "app": application.id, "at": context.now() });
    Ok(vec![Notice::event(to, "broker", "tickets_void", &data)?])
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
    each(context, |application| {
        if concerns(&application) {
            let application = application.revised(context.now(), &release);
            released.ids.push(application.id.clone());
            let change = Change::UpdateApplication(Box::new(application));
            released.changes.push(change);
        }
    })
    .await?;
    Ok(released)
}

/// Passes each application that can be read to `visit`. A damaged one has no relations.
pub(super) async fn each(
    context: &Context,
    mut visit: impl FnMut(Application),
) -> Result<(), Refusal> {
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PAGE_SIZE,
        };
        let listed = context.site().store().applications(&page).await?;
        let Some(last) = listed.last() else {
            return Ok(());
        };
        let end = Some(last.id().to_owned());
        if end == page.after {
            // A damaged id may not sort where it is stored; only damaged applications remain.
            return Ok(());
        }
        after = end;
        listed
            .into_iter()
            .filter_map(Result::ok)
            .for_each(&mut visit);
    }
}
