//! The account that an operation of both `person` and `self` acts on: a named person, or the
//! caller; and the names of
//! the accounts in a list.

use std::collections::{HashMap, HashSet};

use countersign_proto::name::AccountName;
use schemars::{JsonSchema, Schema};
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::account;
use crate::accounts::{Account, Kind};
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::store::StoreError;

/// The names of these accounts, each read once; an account that was deleted, or cannot be read, has none.
pub(super) async fn names_of(
    context: &Context,
    accounts: impl Iterator<Item = AccountId> + Send,
) -> Result<HashMap<AccountId, AccountName>, Refusal> {
    let accounts: HashSet<AccountId> = accounts.collect();
    let mut names = HashMap::with_capacity(accounts.len());
    for id in accounts {
        let account = match context.site().store().account(id).await {
            // It hides nothing of the others.
            Err(StoreError::Damaged { .. }) => None,
            read => read?,
        };
        names.extend(account.map(|account| (id, account.name)));
    }
    Ok(names)
}

/// The parameter `name` of an operation that both groups have. Operations of `self` do not have it.
pub(super) trait Subject: JsonSchema + Send {
    /// The possessive of the account's owner, for descriptions in the reference.
    const POSSESSIVE: &'static str;

    /// Returns the account if the caller has access to it.
    fn account(&self, context: &Context) -> impl Future<Output = Result<Account, Refusal>> + Send;

    /// Adapts the JSON Schema of the parameters.
    fn adapt_schema(_: &mut Schema) {}
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named(#[schemars(with = "String")] AccountName);

impl Subject for Named {
    const POSSESSIVE: &'static str = "person's";

    async fn account(&self, context: &Context) -> Result<Account, Refusal> {
        account::find(context, Kind::Person, &self.0).await
    }
}

#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Own;

impl Subject for Own {
    const POSSESSIVE: &'static str = "own";

    async fn account(&self, context: &Context) -> Result<Account, Refusal> {
        account::own(context).await
    }

    fn adapt_schema(schema: &mut Schema) {
        if let Some(properties) = schema
            .get_mut("properties")
            .and_then(|all| all.as_object_mut())
        {
            properties.remove("name");
        }
        if let Some(required) = schema
            .get_mut("required")
            .and_then(|all| all.as_array_mut())
        {
            required.retain(|field| field != "name");
        }
    }
}

/// Deserialized when `name` is absent; refuses it when it is present.
impl<'de> Deserialize<'de> for Own {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<IgnoredAny>::deserialize(deserializer)? {
            None => Ok(Self),
            Some(_) => Err(D::Error::custom("unknown field `name`")),
        }
    }
}
