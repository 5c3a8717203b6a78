//! `countersign penalty`.

use serde_json::json;

use super::{admin_call, confirm, given};
use crate::cli::{Common, Penalty};
use crate::failure::Failure;

pub(crate) fn run(common: &Common, verb: Penalty) -> Result<(), Failure> {
    match verb {
        Penalty::List => admin_call(common, "penalty", "list", &json!({})),
        Penalty::Forget { source, yes } => {
            if source.is_none() {
                confirm("Forgetting what every source did", yes)?;
            }
            let params = given(json!({ "source": source }));
            admin_call(common, "penalty", "forget", &params)
        }
    }
}
