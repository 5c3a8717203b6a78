//! Following a site's key events to the newest one, page by page.
//!
//! ```text
//! KeyEventWalk --receive: a page--> More(KeyEventWalk): request the next page
//!       |                             `--> Done(KnownSite)
//!       `--receive: not the site's events --> KeyEventsError
//! ```

use countersign_crypto::sign::VerifyingKey;

use super::page::KeyEventsPage;
use super::{KeyEventsError, KnownSite, MAX_KEY_EVENTS, SignedKeyEvent};

/// A walk along the key events of a site that has not reached the newest one. It may continue over
/// another connection, since each event authenticates itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEventWalk {
    known: Option<KnownSite>,
    /// The pinned signing key, until an event with it was verified.
    pin: Option<VerifyingKey>,
}

/// The state after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkStep {
    /// Request the events from [`KeyEventWalk::wanted`] on.
    More(KeyEventWalk),
    /// The newest event was reached.
    Done(KnownSite),
}

impl KeyEventWalk {
    /// A walk at the first contact with a site whose signing key is pinned. It begins with event 0,
    /// and one of the events must have the pinned key.
    #[must_use]
    pub const fn first_contact(pin: VerifyingKey) -> Self {
        Self {
            known: None,
            pin: Some(pin),
        }
    }

    /// A walk from the newest event that is known.
    #[must_use]
    pub const fn from_known(known: KnownSite) -> Self {
        Self {
            known: Some(known),
            pin: None,
        }
    }

    /// The number of the next event: what to request.
    #[must_use]
    pub fn wanted(&self) -> u64 {
        let next = |known: KnownSite| known.newest().event().number.saturating_add(1);
        self.known.map_or(0, next)
    }

    /// Verifies a page that was requested from [`Self::wanted`] on. Nothing else authenticates it:
    /// the site may send it before it has proved its key.
    ///
    /// # Errors
    /// [`KeyEventsError`]. What was known before stays as it was.
    pub fn receive(self, page: &[u8]) -> Result<WalkStep, KeyEventsError> {
        let page = KeyEventsPage::read(page)?;
        if page.newest >= MAX_KEY_EVENTS as u64 {
            return Err(KeyEventsError::TooMany);
        }
        let begin = self.wanted();
        let walk = page.events.iter().try_fold(self, Self::follow)?;
        let gap = KeyEventsError::Gap { expected: begin };
        let known = walk.known.ok_or(gap)?;
        let number = known.newest().event().number;
        if page.newest > number {
            return match walk.wanted() > begin {
                true => Ok(WalkStep::More(walk)),
                false => Err(gap),
            };
        }
        if page.newest < number {
            return Err(KeyEventsError::Behind {
                known: number,
                newest: page.newest,
            });
        }
        if page.digest != known.newest().event().digest() {
            return Err(KeyEventsError::Fork { number });
        }
        match walk.pin {
            None => Ok(WalkStep::Done(known)),
            Some(_) => Err(KeyEventsError::UnknownPin),
        }
    }

    /// Verifies one event, which must be the next one: an event that were skipped would not be
    /// verified, and must not count for the pin.
    fn follow(self, event: &SignedKeyEvent) -> Result<Self, KeyEventsError> {
        let expected = self.wanted();
        if event.event().number != expected {
            return Err(KeyEventsError::Gap { expected });
        }
        let known = match self.known {
            None => KnownSite::whole(std::slice::from_ref(event)),
            Some(known) => known.advance(std::slice::from_ref(event)),
        }?;
        let is_pinned = |pin: &VerifyingKey| *pin == event.event().keys.signing;
        Ok(Self {
            known: Some(known),
            pin: self.pin.filter(|pin| !is_pinned(pin)),
        })
    }
}
