//! The relations of an application to others: references to an account or application that is
//! being deleted, and the providers that hold its tickets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::site_identity::SiteId;
use serde_json::json;

use crate::applications::{Application, ApplicationId, Callee, ForeignGrant, Grant};
use crate::engine::{Context, Refusal};
use crate::id::{AccountId, InstanceId};
use crate::peers::VoidAtPeer;
use crate::sessions::Audience;
use crate::store::{Change, Notice};

/// The most applications that a provider is told one by one. Of more, it is told that all its tickets are
/// void, which costs each consumer another ticket.
pub(super) const MAX_NAMED: usize = 16;

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

/// Each provider is told the applications one by one, and of more than [`MAX_NAMED`] that the tickets of
/// all consumers are void: a service may have thousands, and the site keeps few events.
async fn void_tickets_of(
    context: &Context,
    applications: &[Application],
) -> Result<Vec<Notice>, Refusal> {
    let are_named = applications.len() <= MAX_NAMED;
    let mut callers = Callers::default();
    for (number, application) in applications.iter().enumerate() {
        callers.insert(application, if are_named { number } else { 0 });
    }
    let mut services = BTreeMap::<usize, BTreeSet<AccountId>>::new();
    let site = context.site();
    site.each_application(|provider| {
        if let Some(service) = provider.service {
            for number in callers.of(&provider) {
                services.entry(number).or_default().insert(service);
            }
        }
    })
    .await?;
    let at = context.now();
    let notice = |(number, services): (usize, _)| {
        let app = applications.get(number).filter(|_| are_named);
        let data = match app {
            Some(application) => json!({ "app": application.id, "at": at }),
            None => json!({ "at": at }),
        };
        tickets_void(services, &data)
    };
    let notices = services.into_iter().map(notice);
    let mut notices = notices.collect::<Result<Vec<_>, _>>()?;
    let at_peers = applications
        .iter()
        .flat_map(|application| void_at_peers(context, application, |_| true));
    notices.extend(Notice::void_at_peers(at_peers.collect()));
    Ok(notices)
}

/// The applications, by number, that may call a provider, found without a look at each permission.
#[derive(Default)]
struct Callers<'a> {
    /// By the id of the applications themselves: the own service is told too.
    own: HashMap<&'a ApplicationId, BTreeSet<usize>>,
    apps: HashMap<(&'a ApplicationId, Option<InstanceId>), BTreeSet<usize>>,
    groups: HashMap<&'a ApplicationId, BTreeSet<usize>>,
}

impl<'a> Callers<'a> {
    fn insert(&mut self, application: &'a Application, number: usize) {
        self.own.entry(&application.id).or_default().insert(number);
        for grant in &application.may_call {
            let callers = match &grant.callee {
                Callee::App(id) => self.apps.entry((id, grant.instance)).or_default(),
                Callee::Group(group) => self.groups.entry(group).or_default(),
                Callee::Foreign(_) => continue,
            };
            callers.insert(number);
        }
    }

    /// As [`Grant::allows`].
    fn of(&self, provider: &Application) -> BTreeSet<usize> {
        let own = self.own.get(&provider.id);
        let app = self.apps.get(&(&provider.id, provider.instance));
        let groups = provider.groups.iter();
        let groups = groups.filter_map(|group| self.groups.get(group));
        let found = own.into_iter().chain(app).chain(groups);
        found.flatten().copied().collect()
    }
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

/// Returns what the peers are told whose applications this one may call, of the permissions that
/// `concerns` selects.
fn void_at_peers(
    context: &Context,
    application: &Application,
    concerns: impl Fn(&Grant) -> bool,
) -> Vec<VoidAtPeer> {
    let name = ForeignName::new(application.id.as_str(), &context.site().zone());
    // An application without such a name gets no tickets of peers.
    let Ok(consumer) = name else {
        return Vec::new();
    };
    let grants = application.may_call.iter().filter(|grant| concerns(grant));
    let peers: BTreeSet<SiteId> = grants.filter_map(|grant| grant.site).collect();
    let at = context.now();
    let void = |peer| VoidAtPeer {
        peer,
        consumer: consumer.clone(),
        at,
    };
    peers.into_iter().map(void).collect()
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
        let data = json!({ "app": grant.name, "at": context.now() });
        tickets_void(BTreeSet::from([service]), &data)
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
    let mut services = BTreeSet::new();
    let site = context.site();
    site.each_application(|provider| {
        if may_call(before, &provider) && !may_call(after, &provider) {
            services.extend(provider.service);
        }
    })
    .await?;
    let mut notices = Vec::new();
    if !services.is_empty() {
        let data = json!({ "app": after.id, "at": context.now() });
        notices.push(tickets_void(services, &data)?);
    }
    let is_gone = |grant: &Grant| !after.may_call.contains(grant);
    let at_peers = void_at_peers(context, before, is_gone);
    notices.extend(Notice::void_at_peers(at_peers));
    Ok(notices)
}

/// The event `broker.tickets_void` for these services.
pub(super) fn tickets_void(
    services: BTreeSet<AccountId>,
    data: &serde_json::Value,
) -> Result<Notice, Refusal> {
    let to = Audience::Accounts(Arc::new(services));
    Ok(Notice::event(to, "broker", "tickets_void", data)?)
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
