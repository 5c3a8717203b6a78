//! The result of an operation.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::content::Content;
use crate::engine::Refusal;

/// The result of an operation: data for programs and text for people.
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

    /// Returns the answer with text for people.
    #[must_use]
    pub fn with_output(mut self, output: impl Into<String>) -> Self {
        self.output = output.into();
        self
    }

    /// Returns the answer with content. The entry must declare it with
    /// [`EntryBuilder::gives_content`](crate::engine::EntryBuilder::gives_content).
    #[must_use]
    pub fn with(mut self, content: Content) -> Self {
        self.content = Some(content);
        self
    }
}

impl<R: Serialize> Answer<R> {
    pub(super) fn into_reply(self) -> Result<Reply, Refusal> {
        let data =
            to_raw_value(&self.data).map_err(|error| Refusal::internal(error.to_string()))?;
        Ok(Reply {
            data,
            output: self.output,
            content: self.content,
        })
    }
}

/// A serialised answer.
pub(crate) struct Reply {
    pub(crate) data: Box<RawValue>,
    pub(crate) output: String,
    pub(crate) content: Option<Content>,
}
