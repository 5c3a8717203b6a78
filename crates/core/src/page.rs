//! A stretch of a list.

/// A stretch of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Cursor> {
    /// What the stretch before ended with; `None` for the first stretch.
    pub after: Option<Cursor>,
    /// How much to read at most.
    pub limit: u32,
}
