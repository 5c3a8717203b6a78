//! `countersign audit`.

use std::process::ExitCode;

use serde_json::json;

use super::admin_call;
use super::content::{Sink, progress};
use crate::admin::Admin;
use crate::cli::{Audit, Common};
use crate::failure::{Exit, Failure};
use crate::output::{say, show};

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
        Audit::Export { after, save } => {
            let mut sink = Sink::open(save.as_deref())?;
            let bar = progress(None);
            let params = json!({ "after": after });
            let exported =
                Admin::connect(&common.data)?.content("audit", "export", &params, |piece| {
                    bar.inc(piece.len() as u64);
                    sink.write(piece)
                });
            bar.finish_and_clear();
            match exported {
                Ok(outcome) => {
                    say(&outcome.output);
                    sink.finish()?;
                    Ok(ExitCode::SUCCESS)
                }
                Err(failure) => {
                    sink.give_up();
                    Err(failure)
                }
            }
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
