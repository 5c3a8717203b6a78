//! The relations of an application to others: references to an account or application that is
//! being deleted, and the providers that hold its tickets.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::site_identity::SiteId;
use serde_json::json;

use crate::applications::{Application, ApplicationId, Callee, ForeignGrant, Grant};
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::sessions::Audience;
use crate::store::{Change, Notice};

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

/// Removes a peer from the policies of all applications.
pub(in crate::operations) async fn without_peer(
    context: &Context,
    peer: SiteId,
) -> Result<Released, Refusal> {
    let concerns = |application: &Application| {
        let mut callees = application.may_call.iter();
        let mut callers = application.callers.iter();
        callees.any(|grant| grant.site == Some(peer)) || callers.any(|grant| grant.site == peer)
    };
    let release = |application: &mut Application| {
        application
            .may_call
            .retain(|grant| grant.site != Some(peer));
        application.callers.retain(|grant| grant.site != peer);
    };
    released(context, concerns, release).await
}

/// Returns the notices that tell providers that every ticket that was given to this application, or
/// for it, is void: `broker.tickets_void`. It goes to the services of the applications that it may
/// call, and to its own; peers with such applications are told too. A provider without a session is
/// not told; there, a ticket ends with its lifetime.
pub(in crate::operations) async fn void_tickets(
    context: &Context,
    application: &Application,
) -> Result<Vec<Notice>, Refusal> {
    void_tickets_of(context, std::slice::from_ref(application)).await
}

async fn void_tickets_of(
    context: &Context,
    applications: &[Application],
) -> Result<Vec<Notice>, Refusal> {
    let mut notices = void_tickets_at(context, applications, |application, provider| {
        let mut grants = application.may_call.iter();
        provider.id == application.id || grants.any(|grant| grant.allows(provider))
    })
    .await?;
    for application in applications {
        notices.extend(void_at_peers(context, application, |_| true));
    }
    Ok(notices)
}

/// Like [`void_tickets`], for the applications whose service this account is: it got their tickets. A
/// person is the service of none.
pub(in crate::operations) async fn void_tickets_of_account(
    context: &Context,
    account: AccountId,
) -> Result<Vec<Notice>, Refusal> {
    let mut own = Vec::new();
    let of_account = |application: Application| {
        if application.service == Some(account) {
            own.push(application);
        }
    };
    context.site().each_application(of_account).await?;
    void_tickets_of(context, &own).await
}

/// Returns the notices for the peers whose applications this one may call, of the permissions that
/// `concerns` selects.
fn void_at_peers(
    context: &Context,
    application: &Application,
    concerns: impl Fn(&Grant) -> bool,
) -> Vec<Notice> {
    let name = ForeignName::new(application.id.as_str(), &context.site().zone());
    // An application without such a name gets no tickets of peers.
    let Ok(consumer) = name else {
        return Vec::new();
    };
    let grants = application.may_call.iter().filter(|grant| concerns(grant));
    let peers: BTreeSet<SiteId> = grants.filter_map(|grant| grant.site).collect();
    let at = context.now();
    let notice = |peer| Notice::VoidAtPeer {
        peer,
        consumer: consumer.clone(),
        at,
    };
    peers.into_iter().map(notice).collect()
}

/// Returns the notice that tells a provider that the tickets of applications of peers are void that
/// may no longer call it.
pub(super) fn no_longer_calling(
    context: &Context,
    before: &Application,
    after: &Application,
) -> Result<Vec<Notice>, Refusal> {
    let Some(service) = after.service else {
        return Ok(Vec::new());
    };
    let removed = before
        .callers
        .iter()
        .filter(|grant| !after.callers.contains(grant));
    let notice = |grant: &ForeignGrant| {
        let to = Audience::Accounts(Arc::new(BTreeSet::from([service])));
        let data = json!({ "app": grant.name, "at": context.now() });
        Ok(Notice::event(to, "broker", "tickets_void", &data)?)
    };
    removed.map(notice).collect()
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
    let after_it = std::slice::from_ref(after);
    let mut notices = void_tickets_at(context, after_it, |_, provider| {
        may_call(before, provider) && !may_call(after, provider)
    })
    .await?;
    let is_gone = |grant: &Grant| !after.may_call.contains(grant);
    notices.extend(void_at_peers(context, before, is_gone));
    Ok(notices)
}

/// Like [`void_tickets`], for some applications, and the providers that `concerns` selects for each.
async fn void_tickets_at(
    context: &Context,
    applications: &[Application],
    concerns: impl Fn(&Application, &Application) -> bool + Send + Sync,
) -> Result<Vec<Notice>, Refusal> {
    if applications.is_empty() {
        return Ok(Vec::new());
    }
    let mut services = vec![BTreeSet::new(); applications.len()];
    let site = context.site();
    site.each_application(|provider| {
        let Some(service) = provider.service else {
            return;
        };
        for (application, services) in applications.iter().zip(&mut services) {
            if concerns(application, &provider) {
                services.insert(service);
            }
        }
    })
    .await?;
    let mut notices = Vec::new();
    for (application, services) in applications.iter().zip(services) {
        if !services.is_empty() {
            let to = Audience::Accounts(Arc::new(services));
            let data = json!({ "app": application.id, "at": context.now() });
            notices.push(Notice::event(to, "broker", "tickets_void", &data)?);
        }
    }
    Ok(notices)
}

async fn released(
    context: &Context,
    concerns: impl Fn(&Application) -> bool + Send + Sync,
    release: impl Fn(&mut Application) + Send + Sync,
) -> Result<Released, Refusal> {
    let mut released = Released {
        changes: Vec::new(),
        ids: Vec::new(),
    };
    let site = context.site();
    site.each_application(|application| {
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
