//! `countersign audit`.

use std::process::ExitCode;

use serde_json::json;

use super::admin_call;
use crate::admin::Admin;
use crate::cli::{Audit, Common};
use crate::failure::{Exit, Failure};
use crate::output::show;

pub(crate) fn run(common: &Common, verb: &Audit) -> Result<ExitCode, Failure> {
    match verb {
        Audit::List { after, limit } => {
            admin_call(
                common,
                "audit",
                "list",
                &json!({ "after": after, "limit": limit }),
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Audit::Verify => {
            let outcome = Admin::connect(&common.data)?.run("audit", "verify", &json!({}))?;
            show(&outcome, common.format())?;
            let sound =
                serde_json::from_str::<serde_json::Value>(outcome.data.get()).is_ok_and(|data| {
                    data.get("intact").and_then(serde_json::Value::as_bool) == Some(true)
                });
            Ok(if sound {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Exit::Problems as u8)
            })
        }
    }
}
