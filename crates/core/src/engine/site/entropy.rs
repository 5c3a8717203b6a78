//! The site's source of random bytes.

use std::sync::PoisonError;

use countersign_crypto::entropy::Entropy;

use crate::engine::Site;

impl Site {
    /// Returns the source of random bytes for ids and secrets. It locks for each draw only, so that
    /// slow work with it does not block others.
    pub(crate) fn entropy(&self) -> SiteEntropy<'_> {
        SiteEntropy(self)
    }
}

/// Draws from the site's source of random bytes.
pub(crate) struct SiteEntropy<'a>(&'a Site);

impl Entropy for SiteEntropy<'_> {
    fn fill(&mut self, out: &mut [u8]) {
        let entropy = &self.0.0.entropy;
        entropy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill(out);
    }
}
