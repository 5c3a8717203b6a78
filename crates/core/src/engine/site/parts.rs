//! What a site is built from.

use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_proto::session::Strength;

use crate::engine::Table;
use crate::offer::Offer;
use crate::store::Store;

/// The parts from which a site is built.
pub struct Parts {
    /// The storage of the site.
    pub store: Arc<dyn Store>,
    /// The operations that the site offers.
    pub table: Table,
    /// The source of random bytes for ids and secrets.
    pub entropy: Box<dyn Entropy>,
    /// The encryption options that a new site offers. An existing site offers what its store
    /// contains.
    pub offer: Offer,
    /// The minimum strength of an encryption option on offer, from the configuration. It takes
    /// precedence over the stored offer.
    pub floor: Strength,
}
