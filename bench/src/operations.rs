//! Concurrent operations on one connection over loopback, through the whole server and client. The
//! baselines are two plain TCP echo servers in the same runtime, with messages of the same length on
//! the wire and the same concurrency:
//!
//! - *one by one*: each message is written alone, read completely, and written back alone;
//! - *in bulk*: a burst is written at once, and all that has arrived is read and written back at
//!   once, without regard to messages. This is the speed of the loopback itself.

use std::sync::Arc;

use countersign_client::{Client, Connector, LoginAs, Results};
use countersign_core::access::Role;
use countersign_core::engine::{Answer, Entry};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_proto::operation::{Code, Operation};
use countersign_proto::session::EncryptionOption;
use countersign_server::Server;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::Result;
use crate::ends::{Ends, UNEXPECTED_COURSE};
use crate::measure::{in_turns, timed};
use crate::report::{Row, Target, Unit};
use crate::site::BenchSite;

const ROUNDS: usize = 15;
/// The number of operations in a burst. Two bursts are pending at a time: after the results of one,
/// the next is sent.
const BURST: usize = 64;
const BURSTS: usize = 1_000;

/// The parameters and the result of the operation.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Echo {
    text: String,
}

pub(crate) fn run() -> Result<Vec<Row>> {
    let runtime = Runtime::new()?;
    let length = wire_length()?;
    let (_site, _server, client) = runtime.block_on(served())?;
    let mut one_by_one = runtime.block_on(echo(length, false))?;
    let mut in_bulk = runtime.block_on(echo(length, true))?;
    let count = (BURST * BURSTS) as f64;
    let figures = in_turns(
        ROUNDS,
        [
            &mut || {
                let (took, ()) = timed(|| runtime.block_on(ours(&client)))?;
                Ok(count / took.as_secs_f64())
            },
            &mut || {
                let (took, ()) = timed(|| runtime.block_on(one_by_one.round()))?;
                Ok(count / took.as_secs_f64())
            },
            &mut || {
                let (took, ()) = timed(|| runtime.block_on(in_bulk.round()))?;
                Ok(count / took.as_secs_f64())
            },
        ],
    )?;
    let row = |what: String, baseline, baseline_is| Row {
        what,
        ours: figures.median(0),
        baseline: figures.median(baseline),
        unit: Unit::PerSecond,
        baseline_is,
        ratio: figures.ratio(0, baseline),
        target: Some(Target::AtLeast(0.25)),
    };
    Ok(vec![
        row(
            format!("operations on one connection, {length} bytes each"),
            1,
            "TCP echo, message by message",
        ),
        row(
            "the same".to_owned(),
            2,
            "TCP echo in bulk: the loopback itself",
        ),
    ])
}

fn params() -> Result<Box<RawValue>> {
    Ok(to_raw_value(
        &json!({ "text": "thirty-two characters of content" }),
    )?)
}

/// The length of an operation on the wire with its share of the packet: the mean of both
/// directions.
fn wire_length() -> Result<usize> {
    let mut pair = Ends::new(EncryptionOption::HybridAes256Gcm)?.log_in()?;
    let mut wire = Vec::new();
    for id in 0..BURST as u64 {
        let operation = Operation::new(id, "bench", "echo", params()?);
        pair.client.send_operation(&operation)?;
        pair.server
            .send_outcome(&countersign_proto::operation::Outcome {
                id,
                code: Code::SUCCESS,
                data: params()?,
                output: String::new(),
            })?;
    }
    pair.client.flush(&mut wire)?;
    pair.server.flush(&mut wire)?;
    Ok(wire.len() / (2 * BURST))
}

/// A site with listeners, and a client that is logged in.
async fn served() -> Result<(BenchSite, Server, Client)> {
    let echo = || {
        Entry::new("bench", "echo")
            .summary("Returns its parameters.")
            .allow(&[Role::Service])
            .handler(|_, echo: Echo| async move { Ok(Answer::new(echo)) })
    };
    let site = BenchSite::new(move || vec![echo()]).await?;
    let robot = Arc::new(Identity::generate(&mut SystemEntropy));
    let service = json!({ "name": "robot", "certificate": robot.certificate().to_pem() });
    site.admin("service", "create", &service).await?;
    let server = Server::builder(site.site.clone())
        .session("127.0.0.1:0".parse()?)
        .start()
        .await?;
    let uri = site
        .site
        .endpoints()
        .uri
        .ok_or(UNEXPECTED_COURSE)?
        .parse()?;
    let client = Connector::new(&uri)
        .connect(LoginAs::Service(robot))
        .await?;
    Ok((site, server, client))
}

async fn ours(client: &Client) -> Result<()> {
    let params = params()?;
    let burst = || client.send((0..BURST).map(|_| ("bench", "echo", params.clone())));
    let mut under_way = [burst().await?, burst().await?];
    for number in 2..BURSTS {
        let Some(oldest) = under_way.get_mut(number % 2) else {
            return Err(UNEXPECTED_COURSE.into());
        };
        all(oldest).await?;
        *oldest = burst().await?;
    }
    for last in &mut under_way {
        all(last).await?;
    }
    Ok(())
}

async fn all(results: &mut Results) -> Result<()> {
    while let Some(outcome) = results.next().await {
        if outcome?.code != Code::SUCCESS {
            return Err(UNEXPECTED_COURSE.into());
        }
    }
    Ok(())
}

/// A client of an echo server.
struct Echoed {
    socket: TcpStream,
    message: Vec<u8>,
    in_bulk: bool,
}

async fn echo(length: usize, in_bulk: bool) -> Result<Echoed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let mut buffer = vec![0; if in_bulk { 64 * 1024 } else { length }];
        loop {
            let read = if in_bulk {
                socket.read(&mut buffer).await?
            } else {
                socket.read_exact(&mut buffer).await?
            };
            if read == 0 {
                return std::io::Result::Ok(());
            }
            socket
                .write_all(buffer.get(..read).unwrap_or_default())
                .await?;
        }
    });
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let message = vec![7; length];
    Ok(Echoed {
        socket,
        message,
        in_bulk,
    })
}

impl Echoed {
    async fn round(&mut self) -> Result<()> {
        self.send().await?;
        self.send().await?;
        for _ in 2..BURSTS {
            self.receive().await?;
            self.send().await?;
        }
        self.receive().await?;
        self.receive().await
    }

    async fn send(&mut self) -> Result<()> {
        if self.in_bulk {
            self.socket.write_all(&self.message.repeat(BURST)).await?;
        } else {
            for _ in 0..BURST {
                self.socket.write_all(&self.message).await?;
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<()> {
        if self.in_bulk {
            let mut burst = vec![0; self.message.len() * BURST];
            self.socket.read_exact(&mut burst).await?;
        } else {
            let mut message = vec![0; self.message.len()];
            for _ in 0..BURST {
                self.socket.read_exact(&mut message).await?;
            }
        }
        Ok(())
    }
}
