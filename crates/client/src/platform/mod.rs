//! What differs between native programs and WebAssembly: the connection to a site, timers, tasks, and
//! long computations. Both targets have the same functions.
//!
//! | | `native` | `javascript` |
//! |---|---|---|
//! | connection | TCP | a WebSocket of the JavaScript engine |
//! | timers, tasks | Tokio | `setTimeout`, promises |
//! | key stretching | a thread that may block | the calling thread: use a worker |

#[cfg(target_arch = "wasm32")]
mod javascript;
#[cfg(target_arch = "wasm32")]
mod javascript_socket;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(crate) use javascript::{
    Dialer, Instant, Reader, Writer, blocking, now, sleep, sleep_until, spawn, timeout,
};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{
    Dialer, Instant, Reader, Writer, blocking, now, sleep, sleep_until, spawn, timeout,
};
