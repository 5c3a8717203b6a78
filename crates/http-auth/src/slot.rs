//! Values, such as keys and sessions, that are replaced while requests use them.

use std::sync::{PoisonError, RwLock};

/// A value that can be replaced. A clone taken before stays unchanged.
#[derive(Default)]
pub(crate) struct Slot<T>(RwLock<T>);

impl<T: Clone> Slot<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RwLock::new(value))
    }

    pub(crate) fn get(&self) -> T {
        let value = self.0.read().unwrap_or_else(PoisonError::into_inner);
        value.clone()
    }

    /// Replaces the value with one computed from it.
    pub(crate) fn change(&self, change: impl FnOnce(&T) -> T) {
        let mut value = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *value = change(&value);
    }
}
