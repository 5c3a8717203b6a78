//! `countersign shell`: a prompt over one session.

mod history;

use std::io::IsTerminal;

use clap::Command;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Behavior, Config, Editor};
use serde_json::json;
use tokio::runtime::Runtime;

use super::confirm::{self, Known};
use super::link::Link;
use super::login::Login;
use super::operation::{OWN_WORDS, Operations};
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input::params;
use crate::output::{Format, print, report, say, show_typed};

type Prompt = Editor<Operations, FileHistory>;

/// A session and the state that running a line needs.
struct Shell {
    runtime: Runtime,
    link: Link,
    operations: Operations,
    format: Format,
    /// This program, whose commands know the names of their arguments.
    program: Command,
    /// `--yes` was given: disruptive operations run without a question.
    yes: bool,
    /// Lines are typed at a terminal; otherwise they are a script's.
    interactive: bool,
}

pub(crate) fn run(common: &Common, login: &Login, program: Command) -> Result<(), Failure> {
    let (runtime, link) = login.connect(common)?;
    let operations = runtime.block_on(link.call("operation", "list", &json!({})))?;
    let shell = Shell {
        runtime,
        link,
        operations,
        format: common.format(),
        program,
        yes: common.yes,
        interactive: std::io::stdin().is_terminal(),
    };
    let mut prompt = shell.prompt()?;
    let done = shell.serve(&mut prompt);
    history::save(&mut prompt);
    shell.runtime.block_on(shell.link.close());
    done
}

impl Shell {
    fn prompt(&self) -> Result<Prompt, Failure> {
        // Standard output has data only, also when it goes to a file while lines are typed.
        let behavior = if self.interactive {
            Behavior::PreferTerm
        } else {
            Behavior::Stdio
        };
        let config = Config::builder().behavior(behavior).build();
        let mut prompt = Editor::with_config(config).map_err(not_read)?;
        prompt.set_helper(Some(self.operations.clone()));
        if let Some(file) = history::file() {
            // The first time there is no history.
            let _ = prompt.load_history(&file);
        }
        Ok(prompt)
    }

    /// Reads lines until the end of the input. A script ends at its first failure; typed input does not.
    fn serve(&self, prompt: &mut Prompt) -> Result<(), Failure> {
        let account = &self.link.account();
        if self.interactive {
            say(format_args!(
                "Logged in as {account}. Type `help` for help."
            ));
        }
        let before = format!("{account}> ");
        loop {
            let line = match prompt.readline(&before) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(not_read(error)),
            };
            match self.serve_line(&line, prompt) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failure) if self.interactive && !is_over(&failure) => {
                    report(&failure, self.format);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Runs a line; `false` if it ends the shell.
    fn serve_line(&self, line: &str, prompt: &mut Prompt) -> Result<bool, Failure> {
        let words = params::words(line)?;
        if history::may_be_kept(line, &words) {
            let _ = prompt.add_history_entry(line);
        }
        match &words[..] {
            [] => {}
            [word] if word == "exit" || word == "quit" => return Ok(false),
            [word, about @ ..] if word == "help" => match self.operations.help(about) {
                Some(help) => print(&help)?,
                None => {
                    let message = format!("there is no operation {}", about.join(" "));
                    return Err(Failure::new(Exit::NotFound, "not_found", message)
                        .hint("`help` shows those that you may call"));
                }
            },
            [group, command, params @ ..] => self.operation(group, command, params, prompt)?,
            [_] => {
                return Err(Failure::usage("an operation is GROUP COMMAND [key=text …]")
                    .hint(format_args!("or one of: {}", OWN_WORDS.join(", "))));
            }
        }
        Ok(true)
    }

    fn operation(
        &self,
        group: &str,
        command: &str,
        params: &[String],
        prompt: &mut Prompt,
    ) -> Result<(), Failure> {
        let params = params::parse(params)?;
        let shown = params.shown();
        let question = match confirm::known(group, command, &shown) {
            Known::Disruptive(question) => Some(question),
            // The site may have operations that this program does not know.
            Known::Harmless | Known::Unknown => self
                .operations
                .disruption(group, command, &shown)
                .map(|effect| confirm::question(group, command, &shown, &effect)),
        };
        if let Some(question) = question.filter(|_| !self.yes) {
            if !self.interactive {
                return Err(confirm::unasked(&question));
            }
            let asked = format!("{question}. Type yes to go on: ");
            if prompt.readline(&asked).ok().as_deref() != Some("yes") {
                return Err(confirm::declined());
            }
        }
        let outcome = self.link.outcome(group, command, params.to_raw()?);
        let outcome = self.runtime.block_on(outcome)?;
        show_typed(
            &format!("{group} {command}"),
            outcome,
            self.format,
            &self.program,
        )
    }
}

/// Whether the failure ends the session.
fn is_over(failure: &Failure) -> bool {
    matches!(failure.code.as_str(), "session_ended" | "connection_lost")
}

fn not_read(error: ReadlineError) -> Failure {
    Failure::new(Exit::Failure, "prompt", error)
}
