//! What callers ask of a session's task, and what they wait for.

use std::collections::HashMap;

use countersign_net::content::Broken;
use countersign_proto::operation::{Operation, Outcome};
use countersign_proto::session::{EncryptionOption, OptionList};
use tokio::sync::{mpsc, oneshot};

use crate::content::{Download, Upload};
use crate::error::CallError;

/// Where the result of an operation goes.
pub(crate) type ReplyTo = mpsc::UnboundedSender<Result<Outcome, CallError>>;
/// Where the result of an operation with content goes.
pub(crate) type StreamTo = oneshot::Sender<Result<(Outcome, Option<Download>), CallError>>;

/// What a caller asks of the task.
pub(crate) enum Ask {
    Call(Operation, ReplyTo),
    /// An operation whose result may have content, with content of its own or without.
    Stream(Operation, Option<Upload>, StreamTo),
    /// Fresh keys, for the present option or another one.
    Rekey(
        Option<EncryptionOption>,
        oneshot::Sender<Result<bool, CallError>>,
    ),
    /// The options that the site has on offer now.
    Options(oneshot::Sender<Result<OptionList, CallError>>),
    Close,
}

impl Ask {
    /// The session is over.
    pub(crate) fn fail(self, over: Broken) {
        match self {
            Self::Call(_, reply) => drop(reply.send(Err(over.into()))),
            Self::Stream(_, _, reply) => drop(reply.send(Err(over.into()))),
            Self::Rekey(_, reply) => drop(reply.send(Err(over.into()))),
            Self::Options(reply) => drop(reply.send(Err(over.into()))),
            Self::Close => {}
        }
    }
}

/// What callers wait for on one connection.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) results: HashMap<u64, ReplyTo>,
    pub(crate) streamed: HashMap<u64, StreamTo>,
    pub(crate) rekey: Option<oneshot::Sender<Result<bool, CallError>>>,
    pub(crate) options: Vec<oneshot::Sender<Result<OptionList, CallError>>>,
}

impl Waiting {
    /// None of it comes any more.
    pub(crate) fn fail(&mut self, over: Broken) {
        for (_, reply) in self.results.drain() {
            let _ = reply.send(Err(over.into()));
        }
        for (_, reply) in self.streamed.drain() {
            let _ = reply.send(Err(over.into()));
        }
        if let Some(reply) = self.rekey.take() {
            let _ = reply.send(Err(over.into()));
        }
        for reply in self.options.drain(..) {
            let _ = reply.send(Err(over.into()));
        }
    }
}
