//! Rows of one kind, whose changes are committed or rolled back together.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

/// Rows by their key, and the previous values of rows that have uncommitted changes.
#[derive(Debug)]
pub(super) struct Rows<K, V> {
    rows: BTreeMap<K, V>,
    before: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            before: Vec::new(),
        }
    }
}

impl<K: Ord + Clone, V: Clone> Rows<K, V> {
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.rows.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.rows.values()
    }

    /// Returns the rows after this key, or all of them, sorted by key.
    pub(super) fn after<'a>(&'a self, key: Option<&'a K>) -> impl Iterator<Item = (&'a K, &'a V)> {
        let rows = self.rows.iter();
        rows.skip_while(move |(at, _)| key.is_some_and(|key| *at <= key))
    }

    /// The rows of a range of keys, by key.
    pub(super) fn range(
        &self,
        range: impl RangeBounds<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.range(range)
    }

    pub(super) fn put(&mut self, key: K, row: V) {
        let before = self.rows.insert(key.clone(), row);
        self.before.push((key, before));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(row) = self.rows.remove(key) {
            self.before.push((key.clone(), Some(row)));
        }
    }

    /// Commits the changes since the last commit or roll-back.
    pub(super) fn commit(&mut self) {
        self.before.clear();
    }

    /// Rolls back the changes since the last commit or roll-back.
    pub(super) fn roll_back(&mut self) {
        while let Some((key, row)) = self.before.pop() {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn rolled_back_changes_leave_the_rows_unchanged() {
        let mut rows = Rows::default();
        rows.put(1, "one");
        rows.put(2, "two");
        rows.commit();
        rows.put(1, "other");
        rows.remove(&1);
        rows.put(3, "three");
        rows.remove(&2);
        rows.roll_back();
        let all: Vec<_> = rows.after(None).collect();
        assert_eq!(all, [(&1, &"one"), (&2, &"two")]);
    }
}
