//! Entropy is passed as a parameter, so that dialogs can be simulated from a seed.
//!
//! [`SystemEntropy`] is the only reader of the operating system's generator in the workspace;
//! `clippy.toml` bans others. (ML-KEM and RSA use AWS-LC's own generator; see [`crate::kem`].)

/// A source of unpredictable bytes.
pub trait Entropy: Send {
    /// Fills `out` with unpredictable bytes. It cannot fail: a source without entropy must not
    /// return.
    fn fill(&mut self, out: &mut [u8]);

    /// Fills `out` with the randomness of one ML-KEM operation (FIPS 203: `d` and `z`, or `m`) and
    /// returns `true`. The default returns `false`: the operation then uses AWS-LC and its own
    /// generator. Only sources for recorded dialogs return `true`, which makes the operation
    /// deterministic.
    fn fill_kem(&mut self, _out: &mut [u8]) -> bool {
        false
    }
}

/// The operating system's generator, through AWS-LC.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads entropy"
    )]
    fn fill(&mut self, out: &mut [u8]) {
        if aws_lc_rs::rand::fill(out).is_err() {
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
