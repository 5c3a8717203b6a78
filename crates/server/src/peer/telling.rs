//! Telling peers that tickets of this site's applications are void.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use countersign_proto::site_identity::SiteId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::PeerServer;
use crate::clock;
use crate::runtime::shared::Shared;

/// How long this site waits after a peer could not be told.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the task waits at most before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Tells peers for as long as the peer server runs.
pub(super) async fn run(server: &Arc<PeerServer>, shared: &Arc<Shared>) -> Infallible {
    let mut changes = server.changes.subscribe();
    let mut telling: JoinSet<(SiteId, bool)> = JoinSet::new();
    let mut busy: HashSet<SiteId> = HashSet::new();
    let mut resting: HashMap<SiteId, Instant> = HashMap::new();
    loop {
        changes.mark_unchanged();
        let now = Instant::from_std(clock::monotonic());
        resting.retain(|_, until| *until > now);
        for site in shared.site.peers_to_tell(clock::now()) {
            if !resting.contains_key(&site) && busy.insert(site) {
                let shared = shared.clone();
                telling.spawn(async move {
                    let told = shared.site.tell_void_tickets(site, clock::now()).await;
                    (site, told)
                });
            }
        }
        let next = resting.values().min().copied();
        let next = next.map_or(now + LOOK_AGAIN, |next| next.min(now + LOOK_AGAIN));
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(next) => {}
            Some(ended) = telling.join_next(), if !telling.is_empty() => {
                if let Ok((site, told)) = ended {
                    busy.remove(&site);
                    if !told {
                        resting.insert(site, Instant::from_std(clock::monotonic()) + AGAIN);
                    }
                }
            }
        }
    }
}
