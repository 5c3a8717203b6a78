//! `countersign ticket`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_proto::operation::{Code, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

use super::listing::list;
use super::{admin_call, given};
use crate::admin::Admin;
use crate::config::HttpEncryption;
use crate::console::{self, ConsoleAccess, TicketUse};
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE};
use crate::global::Common;
use crate::input::duration::seconds;
use crate::output::{Format, path, show, show_data, write_bytes};
use crate::qr::QrCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Issues an enrolment ticket for a person and shows it once.
    Issue(Issue),
    /// Lists enrolment tickets, oldest first.
    List {
        /// Account name of a person [default: the tickets of all].
        person: Option<String>,
    },
    /// Shows the state of an enrolment ticket.
    Show {
        /// Id of the ticket.
        id: String,
    },
    /// Revokes an enrolment ticket; a device that was enrolled with it stays.
    Revoke {
        /// Id of the ticket.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// Account name of the person.
    person: String,
    /// What the ticket is for: to enrol a device, or to set a pass phrase [default: device].
    #[arg(long, value_parser = ["device", "passphrase"])]
    kind: Option<String>,
    /// How long the ticket can be used, such as 1h or 7d, at most 7d [default: 1h].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u32>,
    #[command(flatten)]
    codes: Codes,
}

/// The files and QR codes of a ticket.
#[derive(Debug, Args)]
pub(super) struct Codes {
    /// Writes the ticket as a URI to this new file (mode 0600) instead of standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "qr")]
    out: Option<PathBuf>,
    /// Shows the ticket as a QR code in the terminal too.
    #[arg(long)]
    qr: bool,
    /// Writes the QR code to this new file, as a PNG image (mode 0600).
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Writes the QR code to this new file, as an SVG image (mode 0600).
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Issue(command) => issue(common, &command),
        Verb::List { person } => {
            let params = given(json!({ "person": person }));
            list(common, "ticket", "list", params)
        }
        Verb::Show { id } => admin_call(common, "ticket", "show", &json!({ "id": id })),
        Verb::Revoke { id } => admin_call(common, "ticket", "revoke", &json!({ "id": id })),
    }
}

/// The parts of the result that files are made of, and those that are no secret.
#[derive(Deserialize)]
struct Issued {
    id: String,
    person: String,
    /// The kind, of a ticket of a person.
    kind: Option<String>,
    expires: String,
    uri: String,
    qr_uri: String,
}

/// Writes the ticket to a file that only its owner can read, from its beginning on.
fn write(common: &Common, issued: &str, file: &Path) -> Result<(), Failure> {
    let issued: Issued = serde_json::from_str(issued)
        .map_err(|error| Failure::new(Exit::Failure, "protocol", error))?;
    let uri = format!("{}\n", issued.uri);
    files::write(file, PRIVATE, Existing::Kept, uri.as_bytes())?;
    let Issued {
        id,
        person,
        kind,
        expires,
        ..
    } = issued;
    let shown = path(file);
    let text = format!(
        "Wrote the ticket {id} for {person} to {shown}. It can be used once, until {expires}."
    );
    let data = given(json!({
        "id": id, "person": person, "kind": kind, "expires": expires, "file": shown,
    }));
    show_data(&data.to_string(), &text, common.format())
}

fn issue(common: &Common, command: &Issue) -> Result<(), Failure> {
    let params = given(json!({
        "person": command.person,
        "kind": command.kind,
        "expires_in": command.expires,
    }));
    issue_shown(common, ("ticket", "issue"), &params, &command.codes)
}

/// How this ticket sets a pass phrase in the web console. `None` for a ticket of another kind, and if the site
/// has no console that a user finds; also if the site does not say, because the ticket is shown all the same.
fn in_console(admin: &mut Admin, outcome: &Outcome) -> Option<TicketUse> {
    let issued: Issued = serde_json::from_str(outcome.data.get()).ok()?;
    if issued.kind.as_deref() != Some("passphrase") || !console::is_built() {
        return None;
    }
    let settings = admin.data("config", "list", &json!({})).ok()?;
    let setting = |key: &str| {
        let settings = settings.get("settings")?.as_array()?;
        let mut settings = settings.iter();
        let found = settings.find(|setting| setting.get("key").is_some_and(|own| own == key))?;
        found.get("value")
    };
    if setting("listen.console")?.as_bool() == Some(false) {
        return None;
    }
    let status = admin.data("site", "status", &json!({})).ok()?;
    let http = status.pointer("/listen/http").and_then(Value::as_str);
    let http = http.and_then(|address| address.parse().ok());
    let public = setting("listen.public_url").and_then(Value::as_str);
    let tls = match status.pointer("/listen/http_tls/certificate") {
        Some(certificate) => HttpEncryption::deserialize(certificate).ok()?,
        None => HttpEncryption::Off,
    };
    let uri = status.get("uri").and_then(Value::as_str);
    Some(ConsoleAccess::find(public, http, tls, uri)?.ticket(&issued.uri))
}

fn show_with_console(
    common: &Common,
    outcome: &Outcome,
    console: &TicketUse,
) -> Result<(), Failure> {
    let mut data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
    if let Some(data) = data.as_object_mut() {
        data.insert(console.name.to_owned(), console.what.as_str().into());
    }
    let output = outcome.output.trim_end();
    let text = format!("{output}\n{}\n  {}", console.how, console.what);
    show_data(&data.to_string(), &text, common.format())
}

/// Issues a ticket with this operation, and shows it once, or writes it to a file, with its QR codes.
pub(super) fn issue_shown(
    common: &Common,
    (group, command): (&str, &str),
    params: &Value,
    codes: &Codes,
) -> Result<(), Failure> {
    if codes.qr && common.format() != Format::Text {
        return Err(
            Failure::usage("--qr shows the code as text, and JSON has no place for it")
                .hint("make the code from `qr_uri` in the JSON, or write it with --png or --svg"),
        );
    }
    // Check files first: the ticket is shown once.
    for file in [&codes.out, &codes.png, &codes.svg].into_iter().flatten() {
        files::check(file, Existing::Kept)?;
    }
    let mut admin = Admin::connect(&common.data)?;
    let outcome = admin.run(group, command, params)?;
    if outcome.code != Code::SUCCESS {
        return Err(Failure::outcome(&outcome));
    }
    // The ticket first: it is not lost if an image cannot be written.
    match &codes.out {
        Some(file) => write(common, outcome.data.get(), file)?,
        None => match in_console(&mut admin, &outcome) {
            Some(console) => show_with_console(common, &outcome, &console)?,
            None => show(&outcome, common.format())?,
        },
    }
    if !codes.qr && codes.png.is_none() && codes.svg.is_none() {
        return Ok(());
    }
    let issued: Issued = serde_json::from_str(outcome.data.get())
        .map_err(|error| Failure::new(Exit::Failure, "protocol", error))?;
    let code = QrCode::of(&issued.qr_uri)?;
    if codes.qr {
        let colors = std::io::stdout().is_terminal();
        write_bytes(code.to_text(colors).as_bytes())?;
    }
    if let Some(file) = &codes.png {
        files::write(file, PRIVATE, Existing::Kept, &code.to_png()?)?;
    }
    if let Some(file) = &codes.svg {
        files::write(file, PRIVATE, Existing::Kept, code.to_svg().as_bytes())?;
    }
    Ok(())
}
