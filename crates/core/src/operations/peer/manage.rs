//! What an admin does with peers.

use std::fmt;

use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::view::{ByPeer, PeerRef, PeerView};
use crate::applications::ApplicationId;
use crate::engine::{Answer, Changes, Context, Refusal};
use crate::operations::app::without_peer;
use crate::operations::{Limit, Rows, damaged_line};
use crate::page::Page;
use crate::peers::{Peer, PeerPermission, PeerState};
use crate::store::{Change, DamagedPeer, PeerChange};
use crate::text::Line;

/// The most applications that a text names one by one.
const MAX_NAMED: usize = 20;

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
) -> Result<Answer<Rows<PeerView, DamagedView>>, Refusal> {
    let page = Page {
        after: params.after,
        limit: params.limit.plus_one(),
    };
    let site = context.site();
    let peers = site.store().peers(&page).await?;
    let views = peers.into_iter().map(|listed| match listed {
        Ok(peer) => Ok(PeerView::of(site, peer)),
        Err(damaged) => Err(DamagedView::of(damaged)),
    });
    let after = params.after.map(|after| after.to_string());
    let after = after.as_deref();
    let rows = Rows::of(views.collect(), params.limit, after, |row| match row {
        Ok(view) => view.site().to_owned(),
        Err(damaged) => damaged.site.clone(),
    });
    let text = rows.lines(PeerView::line);
    Ok(Answer::new(rows).with_output(text))
}

/// A peer that cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DamagedPeer")]
pub(super) struct DamagedView {
    /// Its site id.
    site: String,
    /// The zone that it claims.
    zone: String,
    /// What is wrong with the stored peer.
    problem: String,
}

impl DamagedView {
    fn of(
        DamagedPeer {
            site,
            zone,
            problem,
        }: DamagedPeer,
    ) -> Self {
        Self {
            site: site.to_string(),
            zone,
            problem,
        }
    }
}

impl fmt::Display for DamagedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = format!("{}  {}", self.site, self.zone);
        damaged_line(f, &named, &self.problem)
    }
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
    let withdrawn = peer.allows.iter().copied();
    let withdrawn: Vec<_> = withdrawn.filter(|was| !allows.contains(was)).collect();
    let output = match withdrawn.is_empty() {
        true => format!("The peer {} may ask for {}.", peer.zone, named(&allows)),
        false => format!(
            "The peer {} may ask for {}, and no longer for {}.",
            peer.zone,
            named(&allows),
            named(&withdrawn)
        ),
    };
    if peer.allows == allows {
        return Ok(Answer::new(PeerView::of(context.site(), peer)).with_output(output));
    }
    let peer = peer.revised(|peer| peer.allows = allows);
    update(&context, peer, void, details, output).await
}

fn named(permissions: &[PeerPermission]) -> String {
    let names: Vec<_> = permissions.iter().map(|one| one.as_str()).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
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
        return Err(removed(&peer));
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
        return Err(removed(&peer));
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
    let mut output = format!("Removed the peer {}.", peer.zone);
    if peer.is_removed() {
        return Ok(Answer::new(PeerView::of(context.site(), peer)).with_output(output));
    }
    let without = without_peer(&context, peer.site()).await?;
    if let Some(applications) = some_of(&without.ids) {
        output += &format!(
            " Applications that have permissions for its applications, which are void now, and which `peer forget \
             {}` deletes: {applications}.",
            peer.site()
        );
    }
    let state = PeerState::Removed {
        by: context.caller().name.clone(),
        at: context.now(),
    };
    let details = json!({ "zone": peer.zone });
    let peer = peer.revised(|peer| peer.state = state);
    update(&context, peer, true, details, output).await
}

/// The audit details of a forgotten peer.
#[derive(Serialize)]
struct Forgetting<'a> {
    zone: String,
    removed_from: &'a [ApplicationId],
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
}

/// What was deleted with a peer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Forgotten {
    /// The applications of this site that had permissions for applications of the peer, and lost them.
    removed_from: Vec<ApplicationId>,
}

/// Forgets a removed peer, or a damaged one in any state.
pub(super) async fn forget(context: Context, params: ByPeer) -> Result<Answer<Forgotten>, Refusal> {
    let damaged = match params.peer.site_id() {
        Some(site) => context.site().store().damaged_peer(site).await?,
        None => None,
    };
    let (site, zone, forget, problem) = match damaged {
        Some(DamagedPeer {
            site,
            zone,
            problem,
        }) => (site, zone, PeerChange::ForgetDamaged(site), Some(problem)),
        None => {
            let peer = params.peer.find(&context).await?;
            if !peer.is_removed() {
                return Err(Refusal::conflict(
                    "the site is a peer",
                    format!("remove it with `peer remove {}` first", peer.site()),
                ));
            }
            let (site, revision) = (peer.site(), peer.revision);
            let forget = PeerChange::Forget { site, revision };
            (site, peer.zone.to_string(), forget, None)
        }
    };
    // A damaged peer was perhaps not removed before.
    let void = match &problem {
        Some(_) => {
            let now = context.now();
            context.site().foreign_tickets_void(site, None, now).await?
        }
        None => Vec::new(),
    };
    // A site that becomes a peer again starts without permissions.
    let released = without_peer(&context, site).await?;
    let mut changes = released.changes;
    changes.push(Change::Peer(forget));
    let details = Forgetting {
        zone,
        removed_from: &released.ids,
        damaged: problem,
    };
    let changes = void.into_iter().fold(changes.into(), Changes::and);
    context.commit(changes, site.to_string(), details).await?;
    let mut output = format!("Forgot the peer {site}. A ticket can make it a peer again.");
    if let Some(applications) = some_of(&released.ids) {
        output += &format!(
            " Applications that lost their permissions for its applications: {applications}. `app update ID --allow OTHER` gives \
             one again."
        );
    }
    let removed_from = released.ids;
    Ok(Answer::new(Forgotten { removed_from }).with_output(output))
}

/// Names applications in a text; `None` without any.
fn some_of(applications: &[ApplicationId]) -> Option<String> {
    let names = applications
        .iter()
        .take(MAX_NAMED)
        .map(ApplicationId::as_str);
    let names = names.collect::<Vec<_>>().join(", ");
    match applications.len().checked_sub(MAX_NAMED) {
        _ if applications.is_empty() => None,
        None | Some(0) => Some(names),
        Some(more) => Some(format!("{names} and {more} more")),
    }
}

fn removed(peer: &Peer) -> Refusal {
    Refusal::conflict(
        "the peer was removed",
        format!(
            "forget it with `peer forget {}`, and join it with a new ticket",
            peer.site()
        ),
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
