//! Who has how much of a store. An application may have as much as is still free, so that each of `n` that take all
//! they can gets `1 / (n + 1)` of it, one alone a half, and the next one finds room.

use std::collections::HashMap;
use std::sync::Arc;

/// The shares of one kind of entry.
#[derive(Debug)]
pub(super) struct Shares {
    limit: usize,
    all: usize,
    of: HashMap<Arc<str>, usize>,
}

impl Shares {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            all: 0,
            of: HashMap::new(),
        }
    }

    /// Whether there is room for one more of that application.
    pub(super) fn has_room(&self, application: &str) -> bool {
        let own = self.of.get(application).copied().unwrap_or(0);
        own < self.limit.saturating_sub(self.all)
    }

    /// Counts one more, and gives the name that all entries of this application share.
    pub(super) fn add(&mut self, application: &str) -> Arc<str> {
        self.add_all(application, 1)
    }

    pub(super) fn add_all(&mut self, application: &str, count: usize) -> Arc<str> {
        self.all = self.all.saturating_add(count);
        if let Some((name, own)) = self.of.get_key_value(application) {
            let (name, own) = (name.clone(), own.saturating_add(count));
            self.of.insert(name.clone(), own);
            return name;
        }
        let name: Arc<str> = application.into();
        self.of.insert(name.clone(), count);
        name
    }

    /// Counts one less.
    pub(super) fn remove(&mut self, application: &str) {
        let Some(own) = self.of.get_mut(application) else {
            return;
        };
        self.all -= 1;
        *own -= 1;
        if *own == 0 {
            self.of.remove(application);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    /// How many of an application find room.
    fn fill(shares: &mut Shares, application: &str) -> usize {
        let mut count = 0;
        while shares.has_room(application) {
            shares.add(application);
            count += 1;
        }
        count
    }

    #[test]
    fn an_application_may_have_as_much_as_is_free() {
        let shares = &mut Shares::new(1_000);
        let filled: Vec<usize> = ["a", "b", "c", "d"].map(|of| fill(shares, of)).into();
        assert_eq!(filled, [500, 250, 125, 63]);
        shares.remove("a");
        assert!(!shares.has_room("a"));
        assert!(shares.has_room("e"));
        for _ in 0..600 {
            shares.remove("a");
        }
        assert_eq!(shares.all, 438);
        assert!(!shares.of.contains_key("a"));
        assert_eq!(Shares::new(0).of.len(), 0);
        assert!(!Shares::new(0).has_room("a"));
    }
}
