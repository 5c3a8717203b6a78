//! Requests from callers to the session's task, and the replies that callers wait for.

use std::collections::HashMap;

use countersign_net::content::ContentError;
use countersign_proto::operation::{Operation, Outcome};
use countersign_proto::session::{EncryptionOption, OptionList};
use tokio::sync::{mpsc, oneshot};

use crate::content::{Download, Upload};
use crate::error::CallError;

/// Receives the result of an operation.
pub(crate) type ReplyTo = mpsc::UnboundedSender<Result<Outcome, CallError>>;
/// Receives the result of an operation with content.
pub(crate) type StreamReplyTo = oneshot::Sender<Result<(Outcome, Option<Download>), CallError>>;

/// A request from a caller to the task of any connection.
pub(crate) enum CallRequest {
    Call(Operation, ReplyTo),
    Close,
}

/// A request from a caller to the task of a session.
pub(crate) enum Request {
    Call(Operation, ReplyTo),
    /// An operation that may have content, and whose result may have content.
    Stream(Operation, Option<Upload>, StreamReplyTo),
    /// Agree on fresh keys, for the current option or another one.
    Rekey(
        Option<EncryptionOption>,
        oneshot::Sender<Result<bool, CallError>>,
    ),
    /// Request the options that the site offers now.
    Options(oneshot::Sender<Result<OptionList, CallError>>),
    Close,
}

impl From<CallRequest> for Request {
    fn from(request: CallRequest) -> Self {
        match request {
            CallRequest::Call(operation, reply) => Self::Call(operation, reply),
            CallRequest::Close => Self::Close,
        }
    }
}

impl Request {
    /// Fails the request because the session has ended.
    pub(crate) fn fail(self, error: ContentError) {
        match self {
            Self::Call(_, reply) => drop(reply.send(Err(error.into()))),
            Self::Stream(_, _, reply) => drop(reply.send(Err(error.into()))),
            Self::Rekey(_, reply) => drop(reply.send(Err(error.into()))),
            Self::Options(reply) => drop(reply.send(Err(error.into()))),
            Self::Close => {}
        }
    }
}

/// Requests on one connection that have no reply yet.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) results: HashMap<u64, ReplyTo>,
    pub(crate) streamed: HashMap<u64, StreamReplyTo>,
    pub(crate) rekey: Option<oneshot::Sender<Result<bool, CallError>>>,
    pub(crate) options: Vec<oneshot::Sender<Result<OptionList, CallError>>>,
}

impl Pending {
    /// Fails all pending requests.
    pub(crate) fn fail(&mut self, error: ContentError) {
        for (_, reply) in self.results.drain() {
            let _ = reply.send(Err(error.into()));
        }
        for (_, reply) in self.streamed.drain() {
            let _ = reply.send(Err(error.into()));
        }
        if let Some(reply) = self.rekey.take() {
            let _ = reply.send(Err(error.into()));
        }
        for reply in self.options.drain(..) {
            let _ = reply.send(Err(error.into()));
        }
    }
}
