//! Times up to which tickets are void, in memory.

use std::collections::HashMap;

/// Maximum number of consumers with a time of their own. When there are more, the tickets of all
/// consumers are void, which costs each of them another ticket.
pub(crate) const MAX_CONSUMERS: usize = 4_096;

/// Times up to which the tickets of consumers are void, in milliseconds since 1970 by the site's
/// clock.
#[derive(Debug, Default)]
pub(crate) struct VoidMarks {
    /// The time for all consumers.
    all: Option<u64>,
    consumers: HashMap<String, u64>,
}

impl VoidMarks {
    /// The time up to which tickets that were issued to this consumer are void.
    pub(crate) fn until(&self, consumer: &str) -> Option<u64> {
        self.consumers.get(consumer).copied().max(self.all)
    }

    /// Makes the tickets of a consumer, or of all, void that were issued up to `until`.
    pub(crate) fn mark(&mut self, consumer: Option<&str>, until: u64) {
        let consumer = consumer.filter(|consumer| {
            self.consumers.len() < MAX_CONSUMERS || self.consumers.contains_key(*consumer)
        });
        if let Some(consumer) = consumer {
            let mark = self.consumers.entry(consumer.to_owned()).or_default();
            *mark = until.max(*mark);
        } else {
            let all = self.all.unwrap_or_default().max(until);
            self.all = Some(all);
            self.consumers.retain(|_, mark| *mark > all);
        }
    }

    /// Sets marks that are later than `later_than` to `to`.
    pub(crate) fn lower(&mut self, later_than: u64, to: u64) {
        let marks = self.consumers.values_mut().chain(&mut self.all);
        for mark in marks.filter(|mark| **mark > later_than) {
            *mark = to;
        }
    }

    /// One of the marks: the consumer, or `None` for all, and the time.
    pub(crate) fn first(&self) -> Option<(Option<String>, u64)> {
        let all = self.all.map(|until| (None, until));
        all.or_else(|| {
            let (consumer, until) = self.consumers.iter().next()?;
            Some((Some(consumer.clone()), *until))
        })
    }

    /// Removes a mark unless it has another time meanwhile.
    pub(crate) fn remove(&mut self, consumer: Option<&str>, until: u64) {
        match consumer {
            Some(consumer) if self.consumers.get(consumer) == Some(&until) => {
                self.consumers.remove(consumer);
            }
            None if self.all == Some(until) => self.all = None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_for_one_consumer_or_for_all_and_the_latest_time_counts() {
        let mut marks = VoidMarks::default();
        assert_eq!(marks.until("billing"), None);
        marks.mark(Some("billing"), 1_000);
        marks.mark(Some("billing"), 900);
        assert_eq!(marks.until("billing"), Some(1_000));
        assert_eq!(marks.until("archive"), None);
        marks.mark(None, 2_000);
        assert_eq!(marks.until("billing"), Some(2_000));
        assert_eq!(marks.until("archive"), Some(2_000));
    }

    #[test]
    fn a_mark_that_finds_no_place_is_for_all_consumers() {
        let mut marks = VoidMarks::default();
        for number in 0..MAX_CONSUMERS {
            marks.mark(Some(&number.to_string()), 1_000);
        }
        marks.mark(Some("7"), 1_002);
        assert_eq!(marks.until("billing"), None);
        marks.mark(Some("billing"), 1_001);
        assert_eq!(marks.until("archive"), Some(1_001));
        assert_eq!(marks.until("7"), Some(1_002));
        assert_eq!(marks.consumers.len(), 1, "the mark for all covers the rest");
    }

    #[test]
    fn a_mark_that_was_changed_is_not_removed() {
        let mut marks = VoidMarks::default();
        for consumer in [None, Some("billing")] {
            marks.mark(consumer, 1_000);
            assert_eq!(marks.first(), Some((consumer.map(str::to_owned), 1_000)));
            marks.mark(consumer, 1_001);
            marks.remove(consumer, 1_000);
            assert_eq!(marks.until("billing"), Some(1_001));
            marks.remove(consumer, 1_001);
            assert_eq!(marks.first(), None);
        }
    }

    #[test]
    fn only_marks_that_are_too_late_are_lowered() {
        let mut marks = VoidMarks::default();
        for (consumer, until) in [(None, 400), (Some("billing"), 500), (Some("archive"), 501)] {
            marks.mark(consumer, until);
        }
        marks.lower(500, 450);
        assert_eq!(marks.until("billing"), Some(500));
        assert_eq!(marks.until("archive"), Some(450));
        marks.lower(399, 300);
        assert_eq!(marks.until("ledger"), Some(300));
    }
}
