//! Whose account an operation of `person` and `self` is about: a person that is named, or the caller; and the names of
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

/// The names of these accounts, each read once; an account that was deleted has none.
pub(super) async fn names_of(
    context: &Context,
    accounts: impl Iterator<Item = AccountId> + Send,
) -> Result<HashMap<AccountId, AccountName>, Refusal> {
    let accounts: HashSet<AccountId> = accounts.collect();
    let mut names = HashMap::with_capacity(accounts.len());
    for id in accounts {
        let account = context.site().store().account(id).await?;
        names.extend(account.map(|account| (id, account.name)));
    }
    Ok(names)
}

/// The parameter `name` of an operation that both groups have; those of `self` do not take it.
pub(super) trait Whose: JsonSchema + Send {
    /// How the reference calls what belongs to the account.
    const OF: &'static str;

    /// The account, if the caller may touch it.
    fn account(&self, context: &Context) -> impl Future<Output = Result<Account, Refusal>> + Send;

    /// Makes the parameters' schema fit.
    fn shape(_: &mut Schema) {}
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named(#[schemars(with = "String")] AccountName);

impl Whose for Named {
    const OF: &'static str = "person's";

    async fn account(&self, context: &Context) -> Result<Account, Refusal> {
        account::find(context, Kind::Person, &self.0).await
    }
}

#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Own;

impl Whose for Own {
    const OF: &'static str = "own";

    async fn account(&self, context: &Context) -> Result<Account, Refusal> {
        account::own(context).await
    }

    fn shape(schema: &mut Schema) {
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

/// Read where `name` is left out.
impl<'de> Deserialize<'de> for Own {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<IgnoredAny>::deserialize(deserializer)? {
            None => Ok(Self),
            Some(_) => Err(D::Error::custom("unknown field `name`")),
        }
    }
}
