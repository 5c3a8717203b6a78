//! Declares an operation, step by step.

use std::future::Future;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CommandLine, Entry, Spec};
use crate::access::{Channel, Role};
use crate::engine::operation::table::answer::Answer;
use crate::engine::operation::table::disruptive::{DisruptiveWhen, ParameterIs};
use crate::engine::rest::{Rest, RestMethod, RestRoute};
use crate::engine::{Context, Refusal, params, precondition};
use crate::lockdown::OperationKind;

/// An entry without its handler.
pub struct EntryBuilder(pub(super) Spec);

impl EntryBuilder {
    /// Sets what the operation does, in one or two sentences.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.0.summary = summary;
        self
    }

    /// Sets the words of its command line, without the name of the program. Otherwise they are the group and the
    /// command, in which `_` is `-`.
    #[must_use]
    pub const fn command_line(mut self, words: &'static str) -> Self {
        self.0.command_line = CommandLine::Words(words);
        self
    }

    /// Declares that programs run it, so that it has no command line of its own.
    #[must_use]
    pub const fn for_programs(mut self) -> Self {
        self.0.command_line = CommandLine::OfPrograms;
        self
    }

    /// Allows these roles to call it for every account.
    #[must_use]
    pub fn allow(mut self, roles: &[Role]) -> Self {
        self.0.access.allow(roles);
        self
    }

    /// Allows these roles to call it for their own account. The handler must check
    /// [`Context::admits`].
    #[must_use]
    pub fn allow_own(mut self, roles: &[Role]) -> Self {
        self.0.access.allow_own(roles);
        self
    }

    /// Restricts the operation to these channels. The default is a session, the local admin socket,
    /// initialisation scripts and the program that embeds the site.
    #[must_use]
    pub fn only_on(mut self, channels: &[Channel]) -> Self {
        self.0.access.only_on(channels);
        self
    }

    /// Declares that it may be called on this channel too, besides those of every operation that says nothing else.
    #[must_use]
    pub fn also_on(mut self, channel: Channel) -> Self {
        self.0.access.also_on(channel);
        self
    }

    /// Offers it over HTTP with this method and path, such as `/persons/{name}`. A segment in braces
    /// is a parameter; the others are in the query, or in the body if the method has one.
    #[must_use]
    pub fn rest(self, method: RestMethod, path: &'static str) -> Self {
        self.route(RestRoute {
            method,
            path,
            creates: None,
        })
    }

    /// Like [`Self::rest`] with POST, for an operation that creates something. `creates` is the path
    /// of what it created, with fields of the result or of the parameters.
    #[must_use]
    pub fn rest_creates(self, path: &'static str, creates: &'static str) -> Self {
        self.route(RestRoute {
            method: RestMethod::Post,
            path,
            creates: Some(creates),
        })
    }

    /// Declares why it is not offered over HTTP.
    #[must_use]
    pub const fn no_rest(mut self, reason: &'static str) -> Self {
        self.0.rest = Rest::None(reason);
        self
    }

    fn route(mut self, route: RestRoute) -> Self {
        self.0.rest = Rest::Route(route);
        self.0.access.also_on(Channel::Http);
        self
    }

    /// It changes the site or reveals sensitive data, so that it is audited.
    #[must_use]
    pub const fn changes(mut self) -> Self {
        self.0.changes = true;
        self
    }

    /// Declares that it may interrupt or remove something that another user is using. It is
    /// audited, and so is an attempt without permission.
    #[must_use]
    pub const fn disruptive(mut self) -> Self {
        self.0.disruptive = true;
        self
    }

    /// Declares that it is disruptive if this parameter is so, and its effect then: a clause without a full stop.
    /// Clients ask before they run it with such parameters.
    #[must_use]
    pub fn disruptive_when(
        mut self,
        parameter: &str,
        is: ParameterIs,
        effect: impl Into<String>,
    ) -> Self {
        self.0.disruptive_when.push(DisruptiveWhen {
            parameter: parameter.to_owned(),
            is,
            effect: effect.into(),
        });
        self
    }

    /// Declares its kind, which decides at which level of lockdown it is refused.
    #[must_use]
    pub const fn of_kind(mut self, kind: OperationKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Makes it available while the site is sealed.
    #[must_use]
    pub const fn while_sealed(mut self) -> Self {
        self.0.while_sealed = true;
        self
    }

    /// Declares that it computes for long, for instance to stretch a pass phrase.
    #[must_use]
    pub const fn computes(mut self) -> Self {
        self.0.computes = true;
        self
    }

    /// Declares that it does public-key work: see [`Entry::is_costly`].
    #[must_use]
    pub const fn public_key(mut self) -> Self {
        self.0.public_key = true;
        self
    }

    /// Declares that it takes content, which the handler gets from [`Context::content`]. A request
    /// without content is refused.
    #[must_use]
    pub const fn takes_content(mut self) -> Self {
        self.0.takes_content = true;
        self
    }

    /// Declares that its result comes with content.
    #[must_use]
    pub const fn gives_content(mut self) -> Self {
        self.0.gives_content = true;
        self
    }

    /// Declares that its result over HTTP is an event stream, if the request asks for one.
    #[must_use]
    pub const fn streams_events(mut self) -> Self {
        self.0.streams_events = true;
        self
    }

    /// Declares that it changes or deletes one object with a revision. The handler must call
    /// [`Context::expect_tag`] with the object which it found.
    #[must_use]
    pub const fn revised(mut self) -> Self {
        self.0.revised = true;
        self
    }

    /// Sets example parameters.
    #[must_use]
    pub fn example(mut self, example: serde_json::Value) -> Self {
        self.0.example = example;
        self
    }

    /// Sets the handler and finishes the entry. The parameters' type must refuse unknown fields
    /// (`#[serde(deny_unknown_fields)]`), so that a misspelt field is reported.
    #[must_use]
    pub fn handler<P, R, F, Fut>(self, handle: F) -> Entry
    where
        P: DeserializeOwned + JsonSchema,
        R: Serialize + JsonSchema,
        F: Fn(Context, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer<R>, Refusal>> + Send + 'static,
    {
        let params = precondition::described(schema_for!(P), self.0.revised);
        Entry {
            spec: self.0,
            is_list: params.pointer("/properties/limit").is_some(),
            params,
            result: result_schema::<R>(),
            handler: Box::new(move |context, text| {
                let answering = handle(context, params::read(text)?);
                Ok(Box::pin(async move { answering.await?.into_reply() }))
            }),
        }
    }
}

/// The schema of a result as it is written: a field that is left out when it is empty is optional.
fn result_schema<R: JsonSchema>() -> Schema {
    let written = SchemaSettings::draft2020_12().for_serialize();
    written.into_generator().into_root_schema_for::<R>()
}
