//! `countersign call`: logs in over the session protocol and runs one operation.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use countersign_client::{Client, Download, Upload};
use indicatif::ProgressBar;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::confirm::{self, Known};
use super::link::Link;
use super::login::Login;
use super::operation::Operations;
use crate::content;
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE};
use crate::global::Common;
use crate::hint;
use crate::input::STANDARD;
use crate::input::params::{self, Params};
use crate::output::{say, show_typed};

#[derive(Debug, Args)]
pub(crate) struct Call {
    #[command(flatten)]
    login: Login,
    /// Group of the operation.
    group: String,
    /// Command of the operation.
    command: String,
    /// Parameters: key=text or key:=JSON.
    params: Vec<String>,
    /// Reads parameters from a file with a JSON object (`-`: standard input); the command line overrides
    /// them.
    #[arg(long, env = "COUNTERSIGN_PARAMS_FILE", value_name = "FILE")]
    params_file: Option<PathBuf>,
    /// Sends this file as the content of the operation (`-`: standard input).
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    /// Writes the content of the result to this file (`-`: standard output).
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Replaces the file of --save if it exists.
    #[arg(long, requires = "save")]
    force: bool,
    /// Proves your pass phrase or key once more before the operation, which a change of your own credentials, or
    /// of where your alarms go, needs.
    #[arg(long)]
    prove: bool,
    /// Writes the certificate and the encrypted key that the site delivered (option delivered-key) to this
    /// file, in PEM.
    #[arg(long, value_name = "FILE")]
    save_delivered_key: Option<PathBuf>,
}

impl Call {
    /// Checks that at most one argument reads standard input.
    fn check_standard_input(&self, common: &Common) -> Result<(), Failure> {
        let files = [&common.passphrase_file, &self.params_file, &self.content];
        let from_it = files
            .into_iter()
            .filter(|file| file.as_deref() == Some(Path::new(STANDARD)));
        if from_it.count() > 1 {
            return Err(
                Failure::usage("standard input cannot provide more than one of these").hint(
                    "give all but one of --passphrase-file, --params-file and --content a file",
                ),
            );
        }
        Ok(())
    }

    fn params(&self) -> Result<Params, Failure> {
        let mut params = match &self.params_file {
            Some(file) => params::from_file(file)?,
            None => Params::default(),
        };
        params.extend(params::parse(&self.params)?);
        Ok(params)
    }

    /// Asks before a disruptive operation. Whether an operation that this program does not know is
    /// disruptive, the site says after the login.
    fn confirm(&self, common: &Common, params: &Value) -> Result<Asked, Failure> {
        match confirm::known(&self.group, &self.command, params) {
            Known::Unknown if !common.yes => Ok(Asked::NotYet),
            _ => confirm::before(common, &self.group, &self.command, params).map(|()| Asked::Done),
        }
    }
}

/// Whether the question before a disruptive operation has been settled.
#[derive(PartialEq, Eq)]
enum Asked {
    Done,
    NotYet,
}

pub(crate) fn call(common: &Common, call: &Call, program: &Command) -> Result<(), Failure> {
    call.check_standard_input(common)?;
    let existing = Existing::forced(call.force);
    // Check files first: the operation cannot be undone.
    for (file, existing) in [
        (&call.save, existing),
        (&call.save_delivered_key, Existing::Kept),
    ] {
        match file {
            Some(file) if file != Path::new(STANDARD) => files::check(file, existing)?,
            _ => {}
        }
    }
    let params = call.params()?;
    let shown = params.shown();
    let asked = call.confirm(common, &shown)?;
    let source = call.login.source(common)?;
    let runtime = Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
    let link = runtime.block_on(source.connect())?;
    if asked == Asked::NotYet {
        // If the site does not list the operation, there is no question to ask.
        let none = json!({});
        let listed = link.call::<_, Operations>("operation", "list", &none);
        let known = runtime.block_on(listed).ok();
        let effect = known.and_then(|all| all.disruption(&call.group, &call.command, &shown));
        if let Some(effect) = effect {
            let question = confirm::question(&call.group, &call.command, &shown, &effect);
            confirm::agree(common, &question)?;
        }
    }
    let params = params.to_raw()?;
    if let Some(file) = &call.save_delivered_key {
        save_delivered(link.session("a delivered key")?, file)?;
    }
    let result = runtime.block_on(async {
        if call.prove {
            source.prove(&link).await?;
        }
        run(common, program, call, &link, params).await
    });
    runtime.block_on(link.close());
    result
}

/// Runs the operation and shows its result.
async fn run(
    common: &Common,
    program: &Command,
    call: &Call,
    link: &Link,
    params: Box<RawValue>,
) -> Result<(), Failure> {
    let operation = format!("{} {}", call.group, call.command);
    if let Link::Device { .. } = link
        && call.content.is_none()
        && call.save.is_none()
    {
        let outcome = link.outcome(&call.group, &call.command, params).await?;
        return show_typed(&operation, outcome, common.format(), program);
    }
    let client = link.session("content")?;
    let bar = call.content.as_deref().map(content::progress_of);
    let upload = match (&call.content, &bar) {
        (Some(file), Some(bar)) => Some(upload(file, bar).await?),
        _ => None,
    };
    let answered = client.stream(&call.group, &call.command, params, upload);
    let (outcome, content) = answered.await?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    match content {
        None => show_typed(&operation, outcome, common.format(), program),
        Some(content) => {
            if !outcome.output.is_empty() {
                say(hint::typed(&outcome.output, program));
            }
            download(content, call.save.as_deref(), Existing::forced(call.force)).await
        }
    }
}

/// Writes the delivered certificate and key to a file that only its owner can read.
fn save_delivered(client: &Client, file: &Path) -> Result<(), Failure> {
    let delivered = client.delivered().ok_or_else(|| {
        Failure::usage("the site delivered no key")
            .hint("log in as a person with --option delivered-key")
    })?;
    files::write(file, PRIVATE, Existing::Kept, delivered.to_pem().as_bytes())
}

/// Reads a file and shows the progress.
async fn upload(file: &Path, bar: &ProgressBar) -> Result<Upload, Failure> {
    if file == Path::new(STANDARD) {
        return Ok(Upload::new(bar.wrap_async_read(tokio::io::stdin())));
    }
    let opened = tokio::fs::File::open(file).await;
    let opened = opened.map_err(|error| Failure::file(file, &error))?;
    Ok(Upload::new(bar.wrap_async_read(opened)))
}

/// Writes content to its destination. Ctrl-C cancels the transfer and removes an incomplete file.
async fn download(
    mut content: Download,
    save: Option<&Path>,
    existing: Existing,
) -> Result<(), Failure> {
    let mut sink = content::Sink::open(save, existing)?;
    let bar = content::progress(None);
    let copy = async {
        while let Some(piece) = content.next().await {
            let piece = piece?;
            sink.write(&piece)?;
            bar.inc(piece.len() as u64);
        }
        Ok(())
    };
    let copied = tokio::select! {
        copied = copy => copied,
        _ = tokio::signal::ctrl_c() => Err(content::cancelled()),
    };
    bar.finish_and_clear();
    copied.and_then(|()| sink.finish())
}
