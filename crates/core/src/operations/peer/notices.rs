//! The operations with which a peer asks for the state of this site, and tells its new address.

use countersign_proto::uri::is_host;
use serde_json::json;

use super::wire::called;
use crate::engine::{Answer, Context, PEER_TRIES, PeerAddressNotice, PeerStatus, Refusal};
use crate::operations::{Done, NoParams};
use crate::peers::Peer;
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
    let address = (params.host.to_ascii_lowercase(), params.port);
    let site = peer.site();
    if (&peer.host, peer.port) != (&address.0, address.1) {
        context.rate(Rate::Addresses(site), "new addresses")?;
        store(&context, peer, &address).await?;
    }
    Ok(Answer::new(Done {}))
}

/// Stores the address of a peer, also if this site stores at the same time what it told the peer.
async fn store(context: &Context, mut peer: Peer, address: &(String, u16)) -> Result<(), Refusal> {
    let mut tries = 0;
    loop {
        let (site, was) = (peer.site(), peer.address());
        let new = peer.revised(|peer| (peer.host, peer.port) = address.clone());
        let details = json!({ "zone": new.zone, "was": was, "is": new.address() });
        let change = Change::Peer(PeerChange::Update(Box::new(new)));
        tries += 1;
        match context.commit(change, site.to_string(), details).await {
            Ok(_) => {
                // The problem was that of the old address.
                context.site().forget_reach_problem(site);
                return Ok(());
            }
            Err(refusal) if refusal.is_conflict() && tries < PEER_TRIES => {
                peer = called(context).await?;
            }
            Err(refusal) => return Err(refusal),
        }
    }
}
