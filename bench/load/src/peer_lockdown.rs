//! The time from `lockdown peer`, and from `lockdown site` at the highest level, to the end of the
//! connections with peers.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_net::tls::{Connector, TlsStream};
use countersign_proto::peer::PeerHello;
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::harness::TestPeer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::lockdown::ended;
use crate::report::{Row, Unit, percentile};
use crate::site::{Running, millis, now};
use crate::{Result, Size, admin};

/// The name of the scenario.
pub(crate) const NAME: &str = "peer-lockdown";
/// The number of peers.
pub(crate) const PEERS: usize = 250;
/// The most connections that a site has with one peer.
const CONNECTIONS: usize = 4;

/// Every process of a measurement makes the same peers.
pub(crate) fn peer(number: usize) -> TestPeer {
    let zone = format!("peer-{number}.example");
    let seed = u64::try_from(number).unwrap_or_default();
    TestPeer::generate(&zone, &mut SeededEntropy::new(seed))
}

/// Opens connections of all peers. Puts half of the peers in lockdown, one after the other, and then
/// the site.
pub(crate) async fn run(site: &Running, size: Size) -> Result<Vec<Row>> {
    let address = site.peers.ok_or("the site has no listener for peers")?;
    let count = size.of(PEERS, 4);
    let mut connections = Vec::with_capacity(count);
    for number in 0..count {
        let peer = peer(number);
        let mut of_peer = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            of_peer.push(connect(site, address, &peer).await?);
        }
        connections.push((peer, of_peer));
    }
    let rest = connections.split_off(count / 2);
    let mut took = Vec::new();
    for (peer, of_peer) in connections {
        let id = peer.known().id().to_string();
        let params = json!({ "peer": id, "reason": "a measurement" });
        took.extend(ends(site, of_peer, ("peer", &params)).await?);
    }
    let of_site: Vec<_> = rest.into_iter().flat_map(|(_, of_peer)| of_peer).collect();
    let left = of_site.len();
    let site_took = ends(site, of_site, ("site", &json!({ "level": "all" }))).await?;
    let what = |name: &str| {
        format!(
            "{name} from `lockdown peer` to the end of each of its {CONNECTIONS} connections, {count} peers connected"
        )
    };
    let all = format!("p99 from `lockdown site` to the end of {left} connections with peers");
    Ok(vec![
        Row::new(what("p50"), percentile(&took, 50), Unit::Milliseconds),
        Row::new(what("p99"), percentile(&took, 99), Unit::Milliseconds).at_most(1_000.0),
        Row::new(all, percentile(&site_took, 99), Unit::Milliseconds).at_most(1_000.0),
    ])
}

/// Imposes a lockdown. Returns the milliseconds after which each of the connections has ended.
async fn ends(
    site: &Running,
    connections: Vec<TlsStream<TcpStream>>,
    (target, params): (&str, &serde_json::Value),
) -> Result<Vec<f64>> {
    let (start, begun) = watch::channel(None);
    let mut ending = JoinSet::new();
    for connection in connections {
        ending.spawn(ended(connection, begun.clone()));
    }
    let _ = start.send(Some(now()));
    admin::run(site, "lockdown", target, params).await?;
    let mut took = Vec::with_capacity(ending.len());
    while let Some(ended) = ending.join_next().await {
        took.push(millis(ended??));
    }
    Ok(took)
}

/// A connection of a peer, after the welcome.
async fn connect(
    site: &Running,
    address: SocketAddr,
    peer: &TestPeer,
) -> Result<TlsStream<TcpStream>> {
    let connector = Connector::of_peer(site.uri.site_key().signing, Arc::new(peer.key()))?;
    let mut stream = connector
        .connect(TcpStream::connect(address).await?)
        .await?;
    let hello = PeerHello::new(peer.known().id(), peer.bob(), &peer.events);
    stream.write_all(&hello.to_line()).await?;
    stream.flush().await?;
    while stream.read_u8().await? != b'\n' {}
    Ok(stream)
}
