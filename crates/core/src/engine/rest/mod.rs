//! The REST API as far as it does not move bytes: which operation a method and path stand for, and
//! how path, query and body become the parameters of that operation.
//!
//! ```text
//! PATCH /api/v1/persons/maria   {"full_name":"Maria"}
//!   │        │                      │
//!   │        └ Routes::find ─▶ person.update, name = "maria"
//!   └────────┴──────────────────────┴─▶ params ─▶ {"name":"maria","full_name":"Maria"}
//! ```

mod examples;
mod fields;
mod openapi;
mod params;
mod routes;
mod sample;
mod target;

use std::fmt;

pub use fields::{BadField, IdempotencyKey, IfMatch, accepts, bearer, if_match, if_none_match};
pub use openapi::document;
pub(super) use params::{Fields, object};
pub use params::{Given, params};
pub use routes::{Found, Resource, Routes};
pub use target::{BadQuery, json_parameter, parameter, query, segments};

/// The path under which the API is served.
pub const BASE: &str = "/api/v1";

/// A method of HTTP that an operation can have. HEAD and OPTIONS follow from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RestMethod {
    /// Reads and changes nothing.
    Get,
    /// Creates something, or does something that no other method fits.
    Post,
    /// Sets something to a value.
    Put,
    /// Changes the given fields.
    Patch,
    /// Removes something.
    Delete,
}

impl RestMethod {
    /// All methods.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// Returns the method as it is written in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Returns whether a request has a body with the parameters that are not in the path.
    #[must_use]
    pub const fn has_body(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch => true,
            Self::Get | Self::Delete => false,
        }
    }
}

impl fmt::Display for RestMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an operation is called over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestRoute {
    /// The method.
    pub method: RestMethod,
    /// The path below [`BASE`], such as `/persons/{name}`. A segment in braces names a parameter.
    pub path: &'static str,
    /// The path of what a request creates, such as `/persons/{name}`, with fields of the result or
    /// of the parameters; `None` if it creates nothing.
    pub creates: Option<&'static str>,
}

/// Whether an operation is offered over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It has a route.
    Route(RestRoute),
    /// It has none, for this reason.
    None(&'static str),
    /// Its entry says nothing, so that it has none.
    Undecided,
}

impl Rest {
    /// Returns the route, if there is one.
    #[must_use]
    pub const fn route(&self) -> Option<&RestRoute> {
        match self {
            Self::Route(route) => Some(route),
            Self::None(_) | Self::Undecided => None,
        }
    }
}
