//! Parameters with which an operation is disruptive that otherwise is not.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A condition under which an operation is disruptive, and its effect then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisruptiveWhen {
    /// The parameter that decides.
    pub parameter: String,
    /// What the parameter is then: `absent`, `one_of` these texts, or a list `without` one of these texts.
    pub is: ParameterIs,
    /// The effect, as a clause without a full stop.
    pub effect: String,
}

/// What a parameter is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterIs {
    /// Absent or null.
    Absent,
    /// One of these texts.
    OneOf(Vec<String>),
    /// A list that lacks one of these texts.
    Without(Vec<String>),
}

impl DisruptiveWhen {
    /// Returns whether the operation is disruptive with these parameters.
    #[must_use]
    pub fn holds(&self, params: &Value) -> bool {
        let given = params.get(&self.parameter).filter(|value| !value.is_null());
        match &self.is {
            ParameterIs::Absent => given.is_none(),
            ParameterIs::OneOf(texts) => {
                let given = given.and_then(Value::as_str);
                given.is_some_and(|given| texts.iter().any(|text| text == given))
            }
            ParameterIs::Without(texts) => {
                let given = given.and_then(Value::as_array);
                given.is_some_and(|given| {
                    texts
                        .iter()
                        .any(|text| !given.contains(&text.as_str().into()))
                })
            }
        }
    }
}

impl fmt::Display for DisruptiveWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            parameter, effect, ..
        } = self;
        match &self.is {
            ParameterIs::Absent => write!(f, "without `{parameter}`: {effect}"),
            ParameterIs::OneOf(texts) => {
                write!(f, "if `{parameter}` is {}: {effect}", joined(texts))
            }
            ParameterIs::Without(texts) => {
                write!(f, "if `{parameter}` lacks {}: {effect}", joined(texts))
            }
        }
    }
}

fn joined(texts: &[String]) -> String {
    let quoted = texts.iter().map(|text| format!("`{text}`"));
    quoted.collect::<Vec<_>>().join(" or ")
}
