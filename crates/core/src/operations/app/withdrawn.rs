//! Permissions that a change of an application withdraws: providers are told that the tickets given by
//! them are void.

use std::collections::BTreeSet;

use countersign_proto::broker::v2::foreign::ForeignName;
use serde_json::json;

use super::relations::{MAX_NAMED, no_longer_called, tickets_void};
use crate::access::Role;
use crate::applications::{Application, ApplicationId};
use crate::engine::{Context, Refusal};
use crate::peers::{Peer, VoidAtPeer};
use crate::sessions::Audience;
use crate::store::Notice;

/// Returns the notices that follow from a change of an application, whatever changed: of the providers
/// that it may no longer call, and of the consumers that may no longer call it.
pub(super) async fn withdrawn(
    context: &Context,
    before: &Application,
    after: &Application,
) -> Result<Vec<Notice>, Refusal> {
    let mut notices = Vec::new();
    if before.may_call != after.may_call {
        notices.extend(no_longer_called(context, before, after).await?);
    }
    if before.groups != after.groups {
        notices.extend(no_longer_callers(context, before, after).await?);
    }
    Ok(notices)
}

/// The consumers could call the application as a member of a group that it has left.
async fn no_longer_callers(
    context: &Context,
    before: &Application,
    after: &Application,
) -> Result<Vec<Notice>, Refusal> {
    let services = before.service.into_iter().chain(after.service);
    let services: BTreeSet<_> = services.collect();
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let may_call = |consumer: &Application, provider: &Application| {
        let mut grants = consumer.may_call.iter();
        grants.any(|grant| grant.allows(provider))
    };
    let mut consumers = Vec::new();
    let site = context.site();
    site.each_application(|consumer| {
        if may_call(&consumer, before) && !may_call(&consumer, after) {
            consumers.push(consumer.id);
        }
    })
    .await?;
    if consumers.len() > MAX_NAMED {
        consumers = vec![after.id.clone()];
    }
    let notice = |consumer: &ApplicationId| {
        let data = json!({ "app": consumer, "at": context.now() });
        tickets_void(services.clone(), &data)
    };
    consumers.iter().map(notice).collect()
}

/// Returns the notices of an application that cannot be read. Which applications it could call is not
/// known, so the services of all are told, and every active peer.
pub(super) async fn of_damaged(
    context: &Context,
    id: &ApplicationId,
) -> Result<Vec<Notice>, Refusal> {
    let to = Audience::Role(Role::Service);
    let at = context.now();
    let data = json!({ "app": id, "at": at });
    let mut notices = vec![Notice::event(to, "broker", "tickets_void", &data)?];
    let site = context.site();
    // An application without such a name gets no tickets of peers.
    if let Ok(consumer) = ForeignName::new(id.as_str(), &site.zone()) {
        let peers = site.all_peers().await?.into_iter().filter(Peer::is_active);
        let voids = peers.map(|peer| VoidAtPeer {
            peer: peer.site(),
            consumer: consumer.clone(),
            at,
        });
        notices.extend(Notice::void_at_peers(voids.collect()));
    }
    Ok(notices)
}
