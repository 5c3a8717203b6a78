//! Device connections beside connections of bare rustls: memory of idle ones, and the rate at which
//! one alarm reaches all of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::sign::VerifyingKey;
use countersign_net::tls::{Connector, TlsStream};
use countersign_proto::device::Hello;
use countersign_proto::enrolment::{EnrolmentReply, EnrolmentRequest, EnrolmentTicket};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::report::{Row, Unit};
use crate::server::KNOWN;
use crate::site::{Running, attacker, now};
use crate::tls_baseline::TlsBaseline;
use crate::{Result, Size, admin};

/// The number of handshakes at a time.
const AT_ONCE: usize = 64;
/// The number of alarms that are sent to all connections.
const ALARMS: usize = 10;
/// A time within which every connection has its event, or the measurement fails.
const SOON: Duration = Duration::from_secs(60);

pub(crate) type Stream = TlsStream<TcpStream>;

/// Measures both figures of the site and of the baseline.
pub(crate) async fn run(site: &Running, size: Size) -> Result<Vec<Row>> {
    // All of one account. With 20,000 files, the site gives one account at most half of its
    // connections.
    let count = size.of(8_000, 200);
    let alarms = size.of(ALARMS, 2);
    let device = Device::enrol(site).await?;
    let process = site.process_id()?;
    let raise = async |number| {
        let params = json!({
            "to": KNOWN,
            "key": format!("bench-{number}"),
            "text": "An alarm of the benchmark.",
            "severity": "warning",
        });
        admin::run(site, "alarm", "raise", &params).await
    };
    let (ours, our_rate) = measured(&device, process, count, alarms, raise).await?;
    let mut baseline = TlsBaseline::start().await?;
    let bare = Bare {
        address: baseline.address,
        connector: Connector::new(baseline.key, Some(device.identity.clone()))?,
    };
    let process = baseline.process_id()?;
    let (theirs, their_rate) = measured(&bare, process, count, alarms, async |_| {
        baseline.broadcast().await
    })
    .await?;
    Ok(vec![
        Row::new(
            format!("memory of {count} idle device connections"),
            ours,
            Unit::KibPerConnection,
        ),
        Row::new("the same with bare rustls", theirs, Unit::KibPerConnection),
        Row::new("ratio of the two", ours / theirs, Unit::Ratio).at_most(1.3),
        Row::new(
            format!("alarms received by {count} device connections"),
            our_rate,
            Unit::PerSecond,
        ),
        Row::new(
            "lines of the same length with bare rustls",
            their_rate,
            Unit::PerSecond,
        ),
        Row::new("ratio of the two", our_rate / their_rate, Unit::Ratio),
    ])
}

/// Opens idle connections of a device.
pub(crate) async fn connections(site: &Running, count: usize) -> Result<Vec<Stream>> {
    open(&Device::enrol(site).await?, count).await
}

/// A way to open connections to one of the two servers.
trait Opens: Sync {
    async fn open(&self) -> Result<Stream>;
}

/// Opens connections. Returns the memory of each in KiB, and the lines that all of them receive per
/// second.
async fn measured(
    server: &impl Opens,
    process: u32,
    count: usize,
    alarms: usize,
    mut send: impl AsyncFnMut(usize) -> Result<()>,
) -> Result<(f64, f64)> {
    let warm = open(server, count / 20).await?;
    let before = crate::site::memory(process)?;
    let mut streams = open(server, count).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let each = (crate::site::memory(process)? - before) / count as f64 / 1024.0;
    drop(warm);
    let begun = now();
    for number in 0..alarms {
        send(number).await?;
        let mut reading = JoinSet::new();
        for mut stream in streams.drain(..) {
            reading.spawn(async move {
                line(&mut stream).await?;
                Result::Ok(stream)
            });
        }
        while let Some(read) = timeout(SOON, reading.join_next()).await? {
            streams.push(read??);
        }
    }
    let rate = (alarms * count) as f64 / begun.elapsed().as_secs_f64();
    Ok((each, rate))
}

async fn open(server: &impl Opens, count: usize) -> Result<Vec<Stream>> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let batch = AT_ONCE.min(count - streams.len());
        let opened = futures_util::future::join_all((0..batch).map(|_| server.open())).await;
        for stream in opened {
            streams.push(stream?);
        }
    }
    Ok(streams)
}

/// Reads up to the end of a line.
async fn line(stream: &mut Stream) -> Result<()> {
    let mut buffer = [0; 2_048];
    loop {
        let read = stream.read(&mut buffer).await?;
        match buffer.get(..read) {
            Some([.., b'\n']) => return Ok(()),
            Some([]) | None => return Err("the server closed a connection".into()),
            Some(_) => {}
        }
    }
}

/// Connects from one of 16 local addresses: no source may hold all connections.
async fn socket(address: SocketAddr) -> Result<TcpStream> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(attacker(number % 16).into(), 0))?;
    Ok(socket.connect(address).await?)
}

/// A device of the known person, and the site's address for it.
struct Device {
    identity: Arc<DeviceIdentity>,
    address: SocketAddr,
    connector: Connector,
}

impl Device {
    async fn enrol(site: &Running) -> Result<Self> {
        let identity = Arc::new(DeviceIdentity::generate(&mut SystemEntropy));
        let uri = site.ticket.as_deref().ok_or("the site issued no ticket")?;
        let ticket: EnrolmentTicket = uri.parse()?;
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ticket.port());
        let key: VerifyingKey = *ticket.site();
        let mut stream = Connector::new(key, None)?
            .connect(socket(address).await?)
            .await?;
        let (id, name) = (KNOWN.parse()?, "bench".parse()?);
        let exporter = stream.enrolment_exporter()?;
        let request = EnrolmentRequest::new(ticket.token().clone(), id, name, &identity, &exporter);
        stream.write_all(request.to_line().expose()).await?;
        stream.flush().await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        EnrolmentReply::read(&reply)?;
        Ok(Self {
            connector: Connector::new(key, Some(identity.clone()))?,
            identity,
            address,
        })
    }
}

impl Opens for Device {
    async fn open(&self) -> Result<Stream> {
        let mut stream = self.connector.connect(socket(self.address).await?).await?;
        let hello = Hello { id: KNOWN.parse()? };
        stream.write_all(hello.to_line().as_bytes()).await?;
        stream.flush().await?;
        line(&mut stream).await?;
        Ok(stream)
    }
}

/// The baseline.
struct Bare {
    address: SocketAddr,
    connector: Connector,
}

impl Opens for Bare {
    async fn open(&self) -> Result<Stream> {
        let mut stream = self.connector.connect(socket(self.address).await?).await?;
        line(&mut stream).await?;
        Ok(stream)
    }
}
