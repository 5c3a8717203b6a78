//! Entropy is passed as a parameter, so that dialogs can be simulated from a seed.
//!
//! [`SystemEntropy`] is the only reader of the operating system's generator in the workspace;
//! `clippy.toml` bans others. (In native programs, ML-KEM and RSA use AWS-LC's own generator; see
//! [`crate::kem`].)

use crate::provider;

/// A source of unpredictable bytes.
pub trait Entropy: Send {
    /// Fills `out` with unpredictable bytes. It cannot fail: a source without entropy must not
    /// return.
    fn fill(&mut self, out: &mut [u8]);

    /// Fills `out` with the randomness of one ML-KEM operation (FIPS 203: `d` and `z`, or `m`) and
    /// returns `true`. The default returns `false`: the operation then uses the provider's own
    /// generator. Only sources for recorded dialogs return `true`, which makes the operation
    /// deterministic.
    fn fill_kem(&mut self, _out: &mut [u8]) -> bool {
        false
    }
}

/// The generator of the operating system, or of the JavaScript engine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        if !provider::fill(out) {
            // No key may be generated from predictable bytes.
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

/// `N` fresh random bytes that are not secret, such as a nonce, a salt or an id.
#[must_use]
pub fn fresh<const N: usize>(entropy: &mut dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
