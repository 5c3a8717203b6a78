//! The operating system's generator.

/// Fills `out`; `false` if there is no entropy.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads entropy in native programs"
)]
pub(crate) fn fill(out: &mut [u8]) -> bool {
    aws_lc_rs::rand::fill(out).is_ok()
}
