//! Pages of lists.

/// Selects a page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Cursor> {
    /// The last entry of the previous page; `None` for the first page.
    pub after: Option<Cursor>,
    /// The maximum number of entries.
    pub limit: u32,
}
