//! How many entries of a store each application has. An application may have as many as are still
//! free. So one application gets half of the store, `n` applications that fill it at the same rate
//! get `1 / (n + 1)` each, and the next application finds room.

use std::collections::HashMap;
use std::sync::Arc;

/// The number of entries of one kind by application.
#[derive(Debug)]
pub(super) struct Shares {
    limit: usize,
    total: usize,
    by_application: HashMap<Arc<str>, usize>,
}

impl Shares {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            total: 0,
            by_application: HashMap::new(),
        }
    }

    /// Whether there is room for one more entry of `application`.
    pub(super) fn has_room(&self, application: &str) -> bool {
        let own = self.by_application.get(application).copied().unwrap_or(0);
        own < self.limit.saturating_sub(self.total)
    }

    /// Counts one more entry and returns the shared allocation of the application's name.
    pub(super) fn add(&mut self, application: &str) -> Arc<str> {
        self.add_all(application, 1)
    }

    pub(super) fn add_all(&mut self, application: &str, count: usize) -> Arc<str> {
        self.total = self.total.saturating_add(count);
        if let Some((name, own)) = self.by_application.get_key_value(application) {
            let (name, own) = (name.clone(), own.saturating_add(count));
            self.by_application.insert(name.clone(), own);
            return name;
        }
        let name: Arc<str> = application.into();
        self.by_application.insert(name.clone(), count);
        name
    }

    /// Counts one entry less.
    pub(super) fn remove(&mut self, application: &str) {
        let Some(own) = self.by_application.get_mut(application) else {
            return;
        };
        self.total -= 1;
        *own -= 1;
        if *own == 0 {
            self.by_application.remove(application);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    /// Adds entries of an application until there is no room, and returns their number.
    fn fill(shares: &mut Shares, application: &str) -> usize {
        let mut count = 0;
        while shares.has_room(application) {
            shares.add(application);
            count += 1;
        }
        count
    }

    #[test]
    fn an_application_may_have_as_many_entries_as_are_free() {
        let shares = &mut Shares::new(1_000);
        let filled: Vec<usize> = ["a", "b", "c", "d"].map(|of| fill(shares, of)).into();
        assert_eq!(filled, [500, 250, 125, 63]);
        shares.remove("a");
        assert!(!shares.has_room("a"));
        assert!(shares.has_room("e"));
        for _ in 0..600 {
            shares.remove("a");
        }
        assert_eq!(shares.total, 438);
        assert!(!shares.by_application.contains_key("a"));
        assert_eq!(Shares::new(0).by_application.len(), 0);
        assert!(!Shares::new(0).has_room("a"));
    }
}
