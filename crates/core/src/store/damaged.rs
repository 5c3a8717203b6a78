//! Rows that cannot be read.

use super::StoreError;
use crate::id::AccountId;

/// A row that belongs to an account, such as a device, whose stored form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow<I> {
    /// Its id.
    pub id: I,
    /// The account that owns it.
    pub account: AccountId,
    /// What is wrong with the stored form.
    pub problem: String,
}

impl<I> From<DamagedRow<I>> for StoreError {
    fn from(DamagedRow { problem, .. }: DamagedRow<I>) -> Self {
        Self::Damaged { problem }
    }
}
