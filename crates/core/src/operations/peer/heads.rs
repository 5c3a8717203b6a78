//! The operation with which a peer has the head of its audit log countersigned.

use data_encoding::HEXLOWER;
use serde_json::json;

use super::wire::permitted;
use crate::audit::AuditOutcome;
use crate::engine::{Answer, Context, HeadOffer, HeadRefused, HeadReply, Refusal};
use crate::peers::PeerPermission;
use crate::throttle::Rate;

/// How often a head is decided anew because another one was stored, or the peer changed, meanwhile. A
/// peer sends one at a time on each of a few connections.
const MAX_ATTEMPTS: usize = 4;

pub(super) async fn audit_head(
    context: Context,
    params: HeadOffer,
) -> Result<Answer<HeadReply>, Refusal> {
    let mut peer = permitted(&context, PeerPermission::AuditHeads).await?;
    let (site, head) = (peer.site(), params.head.head());
    context.rate(Rate::AuditHeads(site), "heads of the audit log")?;
    let target = || site.to_string();
    for _ in 0..MAX_ATTEMPTS {
        let decided = context.site().countersign(&peer, &params, context.now());
        let decision = decided.await?.map_err(|refused| match refused {
            HeadRefused::Sealed => Refusal::sealed(),
            HeadRefused::NotSigned => Refusal::not_permitted(
                "the head is not signed with the newest key of your site",
                "sign it with that key",
            ),
        })?;
        // Both heads are signed: the entry proves the contradiction.
        let contradicted = decision.contradicted.map(|stored| stored.head);
        let details = json!({
            "zone": peer.zone,
            "entry": head.seq,
            "hash": HEXLOWER.encode(&head.hash),
            "state": decision.reply.state,
            "head": contradicted.map(|_| params.head),
            "contradicted": contradicted,
        });
        let committed = match decision.change {
            Some(change) => context.commit(change, target(), details).await,
            None if contradicted.is_some() => {
                context.site().report_altered_log(&peer);
                context.audit(target(), details, AuditOutcome::Failed).await
            }
            None => return Ok(Answer::new(decision.reply)),
        };
        match committed {
            Ok(_) => return Ok(Answer::new(decision.reply)),
            // The peer may have another key now: the replaced one may be a thief's.
            Err(refusal) if refusal.is_conflict() => {
                peer = permitted(&context, PeerPermission::AuditHeads).await?;
            }
            Err(refusal) => return Err(refusal),
        }
    }
    Err(Refusal::busy("other heads of your site are being stored"))
}
