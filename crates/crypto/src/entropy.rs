//! Entropy is a value that is passed in, so that a dialog can be simulated from a seed.
//!
//! [`SystemEntropy`] is the workspace's one reader of the operating system's generator; `clippy.toml`
//! bans every other. (AWS-LC draws on its own generator inside ML-KEM; see [`crate::kem`].)

/// A source of unpredictable bytes.
pub trait Entropy: Send {
    /// Fills `out` with unpredictable bytes. Cannot fail: a source that has none must not return.
    fn fill(&mut self, out: &mut [u8]);

    /// Fills `out` with the randomness of one ML-KEM operation (FIPS 203: `d` and `z`, or `m`) and says `true`.
    /// `false`, which every source for use says, leaves the operation to AWS-LC and its own generator; a source
    /// of recorded dialogs says `true`, and then the operation is the same each time.
    fn fill_kem(&mut self, _out: &mut [u8]) -> bool {
        false
    }
}

/// The operating system's generator, through AWS-LC's.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads entropy"
    )]
    fn fill(&mut self, out: &mut [u8]) {
        if aws_lc_rs::rand::fill(out).is_err() {
            // No key may ever be made from bytes that somebody could predict.
            std::process::abort();
        }
    }
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, out: &mut [u8]) {
        (**self).fill(out);
    }

    fn fill_kem(&mut self, out: &mut [u8]) -> bool {
        (**self).fill_kem(out)
    }
}

/// `N` fresh bytes that are not secret (a nonce, a salt, an id).
#[must_use]
pub fn fresh<const N: usize>(entropy: &mut dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
