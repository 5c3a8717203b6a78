//! The operations with which a peer asks for the state of this site, and tells its new address.

use countersign_proto::uri::is_host;
use serde_json::json;

use super::wire::called;
use crate::engine::{Answer, Context, PeerAddressNotice, PeerStatus, Refusal};
use crate::operations::{Done, NoParams};
use crate::store::{Change, PeerChange};
use crate::throttle::Rate;

pub(super) async fn ping(context: Context, _: NoParams) -> Result<Answer<PeerStatus>, Refusal> {
    called(&context).await?;
    let status = context.site().status_for_peers(context.now());
    Ok(Answer::new(status))
}

pub(super) async fn address(
    context: Context,
    params: PeerAddressNotice,
) -> Result<Answer<Done>, Refusal> {
    let peer = called(&context).await?;
    if !is_host(&params.host) {
        return Err(Refusal::invalid(
            "host",
            "is neither a DNS name nor an IP address",
        ));
    }
    if params.port == 0 {
        return Err(Refusal::invalid("port", "is 0"));
    }
    let (host, port) = (params.host.to_ascii_lowercase(), params.port);
    if (&peer.host, peer.port) == (&host, port) {
        return Ok(Answer::new(Done {}));
    }
    let site = peer.site();
    context.rate(Rate::Addresses(site), "new addresses")?;
    let was = peer.address();
    let peer = peer.revised(|peer| (peer.host, peer.port) = (host, port));
    let details = json!({ "zone": peer.zone, "was": was, "is": peer.address() });
    let change = Change::Peer(PeerChange::Update(Box::new(peer)));
    context.commit(change, site.to_string(), details).await?;
    // The problem was that of the old address.
    context.site().forget_reach_problem(site);
    Ok(Answer::new(Done {}))
}
