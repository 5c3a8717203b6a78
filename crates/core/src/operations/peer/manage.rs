//! What an admin does with peers.

use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::view::{ByPeer, PeerRef, PeerView};
use crate::engine::{Answer, Changes, Context, Refusal};
use crate::operations::app::without_peer;
use crate::operations::{Done, Limit, Listing};
use crate::page::Page;
use crate::peers::{Peer, PeerPermission, PeerState};
use crate::store::{Change, PeerChange};
use crate::text::Line;

/// Selects a page of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// The site id after which the page begins: the `next` of the previous page.
    #[schemars(with = "Option<String>")]
    after: Option<SiteId>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

pub(super) async fn list(
    context: Context,
    params: List,
) -> Result<Answer<Listing<PeerView>>, Refusal> {
    let page = Page {
        after: params.after,
        limit: params.limit.plus_one(),
    };
    let site = context.site();
    let peers = site.store().peers(&page).await?;
    let views = peers.into_iter().map(|peer| PeerView::of(site, peer));
    let listing = Listing::of(views.collect(), params.limit, |view: &PeerView| {
        view.site().to_owned()
    });
    let text = listing.lines(PeerView::line);
    Ok(Answer::new(listing).with_output(text))
}

pub(super) async fn show(context: Context, params: ByPeer) -> Result<Answer<PeerView>, Refusal> {
    let peer = params.peer.find(&context).await?;
    let view = PeerView::whole(context.site(), peer, context.now()).await?;
    let text = view.text();
    Ok(Answer::new(view).with_output(text))
}

/// What a peer may ask for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Permit {
    /// The peer's site id, or its zone.
    peer: PeerRef,
    /// What it may ask this site for; nothing if empty.
    allows: Vec<PeerPermission>,
}

pub(super) async fn permit(context: Context, params: Permit) -> Result<Answer<PeerView>, Refusal> {
    let peer = params.peer.find(&context).await?;
    let mut allows = params.allows;
    allows.sort_unstable();
    allows.dedup();
    let details = json!({ "zone": peer.zone, "was": peer.allows, "is": allows });
    let void = peer.allows.contains(&PeerPermission::Tickets)
        && !allows.contains(&PeerPermission::Tickets);
    let peer = peer.revised(|peer| peer.allows = allows);
    let output = format!("Changed what the peer {} may ask for.", peer.zone);
    update(&context, peer, void, details, output).await
}

/// A reason to suspend a peer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspend {
    /// The peer's site id, or its zone.
    peer: PeerRef,
    /// The reason, which `peer show` and `peer doctor` show.
    #[serde(default)]
    reason: Line<200>,
}

pub(super) async fn suspend(
    context: Context,
    params: Suspend,
) -> Result<Answer<PeerView>, Refusal> {
    let peer = params.peer.find(&context).await?;
    if peer.is_removed() {
        return Err(removed());
    }
    let state = PeerState::Suspended {
        by: context.caller().name.clone(),
        why: params.reason.into_string(),
        at: context.now(),
    };
    let details = json!({ "zone": peer.zone, "state": state });
    let output = format!("Suspended the peer {}. Its messages wait.", peer.zone);
    let peer = peer.revised(|peer| peer.state = state);
    update(&context, peer, true, details, output).await
}

pub(super) async fn resume(context: Context, params: ByPeer) -> Result<Answer<PeerView>, Refusal> {
    let peer = params.peer.find(&context).await?;
    if peer.is_removed() {
        return Err(removed());
    }
    let output = format!("The peer {} is active.", peer.zone);
    if peer.is_active() {
        return Ok(Answer::new(PeerView::of(context.site(), peer)).with_output(output));
    }
    let details = json!({ "zone": peer.zone });
    let peer = peer.revised(|peer| peer.state = PeerState::Active);
    update(&context, peer, false, details, output).await
}

pub(super) async fn remove(context: Context, params: ByPeer) -> Result<Answer<PeerView>, Refusal> {
    let peer = params.peer.find(&context).await?;
    let output = format!("Removed the peer {}.", peer.zone);
    if peer.is_removed() {
        return Ok(Answer::new(PeerView::of(context.site(), peer)).with_output(output));
    }
    let state = PeerState::Removed {
        by: context.caller().name.clone(),
        at: context.now(),
    };
    let details = json!({ "zone": peer.zone });
    let peer = peer.revised(|peer| peer.state = state);
    update(&context, peer, true, details, output).await
}

pub(super) async fn forget(context: Context, params: ByPeer) -> Result<Answer<Done>, Refusal> {
    let peer = params.peer.find(&context).await?;
    if !peer.is_removed() {
        return Err(Refusal::conflict(
            "the site is a peer",
            "remove it with `peer remove` first",
        ));
    }
    let (site, revision) = (peer.site(), peer.revision);
    // A site that becomes a peer again starts without permissions.
    let released = without_peer(&context, site).await?;
    let mut changes = released.changes;
    changes.push(Change::Peer(PeerChange::Forget { site, revision }));
    let details = json!({ "zone": peer.zone, "removed_from": released.ids });
    context.commit(changes, site.to_string(), details).await?;
    let output = format!("Forgot the peer {site}. A ticket can make it a peer again.");
    Ok(Answer::new(Done {}).with_output(output))
}

fn removed() -> Refusal {
    Refusal::conflict(
        "the peer was removed",
        "forget it with `peer forget`, and join it with a new ticket",
    )
}

/// Stores a peer. `void` tells providers that the tickets of its applications are void.
async fn update(
    context: &Context,
    peer: Peer,
    void: bool,
    details: serde_json::Value,
    output: String,
) -> Result<Answer<PeerView>, Refusal> {
    let change = Change::Peer(PeerChange::Update(Box::new(peer.clone())));
    let target = peer.site().to_string();
    let (site, now) = (context.site(), context.now());
    let notices = match void {
        true => site.foreign_tickets_void(peer.site(), None, now).await?,
        false => Vec::new(),
    };
    let changes = notices.into_iter().fold(change.into(), Changes::and);
    context.commit(changes, target, details).await?;
    Ok(Answer::new(PeerView::of(context.site(), peer)).with_output(output))
}
