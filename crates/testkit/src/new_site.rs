//! The site `example.org`, as tests create it.

use std::sync::Arc;

use countersign_core::engine::{NewSite, Parts, Table};
use countersign_core::offer::Offer;
use countersign_core::store::Store;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::Entropy;
use countersign_crypto::site_key_slots::NewSlot;
use countersign_proto::session::Strength;

/// The fixed time of a site without listeners.
pub const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

/// The parameters to create the site `example.org`. The slots open its next key too.
#[must_use]
pub fn new_site<'a>(slots: &'a [NewSlot<'a>]) -> NewSite<'a> {
    NewSite {
        zone: "example.org".parse().unwrap(),
        slots,
        next_slots: slots,
    }
}

/// The parts of a site with the default offer and without a floor.
#[must_use]
pub fn parts(store: Arc<dyn Store>, table: Table, entropy: Box<dyn Entropy>) -> Parts {
    Parts {
        store,
        table,
        entropy,
        offer: Offer::default(),
        floor: Strength::Delivered,
    }
}
