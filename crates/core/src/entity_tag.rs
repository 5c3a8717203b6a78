//! Entity tags (RFC 9110, section 8.8.3): which object a client read, and which revision of it. A path
//! names an object by its name, which another object may get later with the same revision.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::accounts::Account;
use crate::applications::Application;

/// The entity tag of an object, without the quotes that it has over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EntityTag(String);

impl EntityTag {
    /// The tag of a revision of an object. `object` identifies it among all objects that ever had its
    /// path, as an id does that is never used again. It consists of letters, digits and hyphens;
    /// with other characters a result may have no tag over HTTP.
    #[must_use]
    pub fn new(object: impl Display, revision: u64) -> Self {
        Self(format!("{object}-{revision}"))
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Account> for EntityTag {
    fn from(account: &Account) -> Self {
        Self::new(account.id, account.revision)
    }
}

impl From<&Application> for EntityTag {
    fn from(application: &Application) -> Self {
        match application.instance {
            Some(instance) => Self::new(instance, application.revision),
            // A registration that is older than instances, of which an id has one at most.
            None => Self::new(0, application.revision),
        }
    }
}
