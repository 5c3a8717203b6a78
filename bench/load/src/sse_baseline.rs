//! The baseline of event streams: axum with its own server-sent events. Each stream begins with an event,
//! sends heartbeats as often as the site, and waits for a change that never comes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use countersign_server::descriptors;
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::baseline_process::BaselineProcess;
use crate::event_streams::PATH;
use crate::report;

/// The argument with which this program runs as the baseline.
pub(crate) const MODE: &str = "--serve-sse";

/// As often as the site sends one.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The running baseline. It stops when this is dropped.
pub(crate) struct SseBaseline {
    process: BaselineProcess,
    pub(crate) address: SocketAddr,
}

/// The first line of output of the baseline's process.
#[derive(Deserialize)]
struct Announcement {
    address: SocketAddr,
}

impl SseBaseline {
    pub(crate) async fn start() -> crate::Result<Self> {
        let (process, announced) = BaselineProcess::start::<Announcement>(MODE).await?;
        let address = announced.address;
        Ok(Self { process, address })
    }

    pub(crate) fn process_id(&self) -> crate::Result<u32> {
        self.process.id()
    }
}

/// Serves until standard input ends.
pub(crate) fn run() -> crate::Result<()> {
    descriptors::raise();
    tokio::runtime::Runtime::new()?.block_on(async {
        let (_sender, changes) = watch::channel(());
        let service = Router::new().route(PATH, get(async move || events(changes)));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        report::print_line(&json!({ "address": listener.local_addr()? }));
        tokio::spawn(async move { axum::serve(listener, service).await });
        while tokio::io::stdin().read(&mut [0]).await? > 0 {}
        Ok(())
    })
}

fn events(changes: watch::Receiver<()>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let begin = Event::default().id("0").retry(Duration::from_secs(2));
    let later = stream::unfold(changes, async |mut changes| {
        changes.changed().await.ok()?;
        Some((Event::default().event("changed").data("{}"), changes))
    });
    let events = stream::iter([begin]).chain(later).map(Ok);
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}
