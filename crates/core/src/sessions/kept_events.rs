//! The newest events, in memory, so that a client that was away for a moment gets those that it
//! missed.
//!
//! ```text
//! before | kept, kept, … newest       the oldest one is discarded for a new one
//! ```
//!
//! An id is the keyed hash of a number: it tells a reader neither how many events of others there
//! were, nor an id that it was not given. Once all events for a reader are discarded, it can see
//! whether others had events since it last looked: its id has to move, or the site would not know it
//! any more.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use countersign_crypto::hash::sha256;
use countersign_proto::operation::Event;
use serde::{Deserialize, Serialize};

use super::events::{Audience, Viewer};

/// The maximum number of events that are kept.
const MAX_KEPT: usize = 1_024;
/// The maximum number of bytes of their names and data.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// The id of an event of a site. It is valid until the site restarts, or discards the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(u64);

/// The text is not the id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of an event has 16 hexadecimal digits")]
pub struct BadEventId;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for EventId {
    type Err = BadEventId;

    fn from_str(text: &str) -> Result<Self, BadEventId> {
        let is_hexadecimal = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let read = (is_hexadecimal && text.len() == 16).then(|| u64::from_str_radix(text, 16));
        read.and_then(Result::ok).map(Self).ok_or(BadEventId)
    }
}

impl TryFrom<String> for EventId {
    type Error = BadEventId;

    fn try_from(text: String) -> Result<Self, BadEventId> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

impl schemars::JsonSchema for EventId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })
    }
}

/// An event and its id.
pub type IdentifiedEvent = (EventId, Arc<Event>);

/// The events after one that a reader knows.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentEvents {
    /// The events that are kept, the oldest first.
    pub events: Vec<IdentifiedEvent>,
    /// The id to continue with: of the last one of them, or of an event before all later ones.
    pub last: EventId,
    /// The id of an event before all of them.
    pub before: EventId,
    /// The site does not know the event that the reader named, so that others may be missing.
    pub missed: bool,
}

/// The newest events of a site.
pub(super) struct KeptEvents {
    key: [u8; 32],
    /// The number of the event before the first one that is kept.
    before: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
}

struct Kept {
    id: EventId,
    to: Audience,
    event: Arc<Event>,
}

impl KeptEvents {
    /// Keeps nothing yet. `key` is random.
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            before: 0,
            kept: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Keeps an event and returns its id.
    pub(super) fn keep(&mut self, to: &Audience, event: &Arc<Event>) -> EventId {
        let number = self.before + self.kept.len() as u64 + 1;
        let id = self.id(number);
        self.bytes += size(event);
        self.kept.push_back(Kept {
            id,
            to: to.clone(),
            event: Arc::clone(event),
        });
        while self.kept.len() > MAX_KEPT || self.bytes > MAX_KEPT_BYTES {
            self.discard_oldest();
        }
        id
    }

    /// Discards all events. A reader that knows an earlier one is told that it missed some.
    pub(super) fn clear(&mut self) {
        while !self.kept.is_empty() {
            self.discard_oldest();
        }
    }

    /// The events for `viewer` after one; without it, all that are kept.
    pub(super) fn after(&self, after: Option<EventId>, viewer: &Viewer) -> RecentEvents {
        let begin = after.and_then(|after| self.place_after(after));
        let later = self.kept.iter().skip(begin.unwrap_or(0));
        let events: Vec<IdentifiedEvent> = later
            .filter(|kept| kept.to.has(viewer))
            .map(|kept| (kept.id, Arc::clone(&kept.event)))
            .collect();
        let known = after.filter(|_| begin.is_some());
        let last = events.last().map(|(id, _)| *id).or(known);
        let last = last.unwrap_or_else(|| self.newest(viewer));
        let first = match events.is_empty() {
            true => last,
            false => self.id(self.before),
        };
        RecentEvents {
            last,
            before: known.unwrap_or(first),
            missed: after.is_some() && begin.is_none(),
            events,
        }
    }

    /// The newest event for `viewer`. An event for others alone does not change it while one for
    /// `viewer` is kept, or all are; later it is the newest of all.
    pub(super) fn newest(&self, viewer: &Viewer) -> EventId {
        let own = self.kept.iter().rev().find(|kept| kept.to.has(viewer));
        let newest = match self.before {
            0 => own,
            _ => own.or(self.kept.back()),
        };
        newest.map_or_else(|| self.id(self.before), |kept| kept.id)
    }

    /// The place of the first event after one.
    fn place_after(&self, after: EventId) -> Option<usize> {
        if after == self.id(self.before) {
            return Some(0);
        }
        let place = self.kept.iter().rposition(|kept| kept.id == after);
        place.map(|place| place + 1)
    }

    fn discard_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.before += 1;
            self.bytes -= size(&oldest.event);
        }
    }

    fn id(&self, number: u64) -> EventId {
        let hash = sha256(&[&self.key[..], &number.to_be_bytes()].concat());
        let first = hash.first_chunk().copied();
        EventId(u64::from_be_bytes(first.unwrap_or_default()))
    }
}

fn size(event: &Event) -> usize {
    event.group.len() + event.event.len() + event.data.get().len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::value::RawValue;

    use super::*;
    use crate::access::Role;
    use crate::id::AccountId;

    fn event(name: usize, bytes: usize) -> Arc<Event> {
        let data = format!("\"{}\"", "x".repeat(bytes));
        Arc::new(Event {
            group: "test".to_owned(),
            event: name.to_string(),
            data: RawValue::from_string(data).unwrap(),
        })
    }

    fn viewer(byte: u8, role: Option<Role>) -> Viewer {
        Viewer {
            account: AccountId::from_bytes([byte; 16]),
            role,
        }
    }

    fn names(recent: &RecentEvents) -> Vec<&str> {
        let names = recent.events.iter();
        names.map(|(_, event)| event.event.as_str()).collect()
    }

    #[test]
    fn a_reader_gets_the_events_for_it_after_one_that_it_knows() {
        let mut kept = KeptEvents::new([7; 32]);
        let (maria, bob) = (viewer(1, Some(Role::Admin)), viewer(2, Some(Role::Member)));
        let start = kept.newest(&bob);
        let own = Audience::Accounts(Arc::new(BTreeSet::from([bob.account])));
        let first = kept.keep(&Audience::All, &event(1, 1));
        kept.keep(&own, &event(2, 1));
        let others = kept.keep(&Audience::Role(Role::Admin), &event(3, 1));
        assert_eq!(names(&kept.after(Some(start), &bob)), ["1", "2"]);
        assert_eq!(names(&kept.after(Some(first), &bob)), ["2"]);
        assert_eq!(names(&kept.after(None, &maria)), ["1", "3"]);
        // A device of an admin has no role.
        assert_eq!(names(&kept.after(None, &viewer(1, None))), ["1"]);
        let none = kept.after(Some(others), &maria);
        assert_eq!(
            (names(&none), none.last, none.missed),
            (vec![], others, false)
        );
    }

    #[test]
    fn the_newest_id_does_not_tell_of_events_for_others() {
        let mut kept = KeptEvents::new([7; 32]);
        let bob = viewer(2, Some(Role::Member));
        kept.keep(&Audience::All, &event(1, 1));
        let before = kept.newest(&bob);
        kept.keep(&Audience::Role(Role::Admin), &event(2, 1));
        assert_eq!(kept.newest(&bob), before);
        assert_eq!(kept.after(None, &bob).last, before);
    }

    /// The id of a quiet reader was that before all events, which the next event of others made unknown:
    /// the reader got a gap each time it came back.
    #[test]
    fn the_id_of_a_quiet_reader_stays_known_while_others_have_events() {
        let mut kept = KeptEvents::new([7; 32]);
        let bob = viewer(2, Some(Role::Member));
        kept.keep(&Audience::All, &event(0, 1));
        for number in 0..=MAX_KEPT {
            kept.keep(&Audience::Role(Role::Admin), &event(number, 1));
        }
        let newest = kept.newest(&bob);
        kept.keep(&Audience::Role(Role::Admin), &event(0, 1));
        kept.keep(&Audience::All, &event(1, 1));
        let later = kept.after(Some(newest), &bob);
        assert_eq!((names(&later), later.missed), (vec!["1"], false));
        assert_eq!(later.before, newest);
    }

    /// A stream that began with a gap had the id of the newest event at once: a client that lost it
    /// before the events came never got them.
    #[test]
    fn what_comes_after_a_gap_comes_again_after_the_id_before_it() {
        let mut kept = KeptEvents::new([7; 32]);
        let bob = viewer(2, None);
        kept.keep(&Audience::All, &event(1, 1));
        let unknown = KeptEvents::new([8; 32]).id(1);
        let first = kept.after(Some(unknown), &bob);
        assert_eq!((names(&first), first.missed), (vec!["1"], true));
        let again = kept.after(Some(first.before), &bob);
        assert_eq!((names(&again), again.missed), (vec!["1"], false));
    }

    #[test]
    fn the_oldest_events_make_room_and_their_reader_learns_of_it() {
        let bob = viewer(2, None);
        let mut kept = KeptEvents::new([7; 32]);
        let ids: Vec<EventId> = (0..=MAX_KEPT)
            .map(|number| kept.keep(&Audience::All, &event(number, 1)))
            .collect();
        let all = kept.after(Some(ids[0]), &bob);
        assert_eq!((all.events.len(), all.missed), (MAX_KEPT, false));
        kept.keep(&Audience::All, &event(0, 1));
        let rest = kept.after(Some(ids[0]), &bob);
        assert_eq!((rest.events.len(), rest.missed), (MAX_KEPT, true));
        // Few large ones.
        for number in 0..5 {
            kept.keep(&Audience::All, &event(number, MAX_KEPT_BYTES / 4));
        }
        assert_eq!(names(&kept.after(None, &bob)), ["2", "3", "4"]);
        let known = kept.newest(&bob);
        kept.keep(&Audience::All, &event(0, MAX_KEPT_BYTES));
        assert_eq!(names(&kept.after(None, &bob)), Vec::<&str>::new());
        assert!(kept.after(Some(known), &bob).missed);
        assert_eq!(kept.bytes, 0);
    }

    #[test]
    fn an_id_is_read_from_its_text_alone() {
        let id = KeptEvents::new([7; 32]).id(1);
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "0", "+000000000000001", "000000000000000G", "é"] {
            assert_eq!(wrong.parse::<EventId>(), Err(BadEventId), "{wrong}");
        }
    }
}
