//! The identity of a site: a chain of key events with pre-rotation.
//!
//! The site's id is the digest of its first key event and never changes. Each event gives the
//! site's public keys from then on, and commits to the keys that follow. An event is valid if its
//! keys are those to which the event before it committed, and if both its own key and the key of
//! the event before it signed it. So a thief of the current key cannot replace it: that requires
//! the next key, which the site keeps apart.
//!
//! ```text
//! event 0 ──digest──> event 1 ──digest──> event 2
//! keys 0              keys 1              keys 2
//! commits to keys 1   commits to keys 2   commits to keys 3
//! signed by 0         signed by 0 and 1   signed by 1 and 2
//! ```

mod event;
mod known_site;
mod line;
mod page;
mod site_id;
mod validity;
mod walk;

#[cfg(test)]
mod walk_tests;

pub use event::{BadKeyEvent, KeyEvent, NextKeyDigest, SignedKeyEvent};
pub use known_site::{KeyEventsError, KnownSite, MAX_KEY_EVENTS};
pub use line::{KeyEventsRequest, MAX_KEY_EVENTS_LINE};
pub use page::{
    KeyEventLog, MAX_EVENTS_ALONE, MAX_EVENTS_IN_LINE, MAX_EVENTS_WITH_ANSWER, MAX_PAGE,
    events_of_page,
};
pub use site_id::{BadSiteId, SiteId};
pub use validity::{MAX_CLOCK_DIFFERENCE, statement_counts};
pub use walk::{KeyEventWalk, WalkStep};
