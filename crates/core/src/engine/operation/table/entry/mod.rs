//! One operation: its name, its access rules, its properties and its handler.

mod builder;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::Schema;

use super::answer::Reply;
use super::disruptive::DisruptiveWhen;
use crate::access::{Access, Caller, Scope};
use crate::engine::rest::{Rest, RestMethod};
use crate::engine::{Context, Refusal};
use crate::lockdown::OperationKind;

pub use builder::EntryBuilder;

/// The most bytes of the entries of a page, as JSON, unless the first entry alone has more. A
/// thousand short entries fit.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;

type Running = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;
type Handler = Box<dyn Fn(Context, &str) -> Result<Running, Refusal> + Send + Sync>;

/// One operation.
pub struct Entry {
    spec: Spec,
    /// Whether it takes the parameter `limit`.
    is_list: bool,
    params: Schema,
    result: Schema,
    handler: Handler,
}

/// The properties of an operation without its handler.
struct Spec {
    name: Name,
    summary: &'static str,
    command_line: CommandLine,
    access: Access,
    kind: OperationKind,
    changes: bool,
    disruptive: bool,
    disruptive_when: Vec<DisruptiveWhen>,
    while_sealed: bool,
    computes: bool,
    public_key: bool,
    takes_content: bool,
    gives_content: bool,
    streams_events: bool,
    revised: bool,
    rest: Rest,
    example: serde_json::Value,
}

/// How a person runs an operation on the command line.
#[derive(Debug, Clone, Copy)]
enum CommandLine {
    /// With its group and its command, in which `_` is `-`.
    OfItsName,
    /// With these words.
    Words(&'static str),
    /// Not at all: programs run it.
    OfPrograms,
}

/// Group and command, and both together as `group.command`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    group: &'static str,
    command: &'static str,
    whole: Arc<str>,
}

impl Entry {
    /// Starts an entry. Both names match `[a-z][a-z0-9_]*`.
    #[allow(
        clippy::new_ret_no_self,
        reason = "the builder's `handler` makes the entry"
    )]
    #[must_use]
    pub fn new(group: &'static str, command: &'static str) -> EntryBuilder {
        EntryBuilder(Spec {
            name: Name {
                group,
                command,
                whole: format!("{group}.{command}").into(),
            },
            summary: "",
            command_line: CommandLine::OfItsName,
            access: Access::default(),
            kind: OperationKind::default(),
            changes: false,
            disruptive: false,
            disruptive_when: Vec::new(),
            while_sealed: false,
            computes: false,
            public_key: false,
            takes_content: false,
            gives_content: false,
            streams_events: false,
            revised: false,
            rest: Rest::Undecided,
            example: serde_json::Value::Object(serde_json::Map::new()),
        })
    }

    /// Returns the group.
    #[must_use]
    pub const fn group(&self) -> &'static str {
        self.spec.name.group
    }

    /// Returns the command within the group.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        self.spec.name.command
    }

    /// Returns `group.command`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name.whole
    }

    /// Returns what the operation does, in one or two sentences.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        self.spec.summary
    }

    /// Returns the words with which a person runs it on the command line, without the name of the program;
    /// `None` if programs alone run it.
    #[must_use]
    pub fn command_line(&self) -> Option<Cow<'static, str>> {
        match self.spec.command_line {
            CommandLine::OfItsName => {
                let command = self.command().replace('_', "-");
                Some(format!("{} {command}", self.group()).into())
            }
            CommandLine::Words(words) => Some(words.into()),
            CommandLine::OfPrograms => None,
        }
    }

    /// Returns who may call it, and on which channels.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.spec.access
    }

    /// Returns its kind, which decides at which level of lockdown it is refused.
    #[must_use]
    pub const fn kind(&self) -> OperationKind {
        self.spec.kind
    }

    /// Returns whether its success is audited, because it changes the site or reveals sensitive
    /// data.
    #[must_use]
    pub const fn is_audited(&self) -> bool {
        self.spec.changes || self.spec.disruptive
    }

    /// Returns whether it may interrupt or remove something that another user is using. Clients ask
    /// before they run it, and an attempt without permission is audited.
    #[must_use]
    pub const fn is_disruptive(&self) -> bool {
        self.spec.disruptive
    }

    /// Returns when it is disruptive although it is not with other parameters.
    #[must_use]
    pub fn disruptive_when(&self) -> &[DisruptiveWhen] {
        &self.spec.disruptive_when
    }

    /// Returns the effect of the operation with these parameters, if it is disruptive with them.
    #[must_use]
    pub fn disruption(&self, params: &serde_json::Value) -> Option<&str> {
        let mut conditions = self.spec.disruptive_when.iter();
        match self.spec.disruptive {
            true => Some(self.spec.summary),
            false => conditions
                .find(|when| when.holds(params))
                .map(|when| when.effect.as_str()),
        }
    }

    /// Returns whether it is available while the site is sealed.
    #[must_use]
    pub const fn works_while_sealed(&self) -> bool {
        self.spec.while_sealed
    }

    /// Returns whether it computes for long, for instance to stretch a pass phrase. Run it on a
    /// thread on which no other tasks wait.
    #[must_use]
    pub const fn computes(&self) -> bool {
        self.spec.computes
    }

    /// Returns whether it does public-key work or computes for long. Such operations are
    /// rate-limited per account, and the server limits how many run at once.
    #[must_use]
    pub const fn is_costly(&self) -> bool {
        self.spec.public_key || self.spec.computes
    }

    /// Returns whether it takes content: bytes of any length that follow the parameters.
    #[must_use]
    pub const fn takes_content(&self) -> bool {
        self.spec.takes_content
    }

    /// Returns how many bytes its result may have more than other results: those of a page, if it
    /// takes the parameter `limit`. A server starts it only when there is room for them.
    #[must_use]
    pub const fn page_bytes(&self) -> usize {
        if self.is_list { MAX_PAGE_BYTES } else { 0 }
    }

    /// Returns whether its result comes with content.
    #[must_use]
    pub const fn gives_content(&self) -> bool {
        self.spec.gives_content
    }

    /// Returns whether its result over HTTP is an event stream, if the request asks for one.
    #[must_use]
    pub const fn streams_events(&self) -> bool {
        self.spec.streams_events
    }

    /// Returns whether it changes or deletes one object with a revision, so that a request can name the
    /// revision that it expects.
    #[must_use]
    pub const fn is_revised(&self) -> bool {
        self.spec.revised
    }

    /// Returns whether its result has the entity tag of an object.
    #[must_use]
    pub fn shows_entity_tag(&self) -> bool {
        let fields = self.result.get("properties");
        fields.is_some_and(|fields| fields.get("etag").is_some())
    }

    /// Returns whether a request can have an idempotency key, with which its answer is given again.
    #[must_use]
    pub fn takes_idempotency_key(&self) -> bool {
        let route = self.spec.rest.route();
        let has_content = self.spec.takes_content || self.spec.gives_content;
        route.is_some_and(|route| route.method != RestMethod::Get) && !has_content
    }

    /// Returns how it is called over HTTP, or why it is not offered there.
    #[must_use]
    pub const fn rest(&self) -> &Rest {
        &self.spec.rest
    }

    /// Returns example parameters.
    #[must_use]
    pub const fn example(&self) -> &serde_json::Value {
        &self.spec.example
    }

    /// Returns the JSON Schema of its parameters.
    #[must_use]
    pub const fn params(&self) -> &Schema {
        &self.params
    }

    /// Returns the JSON Schema of its result.
    #[must_use]
    pub const fn result(&self) -> &Schema {
        &self.result
    }

    /// Returns the accounts to which `caller` has access with it; `None` if the caller may not call
    /// it. A credential over HTTP permits the operations that it names, and never more than its
    /// account's role.
    #[must_use]
    pub fn scope(&self, caller: &Caller) -> Option<Scope> {
        let scope = self.access().scope(caller)?;
        let named = caller.grant.as_ref();
        named
            .is_none_or(|grant| grant.names(self.name()))
            .then_some(scope)
    }

    pub(crate) fn start(&self, context: Context, params: &str) -> Result<Running, Refusal> {
        (self.handler)(context, params)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.spec.name.whole)
    }
}
