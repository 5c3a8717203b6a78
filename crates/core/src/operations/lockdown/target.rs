//! An account or application that is put in lockdown or released from it.

use std::fmt;

use countersign_proto::name::AccountName;

use crate::accounts::Kind;
use crate::applications::{Application, ApplicationId};
use crate::engine::{Context, Refusal};
use crate::lockdown::{Imposed, ImposedOn, LockdownTarget};
use crate::operations::account;
use crate::operations::app::void_tickets;
use crate::store::Notice;

/// An account or application that exists.
pub(super) struct Found {
    pub(super) target: LockdownTarget,
    kind: &'static str,
    pub(super) name: String,
    application: Option<Box<Application>>,
}

impl Found {
    pub(super) async fn account(
        context: &Context,
        kind: Kind,
        name: &AccountName,
    ) -> Result<Self, Refusal> {
        let account = account::find(context, kind, name).await?;
        Ok(Self {
            target: LockdownTarget::Account(account.id),
            kind: kind.as_str(),
            name: account.name.to_string(),
            application: None,
        })
    }

    pub(super) async fn application(
        context: &Context,
        id: &ApplicationId,
    ) -> Result<Self, Refusal> {
        let found = context.site().store().application(id).await?;
        let found = found.ok_or_else(|| Refusal::not_found("application", id).of_field("id"))?;
        Ok(Self {
            target: LockdownTarget::of_application(&found),
            kind: "app",
            name: id.to_string(),
            application: Some(Box::new(found)),
        })
    }

    pub(super) fn imposed(&self, imposed: Imposed) -> ImposedOn {
        ImposedOn {
            name: self.to_string(),
            imposed,
        }
    }

    /// Returns the notices that tell providers that the tickets of the application are void.
    pub(super) async fn void_tickets(&self, context: &Context) -> Result<Vec<Notice>, Refusal> {
        match &self.application {
            Some(application) => void_tickets(context, application).await,
            None => Ok(Vec::new()),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
