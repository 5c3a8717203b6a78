//! Event streams over HTTP: the memory of idle ones beside those of bare axum, and how soon all of them
//! end when their token is revoked.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::report::{Row, Unit};
use crate::site::{Running, attacker, memory, millis, now};
use crate::sse_baseline::SseBaseline;
use crate::{Result, Size, admin};

/// The name of the scenario.
pub(crate) const NAME: &str = "event-streams";
/// The path of the events, at the site and at the baseline.
pub(crate) const PATH: &str = "/api/v1/events";
/// The number of streams that are opened at a time.
const AT_ONCE: usize = 64;
/// A time within which every stream has ended, or the measurement fails.
const SOON: Duration = Duration::from_secs(60);

/// Measures both.
pub(crate) async fn run(site: &Running, size: Size) -> Result<Vec<Row>> {
    let count = size.of(10_000, 200);
    let (token, id) = site.token.as_ref().ok_or("the site has no token")?;
    let address = site.http.ok_or("the site serves no HTTP")?;
    let (each, streams) = measured(address, site.process_id()?, token, count).await?;
    let mut reading = JoinSet::new();
    for mut stream in streams {
        reading.spawn(async move {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
            match rest.windows(13).any(|part| part == b"token_revoked") {
                true => Result::Ok(now()),
                false => Err("a stream ended without a reason".into()),
            }
        });
    }
    let begun = now();
    admin::run(site, "token", "revoke", &json!({ "id": id })).await?;
    let mut last = begun;
    while let Some(ended) = timeout(SOON, reading.join_next()).await? {
        last = last.max(ended??);
    }
    let ended = millis(last.saturating_duration_since(begun));
    let baseline = SseBaseline::start().await?;
    let (theirs, _) = measured(baseline.address, baseline.process_id()?, token, count).await?;
    Ok(vec![
        Row::new(
            format!("memory of {count} idle event streams"),
            each,
            Unit::KibPerConnection,
        )
        .at_most(32.0),
        Row::new("the same with bare axum", theirs, Unit::KibPerConnection),
        Row::new("ratio of the two", each / theirs, Unit::Ratio).at_most(1.3),
        Row::new(
            format!("end of {count} event streams after their token was revoked, last"),
            ended,
            Unit::Milliseconds,
        )
        .at_most(1_000.0),
    ])
}

/// Opens streams. Returns the memory of each in KiB, and the streams.
async fn measured(
    address: SocketAddr,
    process: u32,
    token: &str,
    count: usize,
) -> Result<(f64, Vec<TcpStream>)> {
    let warm = open(address, token, count / 20).await?;
    let before = memory(process)?;
    let streams = open(address, token, count).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let each = (memory(process)? - before) / count as f64 / 1024.0;
    drop(warm);
    Ok((each, streams))
}

async fn open(address: SocketAddr, token: &str, count: usize) -> Result<Vec<TcpStream>> {
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nhost: site.example\r\naccept: text/event-stream\r\n\
         connection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let one = async |number: usize| {
        // No source may hold all connections.
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(attacker(number % 16).into(), 0))?;
        let mut stream = socket.connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await?;
        match &begin {
            b"HTTP/1.1 200" => Result::Ok(stream),
            _ => Err("the site opened no stream".into()),
        }
    };
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let batch = AT_ONCE.min(count - streams.len());
        let opened = (0..batch).map(|number| one(streams.len() + number));
        for stream in futures_util::future::join_all(opened).await {
            streams.push(stream?);
        }
    }
    Ok(streams)
}
