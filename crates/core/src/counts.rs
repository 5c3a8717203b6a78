//! Counts by key, such as the event streams of each account.

use std::collections::HashMap;
use std::hash::Hash;

/// How many things each key has. A key that has none takes no memory.
#[derive(Debug)]
pub struct Counts<K>(HashMap<K, usize>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Counts<K> {
    /// The number of things that the key has.
    #[must_use]
    pub fn of(&self, key: &K) -> usize {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// Whether no key has any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key has one more.
    pub fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    /// The key has one less. A key that has none keeps none.
    pub fn remove(&mut self, key: &K) {
        if let Some(count) = self.0.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_counted_as_often_as_it_was_added_and_not_removed() {
        let mut counts = Counts::default();
        counts.add("a");
        counts.add("a");
        counts.add("b");
        counts.remove(&"a");
        assert_eq!(
            (counts.of(&"a"), counts.of(&"b"), counts.of(&"c")),
            (1, 1, 0)
        );
        for key in ["a", "a", "b", "c"] {
            counts.remove(&key);
        }
        assert!(counts.is_empty());
        assert_eq!(counts.of(&"a"), 0);
    }
}
