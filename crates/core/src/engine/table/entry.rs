//! One operation: what it is called, who may call it, and what it does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::access::{Access, Channel, Role};
use crate::content::Content;
use crate::engine::{Context, Refusal, params};

/// What an operation answers: data for programs, and text for people.
#[derive(Debug)]
pub struct Answer<R> {
    data: R,
    output: String,
    content: Option<Content>,
}

impl<R> Answer<R> {
    /// An answer without text.
    #[must_use]
    pub const fn new(data: R) -> Self {
        Self {
            data,
            output: String::new(),
            content: None,
        }
    }

    /// The same answer with text to show.
    #[must_use]
    pub fn saying(mut self, output: impl Into<String>) -> Self {
        self.output = output.into();
        self
    }

    /// The same answer with content behind it. The operation must be one that
    /// [`EntryBuilder::gives_content`].
    #[must_use]
    pub fn with(mut self, content: Content) -> Self {
        self.content = Some(content);
        self
    }
}

/// An answer that is ready to be sent.
pub(crate) struct Reply {
    pub(crate) data: Box<RawValue>,
    pub(crate) output: String,
    pub(crate) content: Option<Content>,
}

type Running = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;
type Handler = Box<dyn Fn(Context, &str) -> Result<Running, Refusal> + Send + Sync>;

/// One operation.
pub struct Entry {
    spec: Spec,
    params: Schema,
    result: Schema,
    handler: Handler,
}

/// What is said of an operation before its handler.
struct Spec {
    name: Name,
    summary: &'static str,
    access: Access,
    changes: bool,
    disruptive: bool,
    while_sealed: bool,
    computes: bool,
    public_key: bool,
    takes_content: bool,
    gives_content: bool,
    example: serde_json::Value,
}

/// Group and command, and the two together as `group.command`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    group: &'static str,
    command: &'static str,
    whole: Arc<str>,
}

/// An entry that still lacks its handler.
pub struct EntryBuilder(Spec);

impl Entry {
    /// Begins an entry. Both names are short and plain (`[a-z][a-z0-9_]*`).
    #[allow(clippy::new_ret_no_self, reason = "an entry without a handler is none")]
    #[must_use]
    pub fn new(group: &'static str, command: &'static str) -> EntryBuilder {
        EntryBuilder(Spec {
            name: Name {
                group,
                command,
                whole: format!("{group}.{command}").into(),
            },
            summary: "",
            access: Access::default(),
            changes: false,
            disruptive: false,
            while_sealed: false,
            computes: false,
            public_key: false,
            takes_content: false,
            gives_content: false,
            example: serde_json::Value::Object(serde_json::Map::new()),
        })
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> &'static str {
        self.spec.name.group
    }

    /// The command within the group.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        self.spec.name.command
    }

    /// `group.command`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name.whole
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.spec.name.whole)
    }

    /// What it does, in one sentence.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        self.spec.summary
    }

    /// Who may call it.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.spec.access
    }

    /// Whether it changes the site or tells what must be accounted for, and so is audited.
    #[must_use]
    pub const fn is_audited(&self) -> bool {
        self.spec.changes || self.spec.disruptive
    }

    /// Whether it may take something away from somebody who is using it: people are asked before it
    /// runs, and an attempt without permission is audited.
    #[must_use]
    pub const fn is_disruptive(&self) -> bool {
        self.spec.disruptive
    }

    /// Whether it is answered while the site is sealed.
    #[must_use]
    pub const fn works_while_sealed(&self) -> bool {
        self.spec.while_sealed
    }

    /// Whether it computes for long, as stretching a pass phrase does: run it where nobody waits for the
    /// thread.
    #[must_use]
    pub const fn computes(&self) -> bool {
        self.spec.computes
    }

    /// Whether it does public-key work or computes for long: an account may run so many of these, and they
    /// take turns.
    #[must_use]
    pub const fn is_costly(&self) -> bool {
        self.spec.public_key || self.spec.computes
    }

    /// Whether content comes with it: bytes of any number, behind its parameters.
    #[must_use]
    pub const fn takes_content(&self) -> bool {
        self.spec.takes_content
    }

    /// Whether content comes with its answer.
    #[must_use]
    pub const fn gives_content(&self) -> bool {
        self.spec.gives_content
    }

    /// Parameters to show as an example.
    #[must_use]
    pub const fn example(&self) -> &serde_json::Value {
        &self.spec.example
    }

    /// The JSON Schema of its parameters.
    #[must_use]
    pub const fn params(&self) -> &Schema {
        &self.params
    }

    /// The JSON Schema of its result.
    #[must_use]
    pub const fn result(&self) -> &Schema {
        &self.result
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

impl EntryBuilder {
    /// What it does, in one sentence.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.0.summary = summary;
        self
    }

    /// These roles may call it for everything.
    #[must_use]
    pub fn allow(mut self, roles: &[Role]) -> Self {
        self.0.access.allow(roles);
        self
    }

    /// These roles may call it for their own account; the handler asks [`Context::admits`].
    #[must_use]
    pub fn allow_own(mut self, roles: &[Role]) -> Self {
        self.0.access.allow_own(roles);
        self
    }

    /// It may be called on these channels and no other; without this, over a session, at the local admin socket, by
    /// initialisation scripts and by the program that embeds the site.
    #[must_use]
    pub fn only_on(mut self, channels: &[Channel]) -> Self {
        self.0.access.only_on(channels);
        self
    }

    /// It may be called on this channel too, besides those of every operation that says nothing else.
    #[must_use]
    pub fn also_on(mut self, channel: Channel) -> Self {
        self.0.access.also_on(channel);
        self
    }

    /// It changes the site, or tells what must be accounted for: it is audited.
    #[must_use]
    pub const fn changes(mut self) -> Self {
        self.0.changes = true;
        self
    }

    /// It may take something away from somebody who is using it; it is audited, and so is an attempt
    /// without permission.
    #[must_use]
    pub const fn disruptive(mut self) -> Self {
        self.0.disruptive = true;
        self
    }

    /// It is answered even while the site is sealed.
    #[must_use]
    pub const fn while_sealed(mut self) -> Self {
        self.0.while_sealed = true;
        self
    }

    /// It computes for long, as stretching a pass phrase does.
    #[must_use]
    pub const fn computes(mut self) -> Self {
        self.0.computes = true;
        self
    }

    /// It does public-key work: see [`Entry::is_costly`].
    #[must_use]
    pub const fn public_key(mut self) -> Self {
        self.0.public_key = true;
        self
    }

    /// Content comes with it; the handler takes it with [`Context::content`]. Without, it is refused.
    #[must_use]
    pub const fn takes_content(mut self) -> Self {
        self.0.takes_content = true;
        self
    }

    /// Content comes with its answer, when it succeeds.
    #[must_use]
    pub const fn gives_content(mut self) -> Self {
        self.0.gives_content = true;
        self
    }

    /// Parameters to show as an example.
    #[must_use]
    pub fn example(mut self, example: serde_json::Value) -> Self {
        self.0.example = example;
        self
    }

    /// What it does. The parameters' type must refuse unknown fields
    /// (`#[serde(deny_unknown_fields)]`), so that a misspelt one is not passed over in silence.
    #[must_use]
    pub fn handler<P, R, F, Fut>(self, handle: F) -> Entry
    where
        P: DeserializeOwned + JsonSchema,
        R: Serialize + JsonSchema,
        F: Fn(Context, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer<R>, Refusal>> + Send + 'static,
    {
        Entry {
            spec: self.0,
            params: schema_for!(P),
            result: schema_for!(R),
            handler: Box::new(move |context, text| {
                let answering = handle(context, params::read(text)?);
                Ok(Box::pin(async move {
                    let answer = answering.await?;
                    let data = serde_json::value::to_raw_value(&answer.data)
                        .map_err(|error| Refusal::internal(error.to_string()))?;
                    Ok(Reply {
                        data,
                        output: answer.output,
                        content: answer.content,
                    })
                }))
            }),
        }
    }
}
