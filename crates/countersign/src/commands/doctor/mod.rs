//! `countersign doctor`: finds problems of a site and says what to do. It changes nothing.

mod database;
mod folder;

use std::process::ExitCode;

use countersign_core::checks::Check;
use serde::Deserialize;
use serde_json::json;

use crate::admin::Admin;
use crate::config::{self, Config};
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::hint;
use crate::output::{Format, print, print_json};
use crate::site::channels::channels;
use crate::site::folder::{DATABASE, Folder};

/// What `site doctor` returns.
#[derive(Deserialize)]
struct OfSite {
    checks: Vec<Check>,
}

pub(crate) fn run(common: &Common) -> Result<ExitCode, Failure> {
    let folder = &common.data;
    if !folder.join(DATABASE[0]).exists() && Folder::traces_in(folder).is_empty() {
        let message = format_args!("there is no site in {}", folder.display());
        return Err(
            Failure::new(Exit::NotFound, "no_site", message).hint("name its folder with --data")
        );
    }
    let (configuration, config) = configuration(common);
    let (running, of_site) = running(common);
    let mut checks = folder::modes(folder);
    checks.push(configuration);
    checks.push(running);
    if of_site.is_none() {
        checks.push(folder::space(folder));
    }
    checks.extend(database::checks(folder, &config, of_site.is_some())?);
    checks.extend(of_site.into_iter().flatten());
    for check in &mut checks {
        // Some are the program's own, and name commands.
        check.hint = hint::in_folder(&hint::commands_in(&check.hint, folder), folder);
    }
    report(common, &checks)
}

/// The configuration file in the folder; the defaults if it cannot be read.
fn configuration(common: &Common) -> (Check, Config) {
    let file = Folder::config_in(&common.data);
    match config::read_or_default(None, &file) {
        Ok(config) => match channels(&config) {
            Ok(_) => (Check::ok("configuration", "valid"), config),
            Err(failure) => (
                Check::problem("configuration", failure.message, failure.hint),
                config,
            ),
        },
        Err(failure) => (
            Check::problem("configuration", failure.message, failure.hint),
            Config::default(),
        ),
    }
}

/// Checks whether the site runs. Returns the checks that it made itself, if it does.
fn running(common: &Common) -> (Check, Option<Vec<Check>>) {
    const CHECK: &str = "running";
    let mut admin = match Admin::connect(&common.data) {
        Ok(admin) => admin,
        Err(failure) => return (Check::ok(CHECK, format!("no: {}", failure.message)), None),
    };
    let checks = admin.data("site", "doctor", &json!({})).and_then(|data| {
        serde_json::from_value(data).map_err(|error| Failure::new(Exit::Failure, "protocol", error))
    });
    match checks {
        Ok(OfSite { checks }) => (Check::ok(CHECK, "yes"), Some(checks)),
        Err(failure) => {
            let message = format!("yes, but its own checks failed: {}", failure.message);
            (Check::problem(CHECK, message, failure.hint), None)
        }
    }
}

fn report(common: &Common, checks: &[Check]) -> Result<ExitCode, Failure> {
    let problems = checks.iter().filter(|check| !check.ok).count();
    match common.format() {
        Format::Text => print(&text(checks, problems))?,
        Format::Json => {
            print_json(&json!({ "problems": problems, "checks": checks }).to_string())?;
        }
        Format::Jsonl => {
            let lines = checks.iter().map(|check| json!(check).to_string());
            print_json(&lines.collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(match problems {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(Exit::Problems as u8),
    })
}

fn text(checks: &[Check], problems: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for check in checks {
        let mark = if check.ok { "ok     " } else { "PROBLEM" };
        lines.push(format!("{mark}  {:<18}  {}", check.check, check.message));
        if !check.hint.is_empty() {
            lines.push(format!("         {:<18}  {}", "", check.hint));
        }
    }
    lines.push(match problems {
        0 => "No problem was found.".to_owned(),
        1 => "1 problem was found.".to_owned(),
        more => format!("{more} problems were found."),
    });
    lines.join("\n")
}
