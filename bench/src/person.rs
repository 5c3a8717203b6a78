//! stub
pub(crate) fn run() -> crate::Result<Vec<crate::report::Row>> { Ok(vec![]) }
