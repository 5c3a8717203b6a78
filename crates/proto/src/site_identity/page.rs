//! Pages of key events: the value of KEY-EVENTS, and the `key_events` of a line on the device port
//! (`docs/protocol/session.md`, Key events).
//!
//! ```text
//! page = number of the newest event (8) | digest of the newest event (32) | events (281 each)
//! ```

use super::{KeyEventsError, SignedKeyEvent, SiteId};

/// Maximum number of events in a page that is requested alone: 3,974 bytes, which is within the
/// 4,096 bytes that a server sends to an unauthenticated client.
pub const MAX_EVENTS_ALONE: usize = 14;
/// Maximum number of events at the beginning of the answer to a flight. The longest answer after
/// two lists of options has room for them within the same 4,096 bytes.
pub const MAX_EVENTS_WITH_ANSWER: usize = 4;
/// Maximum number of events in a line on the device port: 3,800 characters of base64url.
pub const MAX_EVENTS_IN_LINE: usize = 10;
/// The greatest length of a page in bytes.
pub const MAX_PAGE: usize = HEAD + MAX_EVENTS_ALONE * SignedKeyEvent::LENGTH;

const HEAD: usize = 40;

/// The key events of a site in the form in which it sends them. Answering a request copies bytes
/// and computes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEventLog {
    id: SiteId,
    newest: u64,
    digest: [u8; 32],
    events: Vec<u8>,
}

impl KeyEventLog {
    /// The log of a site with these events, from event 0 on, which the site has verified; `None`
    /// if the first one is not event 0.
    #[must_use]
    pub fn new(events: &[SignedKeyEvent]) -> Option<Self> {
        let newest = events.last()?.event();
        Some(Self {
            id: events.first()?.event().site_id()?,
            newest: newest.number,
            digest: newest.digest(),
            events: events.iter().flat_map(SignedKeyEvent::to_bytes).collect(),
        })
    }

    /// The site's id.
    #[must_use]
    pub fn id(&self) -> SiteId {
        self.id
    }

    /// A page of at most `most` events, beginning with the event of number `first`. Without such an
    /// event the page only names the newest one.
    #[must_use]
    pub fn page(&self, first: u64, most: usize) -> Vec<u8> {
        let skipped = usize::try_from(first).unwrap_or(usize::MAX);
        let events = self.events.chunks_exact(SignedKeyEvent::LENGTH);
        let events = events.skip(skipped).take(most).flatten().copied();
        let head = self.newest.to_be_bytes().into_iter().chain(self.digest);
        head.chain(events).collect()
    }
}

/// The events of a page that was received, none of which is verified yet: what [`KnownSite::advance`]
/// follows, and what shows who made events that cannot be followed.
///
/// # Errors
/// [`KeyEventsError::Malformed`].
///
/// [`KnownSite::advance`]: super::KnownSite::advance
pub fn events_of_page(page: &[u8]) -> Result<Vec<SignedKeyEvent>, KeyEventsError> {
    KeyEventsPage::read(page).map(|page| page.events)
}

/// A page that was received. Its events are not verified yet.
pub(super) struct KeyEventsPage {
    pub(super) newest: u64,
    pub(super) digest: [u8; 32],
    pub(super) events: Vec<SignedKeyEvent>,
}

impl KeyEventsPage {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, KeyEventsError> {
        let (newest, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or(KeyEventsError::Malformed)?;
        let (digest, rest) = rest
            .split_first_chunk::<32>()
            .ok_or(KeyEventsError::Malformed)?;
        let events = rest.chunks(SignedKeyEvent::LENGTH);
        if bytes.len() > MAX_PAGE {
            return Err(KeyEventsError::Malformed);
        }
        let events: Result<Vec<_>, _> = events.map(SignedKeyEvent::from_bytes).collect();
        Ok(Self {
            newest: u64::from_be_bytes(*newest),
            digest: *digest,
            events: events.map_err(|_| KeyEventsError::Malformed)?,
        })
    }
}
