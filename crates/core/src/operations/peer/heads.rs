//! The operation with which a peer has the head of its audit log countersigned.

use serde_json::json;

use super::wire::permitted;
use crate::engine::{Answer, Context, HeadOffer, HeadRefused, HeadReply, HeadState, Refusal};
use crate::peers::PeerPermission;
use crate::throttle::Rate;

pub(super) async fn audit_head(
    context: Context,
    params: HeadOffer,
) -> Result<Answer<HeadReply>, Refusal> {
    let peer = permitted(&context, PeerPermission::AuditHeads).await?;
    let (site, zone) = (peer.site(), peer.zone.clone());
    context.rate(Rate::AuditHeads(site), "heads of the audit log")?;
    let decided = context.site().countersign(peer, &params, context.now());
    let (reply, change) = decided.await?.map_err(|refused| match refused {
        HeadRefused::Sealed => Refusal::sealed(),
        HeadRefused::NotSigned => Refusal::not_permitted(
            "the head is not signed with the newest key of your site",
            "send one that is, with the key event of that key",
        ),
    })?;
    let head = params.head.head();
    if change.is_some() || reply.state == HeadState::Contradicted {
        let details = json!({ "zone": zone, "entry": head.seq, "state": reply.state });
        let changes: Vec<_> = change.into_iter().collect();
        context.commit(changes, site.to_string(), details).await?;
    }
    Ok(Answer::new(reply))
}
