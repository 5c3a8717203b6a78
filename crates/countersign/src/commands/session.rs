//! `countersign session`.

use serde_json::json;

use super::admin_call;
use super::listing::list;
use crate::cli::{Common, Session};
use crate::failure::Failure;

pub(crate) fn run(common: &Common, verb: Session) -> Result<(), Failure> {
    match verb {
        Session::List => list(common, "session", "list", json!({})),
        Session::Show { id } => admin_call(common, "session", "show", &json!({ "id": id })),
        Session::Cut { id } => admin_call(common, "session", "cut", &json!({ "id": id })),
    }
}
