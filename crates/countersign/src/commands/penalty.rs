//! `countersign penalty`.

use serde_json::json;

use super::confirm::agree;
use super::{admin_call, given};
use crate::cli::{Common, Penalty};
use crate::failure::Failure;

pub(crate) fn run(common: &Common, verb: Penalty) -> Result<(), Failure> {
    match verb {
        Penalty::List => admin_call(common, "penalty", "list", &json!({})),
        Penalty::Forget { source } => {
            if source.is_none() {
                agree(common, "penalty forget: forgets what every source did")?;
            }
            let params = given(json!({ "source": source }));
            admin_call(common, "penalty", "forget", &params)
        }
    }
}
