//! The ticket of a command that uses one: an argument, a file, standard input or a prompt.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use countersign_proto::enrolment::{BadTicket, EnrolmentTicket};

use crate::failure::Failure;
use crate::input::{self, STANDARD};
use crate::secret_input::prompt;

#[derive(Debug, Args)]
pub(crate) struct TicketInput {
    /// The ticket: `countersign://…` or its JSON (`-`: read it from standard input) [default: asked for at
    /// a prompt]. Other users of the machine can see an argument.
    ticket: Option<Argument>,
    /// Reads the ticket from this file (`-`: standard input).
    #[arg(long, value_name = "FILE", conflicts_with = "ticket")]
    ticket_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Argument {
    Standard,
    Ticket(EnrolmentTicket),
}

impl FromStr for Argument {
    type Err = BadTicket;

    fn from_str(text: &str) -> Result<Self, BadTicket> {
        match text {
            STANDARD => Ok(Self::Standard),
            ticket => ticket.parse().map(Self::Ticket),
        }
    }
}

/// Reads the text of a ticket from a file (`-`: standard input), or asks for it.
pub(super) fn read_text(file: Option<&Path>) -> Result<String, Failure> {
    match file {
        Some(file) => input::text(file),
        None if !std::io::stdin().is_terminal() => {
            Err(Failure::usage("no ticket was given")
                .hint("give the ticket, or --ticket-file FILE"))
        }
        None => prompt::hidden("Ticket"),
    }
}

impl TicketInput {
    /// Whether the ticket comes from standard input, which then provides nothing else.
    pub(crate) fn is_standard(&self) -> bool {
        matches!(self.ticket, Some(Argument::Standard))
            || self.ticket_file.as_deref() == Some(Path::new(STANDARD))
    }

    /// Reads the ticket, or asks for it.
    pub(crate) fn read(&self) -> Result<EnrolmentTicket, Failure> {
        let text = match &self.ticket {
            Some(Argument::Ticket(ticket)) => return Ok(ticket.clone()),
            Some(Argument::Standard) => read_text(Some(Path::new(STANDARD)))?,
            None => read_text(self.ticket_file.as_deref())?,
        };
        EnrolmentTicket::from_str(&text)
            .map_err(|error| Failure::usage(format_args!("the ticket: {error}")))
    }
}
