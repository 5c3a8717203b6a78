//! The generator of the JavaScript engine (`crypto.getRandomValues`), or of the operating system.

/// Fills `out`; `false` if there is no entropy.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads entropy in WebAssembly"
)]
pub(crate) fn fill(out: &mut [u8]) -> bool {
    getrandom::fill(out).is_ok()
}
