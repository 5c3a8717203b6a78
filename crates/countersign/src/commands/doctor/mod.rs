//! `countersign doctor`: finds problems of a site and says what to do. It changes nothing.

mod database;
mod folder;

use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::config::{self, Config};
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::hint;
use crate::output::{Format, print, print_json};
use crate::site::channels::channels;
use crate::site::folder::{DATABASE, Folder};

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    /// The name of the check.
    check: &'static str,
    ok: bool,
    message: String,
    /// What to do; empty if there is no problem.
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            ok: true,
            message: message.into(),
            hint: String::new(),
        }
    }

    fn problem(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            ok: false,
            hint: hint.into(),
            ..Self::ok(check, message)
        }
    }
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
    let mut findings = folder::modes(folder);
    findings.push(folder::space(folder));
    findings.push(configuration);
    findings.extend(running(common));
    findings.extend(database::findings(folder, &config)?);
    for finding in &mut findings {
        finding.hint = hint::in_folder(&finding.hint, folder);
    }
    report(common, &findings)
}

/// The configuration file in the folder; the defaults if it cannot be read.
fn configuration(common: &Common) -> (Finding, Config) {
    let file = Folder::config_in(&common.data);
    match config::read_or_default(None, &file) {
        Ok(config) => match channels(&config) {
            Ok(_) => (Finding::ok("configuration", "valid"), config),
            Err(failure) => (
                Finding::problem("configuration", failure.message, failure.hint),
                config,
            ),
        },
        Err(failure) => (
            Finding::problem("configuration", failure.message, failure.hint),
            Config::default(),
        ),
    }
}

/// Checks whether the site runs and is unsealed.
fn running(common: &Common) -> Vec<Finding> {
    let status =
        Admin::connect(&common.data).and_then(|mut admin| admin.data("site", "status", &json!({})));
    let status = match status {
        Ok(status) => status,
        Err(failure) => return vec![Finding::ok("running", format!("no: {}", failure.message))],
    };
    let delivery = delivery(&status);
    let sealed = status.get("sealed").and_then(Value::as_bool) == Some(true);
    vec![
        Finding::ok("running", "yes"),
        match sealed {
            false => Finding::ok("site key", "unsealed"),
            true => Finding::problem(
                "site key",
                "the site is sealed: no account can log in",
                "`countersign site unseal`",
            ),
        },
        lockdown(&status),
        http_certificate(&status),
        delivery,
    ]
}

/// Checks whether a lockdown is in force. One of the site is a problem: it must not be forgotten.
fn lockdown(status: &Value) -> Finding {
    const CHECK: &str = "lockdown";
    if let Some(level) = status.get("lockdown").and_then(Value::as_str) {
        let message = format!("the site is in lockdown at the level {level}");
        let hint = "`countersign lockdown status` shows the reason, `countersign lockdown lift site` lifts it";
        return Finding::problem(CHECK, message, hint);
    }
    match status.get("locked_down").and_then(Value::as_u64) {
        None | Some(0) => Finding::ok(CHECK, "none"),
        Some(number) => Finding::ok(
            CHECK,
            format!("accounts, applications and peers in lockdown: {number}"),
        ),
    }
}

/// Checks whether the HTTP listener could read its certificate when its files changed last.
fn http_certificate(status: &Value) -> Finding {
    const CHECK: &str = "HTTP certificate";
    let tls = status.pointer("/listen/http_tls");
    let problem = tls
        .and_then(|tls| tls.get("problem"))
        .and_then(Value::as_str);
    match (tls, problem) {
        (_, Some(problem)) => Finding::problem(
            CHECK,
            format!("an earlier certificate is in use: {problem}"),
            "correct the files that listen.http_certificate and listen.http_key name",
        ),
        (Some(_), None) => Finding::ok(CHECK, "in use"),
        (None, None) => Finding::ok(CHECK, "the listener has no TLS"),
    }
}

/// Checks whether alarms reach persons without an open connection.
fn delivery(status: &Value) -> Finding {
    const CHECK: &str = "alarms";
    let of = |field: &str| {
        status
            .get("delivery")
            .and_then(|delivery| delivery.get(field))
    };
    let number = |field: &str| of(field).and_then(Value::as_u64).unwrap_or_default();
    let text = |field: &str| of(field).and_then(Value::as_str);
    let is_late = of("late").and_then(Value::as_bool) == Some(true);
    let late = text("oldest").filter(|_| is_late);
    let hint = "`countersign alarm deliveries` shows the reason, `countersign alarm retry` sends them again";
    match (number("dead"), late) {
        (0, None) => {
            let channels = [("email", "e-mail"), ("text", "texts")];
            let has = |field: &str| of(field).and_then(Value::as_bool) == Some(true);
            let there = channels.iter().filter(|(field, _)| has(field));
            let there: Vec<&str> = there.map(|(_, name)| *name).collect();
            Finding::ok(
                CHECK,
                match there.as_slice() {
                    [] => {
                        "only open connections get alarms: there is no mail server and no webhook"
                            .to_owned()
                    }
                    there => format!("delivered by {}", there.join(" and ")),
                },
            )
        }
        (0, Some(oldest)) => {
            let error = text("oldest_error").unwrap_or("no attempt yet");
            Finding::problem(
                CHECK,
                format!("a message waits since {oldest}: {error}"),
                hint,
            )
        }
        (dead, _) => Finding::problem(CHECK, format!("messages given up: {dead}"), hint),
    }
}

fn report(common: &Common, findings: &[Finding]) -> Result<ExitCode, Failure> {
    let problems = findings.iter().filter(|finding| !finding.ok).count();
    match common.format() {
        Format::Text => print(&text(findings, problems))?,
        Format::Json => {
            print_json(&json!({ "problems": problems, "checks": findings }).to_string())?;
        }
        Format::Jsonl => {
            let lines = findings.iter().map(|finding| json!(finding).to_string());
            print_json(&lines.collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(match problems {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(Exit::Problems as u8),
    })
}

fn text(findings: &[Finding], problems: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in findings {
        let mark = if finding.ok { "ok     " } else { "PROBLEM" };
        lines.push(format!(
            "{mark}  {:<18}  {}",
            finding.check, finding.message
        ));
        if !finding.hint.is_empty() {
            lines.push(format!("         {:<18}  {}", "", finding.hint));
        }
    }
    lines.push(match problems {
        0 => "No problem was found.".to_owned(),
        1 => "1 problem was found.".to_owned(),
        more => format!("{more} problems were found."),
    });
    lines.join("\n")
}
