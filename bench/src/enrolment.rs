//! Enrolments of devices over loopback: TLS, request, proof, a durable change, reply. The baseline is a
//! handshake of bare rustls with the same configuration, one line each way, and the same number of
//! connections at a time.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::accounts::Kind;
use countersign_core::store::{Change, Store};
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::sign::VerifyingKey;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_net::tls::{Acceptor, Connector, TlsStream};
use countersign_proto::enrolment::{EnrolmentReply, EnrolmentRequest, EnrolmentTicket};
use countersign_server::Server;
use countersign_server::limits::Limits;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Result;
use crate::measure::{in_turns, timed};
use crate::report::{Row, Target, Unit};
use crate::site::{BenchSite, account, audited};

const ROUNDS: usize = 9;
/// Enrolments at a time.
const AT_ONCE: usize = 64;
/// Persons of a round, each with as many devices as a person may have.
const PERSONS: usize = 16;
const DEVICES: usize = 32;
const COUNT: usize = PERSONS * DEVICES;

pub(crate) fn run() -> Result<Vec<Row>> {
    let runtime = Runtime::new()?;
    let (site, server) = runtime.block_on(served())?;
    let address = server.device_address().ok_or("no device listener")?;
    let key = site.site.public_key().signing;
    let device = Connector::new(key, None)?;
    let (bare_address, bare_key) = runtime.block_on(bare_server())?;
    let bare = Connector::new(bare_key, None)?;
    let mut round = 0;
    let per_second = |took: std::time::Duration| COUNT as f64 / took.as_secs_f64();
    let figures = in_turns(
        ROUNDS,
        [
            &mut || {
                round += 1;
                // Issuing the tickets and making the keys is not measured.
                let tickets = runtime.block_on(tickets(&site, round))?;
                let enrolments: Vec<_> = tickets
                    .into_iter()
                    .map(|ticket| {
                        let identity = DeviceIdentity::generate(&mut SystemEntropy);
                        enrol(address, device.clone(), ticket, identity)
                    })
                    .collect();
                let (took, ()) = timed(|| runtime.block_on(all(enrolments.into_iter())))?;
                Ok(per_second(took))
            },
            &mut || {
                let handshakes = (0..COUNT).map(|_| shake_hands(bare_address, bare.clone()));
                let (took, ()) = timed(|| runtime.block_on(all(handshakes)))?;
                Ok(per_second(took))
            },
        ],
    )?;
    runtime.block_on(server.stop());
    Ok(vec![Row {
        what: format!("enrolments of devices, {AT_ONCE} at a time"),
        ours: figures.median(0),
        baseline: figures.median(1),
        unit: Unit::PerSecond,
        baseline_is: "rustls: a handshake and a line each way",
        ratio: figures.ratio(0, 1),
        target: Some(Target::AtLeast(0.7)),
    }])
}

/// A site with a device listener whose limits allow this benchmark.
async fn served() -> Result<(BenchSite, Server)> {
    let site = BenchSite::new(Vec::new).await?;
    let server = Server::builder(site.site.clone())
        .limits(Limits {
            waiting_logins: AT_ONCE,
            waiting_logins_per_network: AT_ONCE,
            ..Limits::default()
        })
        .device(Some("127.0.0.1:0".parse()?))
        .start()
        .await?;
    Ok((site, server))
}

/// Issues a ticket for each device of new persons.
async fn tickets(site: &BenchSite, round: usize) -> Result<Vec<(String, EnrolmentTicket)>> {
    let mut tickets = Vec::with_capacity(COUNT);
    for person in 0..PERSONS {
        let name = format!("person-{round}-{person}@example.org");
        let change = Change::InsertAccount(account(&name, Kind::Person)?);
        site.store.commit(audited(vec![change])).await?;
        let params = json!({ "person": name });
        let issuing = (0..DEVICES).map(|_| site.admin_data("ticket", "issue", &params));
        for issued in try_join_all(issuing).await? {
            let uri = issued.get("uri").and_then(Value::as_str).ok_or("no URI")?;
            tickets.push((name.clone(), uri.parse()?));
        }
    }
    Ok(tickets)
}

/// Runs the futures, [`AT_ONCE`] at a time.
async fn all<F>(mut work: impl Iterator<Item = F>) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for one in work.by_ref().take(AT_ONCE) {
        running.spawn(one);
    }
    while let Some(done) = running.join_next().await {
        done??;
        if let Some(next) = work.next() {
            running.spawn(next);
        }
    }
    Ok(())
}

async fn connect(address: SocketAddr, connector: &Connector) -> Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(connector.connect(socket).await?)
}

async fn enrol(
    address: SocketAddr,
    connector: Connector,
    (person, ticket): (String, EnrolmentTicket),
    identity: DeviceIdentity,
) -> Result<()> {
    let mut stream = connect(address, &connector).await?;
    let exporter = stream.enrolment_exporter()?;
    let (id, name) = (person.parse()?, "phone".parse()?);
    let request = EnrolmentRequest::new(ticket.token().clone(), id, name, &identity, &exporter);
    stream.write_all(request.to_line().expose()).await?;
    stream.flush().await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    EnrolmentReply::read(&reply)?;
    Ok(())
}

/// The lengths of a request and a reply.
const REQUEST: usize = 320;
const REPLY: usize = 220;

async fn bare_server() -> Result<(SocketAddr, VerifyingKey)> {
    let key = Arc::new(SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy)));
    let acceptor = Acceptor::new(key.clone())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                socket.set_nodelay(true)?;
                let mut stream = acceptor.accept(socket).await?;
                let mut request = [0; REQUEST];
                stream.read_exact(&mut request).await?;
                stream.write_all(&[b' '; REPLY]).await?;
                stream.shutdown().await
            });
        }
    });
    Ok((address, key.public().signing))
}

async fn shake_hands(address: SocketAddr, connector: Connector) -> Result<()> {
    let mut stream = connect(address, &connector).await?;
    stream.write_all(&[b' '; REQUEST]).await?;
    stream.flush().await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    match reply.len() {
        REPLY => Ok(()),
        other => Err(format!("a reply of {other} bytes").into()),
    }
}
