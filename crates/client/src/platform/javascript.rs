//! The JavaScript engine of a browser, or Node.

use std::future::Future;
use std::io;
use std::ops::Add;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use countersign_proto::enrolment::channel::CHANNEL_SUBPROTOCOL;
use countersign_proto::session::SESSION_SUBPROTOCOL;
use js_sys::{Function, Promise};
use tokio::io::{ReadHalf, WriteHalf};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::javascript_socket::JavascriptSocket;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(handler: &Function, milliseconds: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
}

/// The longest timer of an engine, in milliseconds: 24 days.
const MAX_TIMER: f64 = 2_147_483_647.0;

/// The reading half of a connection.
pub(crate) type Reader = ReadHalf<JavascriptSocket>;
/// The writing half of a connection.
pub(crate) type Writer = WriteHalf<JavascriptSocket>;

/// Opens connections to one site.
#[derive(Clone)]
pub(crate) struct Dialer {
    url: String,
    open: Function,
}

impl Dialer {
    /// Connects to a URL with `open`, a function that takes it and returns a `WebSocket`.
    pub(crate) fn new(url: String, open: Function) -> Self {
        Self { url, open }
    }

    /// The address, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.url
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> io::Result<(Reader, Writer)> {
        let socket = JavascriptSocket::open(&self.open, &self.url, SESSION_SUBPROTOCOL).await?;
        Ok(tokio::io::split(socket))
    }

    /// Opens a connection for a sealed channel.
    pub(crate) async fn connect_to_register(&self) -> io::Result<JavascriptSocket> {
        JavascriptSocket::open(&self.open, &self.url, CHANNEL_SUBPROTOCOL).await
    }
}

/// Runs a future in the background.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(future);
}

/// Runs work that takes a fraction of a second, on this thread. A page calls this crate in a worker.
#[allow(
    clippy::unused_async,
    reason = "the native function waits for another thread"
)]
pub(crate) async fn blocking<T>(work: impl FnOnce() -> T) -> Option<T> {
    Some(work())
}

/// A time of the engine's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The current time, for deadlines.
pub(crate) fn now() -> Instant {
    Instant(Duration::try_from_secs_f64(milliseconds() / 1_000.0).unwrap_or_default())
}

/// A timer of the engine, which is cleared when it is dropped: Node runs until its last timer ends.
pub(crate) struct Sleep {
    fired: JsFuture,
    id: JsValue,
}

/// Waits.
pub(crate) fn sleep(duration: Duration) -> Sleep {
    let mut id = JsValue::UNDEFINED;
    let fired = Promise::new(&mut |resolve, _| {
        let milliseconds = (duration.as_secs_f64() * 1_000.0).ceil();
        id = set_timeout(&resolve, milliseconds.min(MAX_TIMER));
    });
    Sleep {
        fired: fired.into(),
        id,
    }
}

/// Waits until that time.
pub(crate) fn sleep_until(at: Instant) -> Sleep {
    sleep(at.0.saturating_sub(now().0))
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.fired).poll(context).map(drop)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        clear_timeout(&self.id);
    }
}

/// The time ended before the future.
pub(crate) struct Elapsed;

/// Runs a future for at most this long.
pub(crate) async fn timeout<T>(
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = sleep(limit) => Err(Elapsed),
    }
}
