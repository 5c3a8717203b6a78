//! The client for browsers and Node: `countersign-client` over a WebSocket, compiled to WebAssembly,
//! with functions for JavaScript. The npm package in `bindings/node` wraps it.
//!
//! The session is encrypted between this module and the site, also behind a proxy that terminates TLS.
//! The pass phrase is stretched where the module runs: call it in a worker, so that a page does not
//! freeze.
//!
//! Non-goals: it stores nothing, and it does not protect against the page that calls it or against the
//! server that delivered the page (`SECURITY.md`).

#[cfg(target_arch = "wasm32")]
mod content;
#[cfg(target_arch = "wasm32")]
mod failure;
#[cfg(target_arch = "wasm32")]
mod passphrase_input;
#[cfg(target_arch = "wasm32")]
mod session;
#[cfg(target_arch = "wasm32")]
mod site;

#[cfg(target_arch = "wasm32")]
pub use content::{Content, Reply};
#[cfg(target_arch = "wasm32")]
pub use session::Session;
#[cfg(target_arch = "wasm32")]
pub use site::Site;
